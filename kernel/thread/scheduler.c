/* Who runs next, and waiting.
 *
 * Threads take turns of SLICE nanoseconds. One that has waited for something and got it is "urgent": it goes before those that only
 * compute, for as long as its slice lasts; sleeping fills the slice again. An interrupt that makes a thread urgent preempts a
 * computing one at once; a thread that wakes another goes on for WAKE_DELAY first, because it mostly is about to wait itself (and
 * would else hand the CPU over twice, as with Python's GIL). Those who compute get a turn in every READY_EVERY at least, and nobody loses
 * the CPU to a wake-up within BREATH of getting it: where an interrupt costs more than the time until the next, nobody else would get on.
 *
 * There is no tick: one timer is armed while somebody else could run.
 */
#include "pvm/pvm.h"
#include "thread/thread.h"
#include "time/clock.h"

#define SLICE 5000000ll
#define WAKE_DELAY 500000ll
#define READY_EVERY 25000000ll
#define BREATH 100000ll
#define SERVED 1000000ll
#define MSR_KERNEL_GS_BASE 0xc0000102

struct thread *current_thread;
bool reschedule_wanted;

static struct list urgent = LIST_INITIAL(urgent); /* by struct thread.run */
static struct list ready = LIST_INITIAL(ready);
static int64_t ready_served;  /* when one of ready had the CPU last, for longer than SERVED */
static bool turn;	      /* the current thread has it because of READY_EVERY: not to be taken away */
static int64_t picked_at;     /* when the current thread got the CPU */
static int64_t running_since; /* the same, or when its slice was last charged */
static struct thread *dead;   /* its stack was in use until now */

static void slice_over(struct timer *timer);
static struct timer slice_timer = {.expired = slice_over};

static bool others_can_run(void)
{
	return !list_empty(&urgent) || !list_empty(&ready);
}

static void slice_charge(int64_t now)
{
	current->slice_left -= now - running_since;
	running_since = now;
}

/* An earlier alarm is as good: it looks again. So most switches touch no timer. */
static void slice_alarm(int64_t deadline)
{
	if (!slice_timer.armed || slice_timer.deadline > deadline)
		timer_set(&slice_timer, deadline);
}

static void slice_over(struct timer *timer)
{
	(void)timer;
	if (current->state != THREAD_RUNNING || !others_can_run())
		return;
	int64_t now = time_monotonic();
	slice_charge(now);
	if (current->slice_left <= 0)
		reschedule_wanted = true;
	else if (turn || list_empty(&urgent))
		slice_alarm(now + current->slice_left);
	else if (now >= picked_at + BREATH)
		reschedule_wanted = true;
	else
		slice_alarm(MIN(now + current->slice_left, picked_at + BREATH));
}

static void enqueue(struct thread *t)
{
	t->state = THREAD_READY;
	if (t->slice_left <= 0) {
		t->slice_left = SLICE;
		t->urgent = false;
	}
	if (!t->urgent && list_empty(&ready))
		ready_served = time_monotonic();
	list_insert_before(t->urgent ? &urgent : &ready, &t->run);

	if (current->state != THREAD_RUNNING || current == t)
		return;
	int64_t alarm = running_since + MAX(current->slice_left, 0);
	if (!t->urgent || turn) {
		slice_alarm(alarm);
		return;
	}
	int64_t now = time_monotonic();
	bool at_once = !current->urgent && current_frame()->vector < TRAP_SYSTEM_CALL;
	if (at_once && now >= picked_at + BREATH)
		reschedule_wanted = true;
	else
		slice_alarm(MIN(alarm, at_once ? picked_at + BREATH : now + WAKE_DELAY));
}

void thread_make_ready(struct thread *t)
{
	t->slice_left = SLICE;
	enqueue(t);
}

void thread_unblock(struct thread *t)
{
	if (t->state != THREAD_BLOCKED)
		return;
	t->slice_left = MIN(SLICE, MAX(t->slice_left, 0) + (time_monotonic() - t->blocked_since));
	t->urgent = true;
	enqueue(t);
}

void thread_wake(struct thread *t)
{
	t->woken = true;
	thread_unblock(t);
}

static struct thread *pick(int64_t now)
{
	turn = !list_empty(&ready) && now - ready_served > READY_EVERY;
	struct list *queue = turn || list_empty(&urgent) ? &ready : &urgent;
	if (list_empty(queue))
		return NULL;
	struct thread *t = CONTAINER_OF(queue->next, struct thread, run);
	list_remove(&t->run);
	if (turn) {
		t->slice_left = SLICE;
		ready_served = now;
	}
	return t;
}

void thread_account(void)
{
	uint64_t now = read_tsc();
	*(current->in_user ? &current->user_cycles : &current->system_cycles) += now - current->stamp;
	current->stamp = now;
}

/* Whether ring 3 changes its GS base by itself. Where it asks us to (arch_prctl), we know it, and nearly all threads have the same. Under PVM the
 * instruction is there, but to ask what it did costs 5 us a switch: the auxiliary vector says that the kernel does not support it. */
static bool gs_is_the_users(void)
{
	return cpu_features.fsgsbase && !pvm;
}

uint64_t thread_user_gs_base(void)
{
	uint64_t base;
	if (!gs_is_the_users())
		return current->gs_base;
	__asm__ volatile("swapgs\n\trdgsbase %0\n\tswapgs" : "=r"(base));
	return base;
}

static void set_user_gs_base(uint64_t base, uint64_t old)
{
	if (gs_is_the_users())
		__asm__ volatile("swapgs\n\twrgsbase %0\n\tswapgs" : : "r"(base));
	else if (base != old)
		write_msr(MSR_KERNEL_GS_BASE, base);
}

void thread_set_gs_base(uint64_t base)
{
	current->gs_base = base;
	write_msr(MSR_KERNEL_GS_BASE, base);
}

static void bury(void)
{
	struct thread *t = dead;
	if (t == NULL)
		return;
	dead = NULL;
	kernel_stack_free(t->kernel_stack);
	release(t->allocation);
}

/* The current thread is queued, blocked or dead. Returns when it runs again. */
static void schedule(void)
{
	struct thread *previous = current, *next;
	int64_t now = time_monotonic();

	thread_account();
	slice_charge(now);
	if (!previous->urgent && now - picked_at >= SERVED)
		ready_served = now;
	while ((next = pick(now)) == NULL) {
		marks_idle();
		cpu_timers_idle(true);
		cpu_idle();
		cpu_timers_idle(false);
		now = time_monotonic();
	}
	picked_at = running_since = now;
	reschedule_wanted = false;
	next->state = THREAD_RUNNING;
	next->stamp = read_tsc();
	if (others_can_run())
		slice_alarm(now + MIN(next->slice_left, turn || list_empty(&urgent) ? SLICE : WAKE_DELAY));
	if (next == previous)
		return;

	if (previous->state == THREAD_DEAD) {
		dead = previous;
	} else {
		fpu_save(previous->fpu);
		previous->fs_base = cpu_get_fs_base();
		previous->gs_base = thread_user_gs_base();
	}
	uint64_t gs_base = previous->gs_base;
	current = next;
	cpu_set_kernel_stack(next->kernel_stack);
	fpu_restore(next->fpu);
	cpu_set_fs_base(next->fs_base);
	set_user_gs_base(next->gs_base, gs_base);
	context_switch(&previous->kernel_rsp, next->kernel_rsp);
	bury();
}

void thread_started(void)
{
	bury();
}

void thread_vanish(void)
{
	current->state = THREAD_DEAD;
	schedule();
	panic("a dead thread ran");
}

void thread_yield(void)
{
	if (!others_can_run())
		return;
	current->urgent = false;
	current->slice_left = SLICE;
	current->voluntary_switches++;
	current->state = THREAD_READY;
	list_insert_before(&ready, &current->run);
	schedule();
}

void thread_preempt(void)
{
	reschedule_wanted = false;
	if (!others_can_run())
		return;
	slice_charge(time_monotonic());
	current->involuntary_switches++;
	current->state = THREAD_READY;
	if (current->slice_left <= 0)
		enqueue(current); /* the end of the line, with a new slice */
	else if (current->urgent)
		list_insert_before(&urgent, &current->run);
	else
		list_insert_before(ready.next, &current->run); /* goes on with its slice before the others' turns */
	schedule();
}

void thread_run_first(struct thread *t)
{
	current = t;
	t->state = THREAD_RUNNING;
	t->slice_left = SLICE;
	t->in_user = true;
	t->stamp = read_tsc();
	picked_at = running_since = time_monotonic();
	cpu_set_kernel_stack(t->kernel_stack);
	fpu_restore(t->fpu);
}

/* ---- waiting ------------------------------------------------------------------------------------------------------------------- */

void wait_queue_init(struct wait_queue *q)
{
	list_init(&q->waiters);
}

void wait_queue_add(struct wait_queue *q, struct waiter *w)
{
	w->thread = current;
	w->woken = false;
	list_insert_before(&q->waiters, &w->node);
}

void wait_queue_remove(struct waiter *w)
{
	if (w->node.next != NULL)
		list_remove(&w->node);
}

unsigned wake(struct wait_queue *q, unsigned count)
{
	unsigned woken = 0;
	while (woken < count && !list_empty(&q->waiters)) {
		struct waiter *w = CONTAINER_OF(q->waiters.next, struct waiter, node);
		list_remove(&w->node);
		w->woken = true;
		thread_wake(w->thread);
		woken++;
	}
	return woken;
}

int thread_block(int64_t deadline)
{
	struct thread *t = current;
	int64_t now = time_monotonic();

	if (!t->woken) {
		if (signal_pending())
			return -EINTR;
		if (deadline <= now)
			return -ETIMEDOUT;
		t->timed_out = false;
		if (deadline != FOREVER)
			timer_set(&t->sleep_timer, deadline);
		t->blocked_since = now;
		t->state = THREAD_BLOCKED;
		t->voluntary_switches++;
		schedule();
		timer_cancel(&t->sleep_timer);
	}
	if (t->woken) {
		t->woken = false;
		return 0;
	}
	if (signal_pending())
		return -EINTR;
	return t->timed_out ? -ETIMEDOUT : 0;
}

int wait_on(struct wait_queue *q, int64_t deadline)
{
	struct waiter w;
	wait_queue_add(q, &w);
	int result = thread_block(deadline);
	wait_queue_remove(&w);
	return result;
}
