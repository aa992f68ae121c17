/* setitimer(2) and alarm(2): one timer of the process for each of real time, the user's CPU time and all CPU time. */
#include <linux/time.h>

#include "kernel.h"
#include "personality/syscalls.h"
#include "thread/signal.h"
#include "thread/thread.h"
#include "time/clock.h"

static struct {
	struct timer timer;
	int64_t interval;
} real;

static struct cpu_interval {
	struct cpu_timer timer;
	int64_t at, interval; /* at: of the process's CPU time; 0: not set */
	int signal;
	bool user_only;
} virtual = {.signal = SIGVTALRM, .user_only = true}, profile = {.signal = SIGPROF};

/* The first time after now that is a whole number of intervals from at; FOREVER at most. */
static int64_t next_time(int64_t at, int64_t interval, int64_t now)
{
	int64_t next;
	if (at > now)
		return at;
	return __builtin_add_overflow(at, ((now - at) / interval + 1) * interval, &next) ? FOREVER : next;
}

static void real_expired(struct timer *timer)
{
	signal_process(SIGALRM);
	int64_t now = time_monotonic();
	if (real.interval != 0)
		timer_set(timer, MAX(next_time(timer->deadline, real.interval, now), now + TIMER_GRAIN));
}

static int64_t cpu_now(const struct cpu_interval *i)
{
	struct cpu_time used = process_cpu_time();
	return i->user_only ? used.user : used.user + used.system;
}

static int64_t cpu_left(struct cpu_timer *timer)
{
	struct cpu_interval *i = CONTAINER_OF(timer, struct cpu_interval, timer);
	return i->at - cpu_now(i);
}

static void cpu_due(struct cpu_timer *timer)
{
	struct cpu_interval *i = CONTAINER_OF(timer, struct cpu_interval, timer);
	signal_process(i->signal);
	if (i->interval == 0) {
		i->at = 0;
		cpu_timer_stop(timer);
	} else {
		i->at = next_time(i->at, i->interval, cpu_now(i));
	}
}

struct setting {
	int64_t interval, value;
};

static void real_exchange(const struct setting *new, struct setting *old)
{
	int64_t now = time_monotonic();
	/* Never 0 while it is armed: that would say that it is not. */
	*old = (struct setting){real.interval, real.timer.armed ? MAX(real.timer.deadline - now, 1000) : 0};
	if (new == NULL)
		return;
	timer_cancel(&real.timer);
	real.interval = new->interval;
	real.timer.expired = real_expired;
	if (new->value != 0)
		timer_set(&real.timer, deadline_after(new->value));
}

static void cpu_exchange(struct cpu_interval *i, const struct setting *new, struct setting *old)
{
	int64_t now = cpu_now(i);
	*old = (struct setting){i->interval, i->at != 0 ? MAX(i->at - now, 1000) : 0};
	if (new == NULL)
		return;
	cpu_timer_stop(&i->timer);
	i->timer.left = cpu_left;
	i->timer.due = cpu_due;
	i->interval = new->interval;
	i->at = new->value == 0 ? 0 : new->value >= FOREVER - now ? FOREVER : now + new->value;
	if (i->at != 0)
		cpu_timer_start(&i->timer);
}

static int exchange(uint64_t which, const struct setting *new, struct setting *old)
{
	switch ((int)which) {
	case ITIMER_REAL: real_exchange(new, old); return 0;
	case ITIMER_VIRTUAL: cpu_exchange(&virtual, new, old); return 0;
	case ITIMER_PROF: cpu_exchange(&profile, new, old); return 0;
	default: return -EINVAL;
	}
}

static int setting_write(uint64_t address, const struct setting *s)
{
	return timeval_write(address, s->interval) != 0 || timeval_write(address + sizeof(struct timeval), s->value) != 0 ? -EFAULT : 0;
}

int64_t sys_getitimer(const uint64_t *argument)
{
	struct setting old;
	int error = exchange(argument[0], NULL, &old);
	return error != 0 ? error : setting_write(argument[1], &old);
}

int64_t sys_setitimer(const uint64_t *argument)
{
	struct setting new = {0, 0}, old;
	int error = 0;

	if (argument[1] != 0) {
		error = timeval_read(argument[1], &new.interval);
		if (error == 0)
			error = timeval_read(argument[1] + sizeof(struct timeval), &new.value);
	}
	if (error == 0)
		error = exchange(argument[0], &new, &old);
	if (error != 0 || argument[2] == 0)
		return error;
	return setting_write(argument[2], &old);
}

int64_t sys_alarm(const uint64_t *argument)
{
	struct setting new = {0, (int64_t)((uint32_t)argument[0] * NANOSECONDS)}, old;
	real_exchange(&new, &old);
	/* Rounded, but never to 0 when there was one. */
	int64_t seconds = (old.value + (int64_t)NANOSECONDS / 2) / (int64_t)NANOSECONDS;
	return old.value != 0 ? MAX(seconds, 1) : 0;
}
