/* The system calls that tell the time, set it, and sleep. */
#include <linux/time.h>

#include "kernel.h"
#include "personality/syscalls.h"
#include "thread/thread.h"
#include "time/clock.h"

#ifndef TIMER_ABSTIME
#define TIMER_ABSTIME 1
#endif
/* A clock of a thread or of the process, as clock_getcpuclockid(3) and pthread_getcpuclockid(3) make them: ~id << 3, bit 2 for a
 * thread, and what counts: all, as the scheduler has it, or the user's part. */
#define CPU_CLOCK_THREAD 4
#define CPU_CLOCK_KIND 3
#define CPU_CLOCK_PROF 0
#define CPU_CLOCK_VIRTUAL 1
#define CPU_CLOCK_SCHEDULED 2
#define REALTIME_MOST (FOREVER - 30ll * 365 * 86400 * (int64_t)NANOSECONDS) /* as in Linux: it must not run over while the machine is up */
#define CPU_SLEEP_GRAIN 1000000 /* the clock of a thread that does not run stands still: asking it again must let others run */

/* ---- times in the application's memory ------------------------------------------------------------------------------------------- */

static int64_t saturate(int64_t seconds, int64_t nanoseconds)
{
	const int64_t most = FOREVER / (int64_t)NANOSECONDS;
	return seconds >= most ? FOREVER : seconds * (int64_t)NANOSECONDS + nanoseconds;
}

int timespec_read(uint64_t address, int64_t *nanoseconds)
{
	int64_t pair[2];
	if (GET_USER(pair, address) != 0)
		return -EFAULT;
	if (pair[0] < 0 || pair[1] < 0 || pair[1] >= (int64_t)NANOSECONDS)
		return -EINVAL;
	*nanoseconds = saturate(pair[0], pair[1]);
	return 0;
}

int timeval_read(uint64_t address, int64_t *nanoseconds)
{
	int64_t pair[2];
	if (GET_USER(pair, address) != 0)
		return -EFAULT;
	if (pair[0] < 0 || pair[1] < 0 || pair[1] >= 1000000)
		return -EINVAL;
	*nanoseconds = saturate(pair[0], pair[1] * 1000);
	return 0;
}

int timespec_write(uint64_t address, int64_t nanoseconds)
{
	int64_t pair[2] = {nanoseconds / (int64_t)NANOSECONDS, nanoseconds % (int64_t)NANOSECONDS};
	return PUT_USER(address, pair);
}

int timeval_write(uint64_t address, int64_t nanoseconds)
{
	int64_t pair[2] = {nanoseconds / (int64_t)NANOSECONDS, nanoseconds % (int64_t)NANOSECONDS / 1000};
	return PUT_USER(address, pair);
}

/* ---- telling ---------------------------------------------------------------------------------------------------------------------- */

int cpu_clock_read(int clock, int64_t *now)
{
	struct thread *t = NULL;
	int kind = CPU_CLOCK_SCHEDULED;

	if (clock == CLOCK_THREAD_CPUTIME_ID) {
		t = current;
	} else if (clock < 0) {
		int id = ~(clock >> 3);
		kind = clock & CPU_CLOCK_KIND;
		if (kind > CPU_CLOCK_SCHEDULED)
			return -EINVAL; /* a clock of a file descriptor */
		if (clock & CPU_CLOCK_THREAD) {
			t = id == 0 ? current : thread_find(id);
			if (t == NULL)
				return -EINVAL;
		} else if (id != 0 && id != PROCESS_ID) {
			return -EINVAL;
		}
	} else if (clock != CLOCK_PROCESS_CPUTIME_ID) {
		return -EINVAL;
	}
	struct cpu_time used = t != NULL ? thread_cpu_time(t) : process_cpu_time();
	*now = kind == CPU_CLOCK_VIRTUAL ? used.user : used.user + used.system;
	return 0;
}

int clock_read(int clock, int64_t *now)
{
	switch (clock) {
	case CLOCK_REALTIME:
	case CLOCK_REALTIME_COARSE:
	case CLOCK_REALTIME_ALARM:
	case CLOCK_TAI: /* as in Linux until somebody tells it the leap seconds */
		*now = time_realtime();
		return 0;
	case CLOCK_MONOTONIC:
	case CLOCK_MONOTONIC_COARSE:
	case CLOCK_MONOTONIC_RAW:
	case CLOCK_BOOTTIME:
	case CLOCK_BOOTTIME_ALARM:
		*now = time_monotonic();
		return 0;
	default:
		return cpu_clock_read(clock, now);
	}
}

int64_t sys_clock_gettime(const uint64_t *argument)
{
	int64_t now;
	int error = clock_read((int)argument[0], &now);
	return error != 0 ? error : timespec_write(argument[1], now);
}

int64_t sys_clock_getres(const uint64_t *argument)
{
	int64_t now;
	int error = clock_read((int)argument[0], &now);
	return error != 0 || argument[1] == 0 ? error : timespec_write(argument[1], 1);
}

int64_t sys_clock_settime(const uint64_t *argument)
{
	int64_t to, now;
	int error = clock_read((int)argument[0], &now);
	if (error != 0)
		return error;
	if ((int)argument[0] != CLOCK_REALTIME)
		return -EINVAL;
	error = timespec_read(argument[1], &to);
	if (error != 0)
		return error;
	if (to > REALTIME_MOST)
		return -EINVAL;
	clock_set_realtime(to);
	return 0;
}

int64_t sys_gettimeofday(const uint64_t *argument)
{
	const int zone[2] = {0, 0};
	if (argument[0] != 0 && timeval_write(argument[0], time_realtime()) != 0)
		return -EFAULT;
	return argument[1] != 0 ? PUT_USER(argument[1], zone) : 0;
}

int64_t sys_time(const uint64_t *argument)
{
	int64_t seconds = time_realtime() / (int64_t)NANOSECONDS;
	return argument[0] != 0 && PUT_USER(argument[0], seconds) != 0 ? -EFAULT : seconds;
}

/* ---- sleeping --------------------------------------------------------------------------------------------------------------------- */

static int sleep_until(int64_t deadline)
{
	int result;
	do
		result = thread_block(deadline);
	while (result == 0);
	return result == -ETIMEDOUT ? 0 : result;
}

static int64_t sleep_relative(int64_t deadline, uint64_t remaining);

static int64_t sleep_restart(struct thread *t)
{
	return sleep_relative(t->restart.deadline, t->restart.argument[0]);
}

static int64_t sleep_relative(int64_t deadline, uint64_t remaining)
{
	if (sleep_until(deadline) == 0)
		return 0;
	if (remaining != 0 && timespec_write(remaining, MAX(0, deadline - time_monotonic())) != 0)
		return -EFAULT;
	current->restart.call = sleep_restart;
	current->restart.argument[0] = remaining;
	current->restart.deadline = deadline;
	return -ERESTART_RESTARTBLOCK;
}

static int64_t sleep_until_realtime(int64_t realtime)
{
	int result;
	do {
		struct waiter clock;
		wait_queue_add(&clock_was_set, &clock);
		result = thread_block(deadline_of_realtime(realtime));
		wait_queue_remove(&clock);
	} while (result == 0);
	return result == -ETIMEDOUT ? 0 : -ERESTARTNOHAND;
}

/* On a clock of CPU time: sleeps for as long as it must at least take, and looks again. */
static int64_t sleep_cpu_time(int clock, int64_t until)
{
	for (;;) {
		int64_t now;
		int error = cpu_clock_read(clock, &now);
		if (error != 0 || now >= until)
			return error;
		if (sleep_until(deadline_after(MAX(until - now, CPU_SLEEP_GRAIN))) != 0)
			return -ERESTARTNOHAND;
	}
}

int64_t sys_nanosleep(const uint64_t *argument)
{
	int64_t duration;
	int error = timespec_read(argument[0], &duration);
	return error != 0 ? error : sleep_relative(deadline_after(duration), argument[1]);
}

int64_t sys_clock_nanosleep(const uint64_t *argument)
{
	int clock = (int)argument[0];
	bool absolute = argument[1] & TIMER_ABSTIME;
	int64_t time, now;

	int error = clock_read(clock, &now);
	if (error != 0)
		return error;
	error = timespec_read(argument[2], &time);
	if (error != 0)
		return error;
	switch (clock) {
	case CLOCK_REALTIME:
	case CLOCK_TAI:
	case CLOCK_REALTIME_ALARM:
		if (absolute)
			return sleep_until_realtime(time);
		return sleep_relative(deadline_after(time), argument[3]);
	case CLOCK_MONOTONIC:
	case CLOCK_BOOTTIME:
	case CLOCK_BOOTTIME_ALARM:
		if (absolute)
			return sleep_until(time) == 0 ? 0 : -ERESTARTNOHAND;
		return sleep_relative(deadline_after(time), argument[3]);
	case CLOCK_THREAD_CPUTIME_ID:
		return -EINVAL; /* one's own clock stands still meanwhile */
	case CLOCK_MONOTONIC_RAW:
	case CLOCK_REALTIME_COARSE:
	case CLOCK_MONOTONIC_COARSE:
		return -EOPNOTSUPP;
	default:
		return sleep_cpu_time(clock, absolute || time >= FOREVER - now ? time : now + time);
	}
}

int64_t sys_restart_syscall(const uint64_t *argument)
{
	int64_t (*call)(struct thread *) = current->restart.call;
	(void)argument;
	current->restart.call = NULL;
	return call != NULL ? call(current) : -EINTR;
}
