/* CPU time: what threads used, the clocks that tell it, and the timers that run on it. */
#include <linux/resource.h>
#include <linux/times.h>

#include "memory/memory.h"
#include "kernel.h"
#include "personality/syscalls.h"
#include "thread/thread.h"
#include "time/clock.h"

#define CLOCK_TICKS 100 /* a second: USER_HZ, what times(2) counts in */
#define TICK_NANOSECONDS (NANOSECONDS / CLOCK_TICKS)
/* How late a timer on CPU time may be when several threads share the CPU; it is looked at again no sooner. */
#define CPU_TIMER_GRAIN 1000000

/* Of threads that have ended. */
static uint64_t ended_user, ended_system, ended_voluntary, ended_involuntary;
static uint64_t resident_most;
static struct list cpu_timers = LIST_INITIAL(cpu_timers);

static struct cpu_time cycles_to_time(uint64_t user, uint64_t system)
{
	return (struct cpu_time){(int64_t)scale_apply(tsc_scale, user), (int64_t)scale_apply(tsc_scale, system)};
}

struct cpu_time thread_cpu_time(struct thread *t)
{
	if (t == current)
		thread_account();
	return cycles_to_time(t->user_cycles, t->system_cycles);
}

struct cpu_time process_cpu_time(void)
{
	uint64_t user = ended_user, system = ended_system;
	thread_account();
	LIST_FOR_EACH(node, &threads) {
		user += THREAD_OF(node)->user_cycles;
		system += THREAD_OF(node)->system_cycles;
	}
	return cycles_to_time(user, system);
}

void process_cpu_time_add(const struct thread *t)
{
	ended_user += t->user_cycles;
	ended_system += t->system_cycles;
	ended_voluntary += t->voluntary_switches;
	ended_involuntary += t->involuntary_switches;
}

/* ---- timers on CPU time ----------------------------------------------------------------------------------------------------------- */

/* CPU time passes no faster than time does: nothing can be due sooner than this. */
static void cpu_timer_arm(struct cpu_timer *t)
{
	timer_set(&t->timer, deadline_after(MAX(t->left(t), CPU_TIMER_GRAIN)));
}

static void cpu_timer_look(struct timer *timer)
{
	struct cpu_timer *t = CONTAINER_OF(timer, struct cpu_timer, timer);
	if (t->left(t) <= 0)
		t->due(t);
	if (t->active && !t->timer.armed)
		cpu_timer_arm(t);
}

void cpu_timer_start(struct cpu_timer *t)
{
	if (!t->active)
		list_insert_before(&cpu_timers, &t->node);
	t->active = true;
	t->timer.expired = cpu_timer_look;
	cpu_timer_arm(t);
}

void cpu_timer_stop(struct cpu_timer *t)
{
	if (t->active)
		list_remove(&t->node);
	t->active = false;
	timer_cancel(&t->timer);
}

/* While nobody runs no CPU time passes: no reason to wake the machine. */
void cpu_timers_idle(bool idle)
{
	LIST_FOR_EACH(node, &cpu_timers) {
		struct cpu_timer *t = CONTAINER_OF(node, struct cpu_timer, node);
		if (idle)
			timer_cancel(&t->timer);
		else
			cpu_timer_arm(t);
	}
}

/* ---- system calls ------------------------------------------------------------------------------------------------------------------ */

int64_t sys_times(const uint64_t *argument)
{
	struct cpu_time used = process_cpu_time();
	struct tms tms = {.tms_utime = used.user / (int64_t)TICK_NANOSECONDS, .tms_stime = used.system / (int64_t)TICK_NANOSECONDS};
	if (argument[0] != 0 && PUT_USER(argument[0], tms) != 0)
		return -EFAULT;
	return time_monotonic() / (int64_t)TICK_NANOSECONDS;
}

static void put_timeval(struct __kernel_old_timeval *to, int64_t nanoseconds)
{
	to->tv_sec = nanoseconds / (int64_t)NANOSECONDS;
	to->tv_usec = nanoseconds % (int64_t)NANOSECONDS / 1000;
}

int64_t sys_getrusage(const uint64_t *argument)
{
	struct rusage usage;
	struct cpu_time used = {0, 0};

	memset(&usage, 0, sizeof usage);
	switch ((int)argument[0]) {
	case RUSAGE_SELF:
		used = process_cpu_time();
		usage.ru_nvcsw = (long)ended_voluntary;
		usage.ru_nivcsw = (long)ended_involuntary;
		LIST_FOR_EACH(node, &threads) {
			usage.ru_nvcsw += (long)THREAD_OF(node)->voluntary_switches;
			usage.ru_nivcsw += (long)THREAD_OF(node)->involuntary_switches;
		}
		break;
	case RUSAGE_THREAD:
		used = thread_cpu_time(current);
		usage.ru_nvcsw = (long)current->voluntary_switches;
		usage.ru_nivcsw = (long)current->involuntary_switches;
		break;
	case RUSAGE_CHILDREN:
		return PUT_USER(argument[1], usage);
	default:
		return -EINVAL;
	}
	resident_most = MAX(resident_most, memory_resident_pages());
	usage.ru_maxrss = (long)(resident_most * (PAGE_SIZE / 1024));
	usage.ru_minflt = (long)page_faults;
	put_timeval(&usage.ru_utime, used.user);
	put_timeval(&usage.ru_stime, used.system);
	return PUT_USER(argument[1], usage);
}
