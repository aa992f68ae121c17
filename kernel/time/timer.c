/* Timers, and the local APIC's one-shot timer that drives them: by time stamp counter deadline where the CPU has it. */
#include "cpu/cpu.h"
#include "time/clock.h"
#include "time/time.h"
#include "time/timer_tree.h"

#define LAPIC_LVT_TIMER 0x320
#define LAPIC_INITIAL_COUNT 0x380
#define LAPIC_DIVIDE 0x3e0
#define LVT_TSC_DEADLINE (2u << 17)
#define DIVIDE_BY_1 11
#define MSR_TSC_DEADLINE 0x6e0
/* The longest alarm: conversions cannot overflow, and a 32-bit count is a matter of the hardware alone. */
#define LONGEST (3600 * (int64_t)NANOSECONDS)
/* The APIC's own counter is known less well than the clock: a long way off it is set to come a little early, and then again. */
#define LONG_WAY 20000000ll
#define EARLY 512

static struct timer_tree tree;
static int64_t programmed = FOREVER; /* when the hardware will interrupt */
static bool by_deadline;
static struct scale to_ticks; /* nanoseconds to ticks of the counter in use */
static bool expiring;

static void program(int64_t deadline)
{
	int64_t ahead = deadline - time_monotonic();

	programmed = deadline;
	ahead = MAX(0, MIN(ahead, LONGEST));
	if (!by_deadline && ahead > LONG_WAY)
		ahead -= ahead / EARLY;
	/* One more: an early interrupt would only have to come again. */
	uint64_t ticks = scale_apply(to_ticks, (uint64_t)ahead) + 1;
	if (by_deadline)
		write_msr(MSR_TSC_DEADLINE, read_tsc() + ticks);
	else
		lapic_write(LAPIC_INITIAL_COUNT, (uint32_t)MIN(ticks, UINT32_MAX));
}

void timers_init(uint64_t lapic_frequency)
{
	by_deadline = lapic_frequency == 0;
	tree.seed = random_u64();
	to_ticks = scale_make(NANOSECONDS, by_deadline ? tsc_frequency : lapic_frequency);
	if (!by_deadline)
		lapic_write(LAPIC_DIVIDE, DIVIDE_BY_1);
	lapic_write(LAPIC_LVT_TIMER, VECTOR_TIMER | (by_deadline ? LVT_TSC_DEADLINE : 0));
	/* SDM volume 3, 11.5.4.1: the mode must have reached the local APIC before the deadline is written. */
	__asm__ volatile("mfence" : : : "memory");
}

void timer_set(struct timer *t, int64_t deadline)
{
	if (t->armed)
		timer_tree_remove(&tree, t);
	t->armed = deadline != FOREVER;
	if (!t->armed)
		return;
	t->deadline = deadline;
	timer_tree_insert(&tree, t);
	if (deadline < programmed && !expiring)
		program(deadline);
}

/* The hardware is left as it is: an interrupt for nothing, once, is cheaper than setting it each time. */
void timer_cancel(struct timer *t)
{
	if (t->armed)
		timer_tree_remove(&tree, t);
	t->armed = false;
}

void timer_interrupt(void)
{
	int64_t now = time_monotonic();

	programmed = FOREVER;
	expiring = true;
	while (tree.first != NULL && tree.first->deadline <= now) {
		struct timer *t = tree.first;
		timer_tree_remove(&tree, t);
		t->armed = false;
		t->expired(t);
	}
	expiring = false;
	if (tree.first != NULL)
		program(tree.first->deadline);
}
