/* The process that all threads are: its names, and calls about processes and CPUs where there is one of each. */
#include <linux/membarrier.h>
#include <linux/prctl.h>
#include <linux/resource.h>
#include <linux/sched.h>

#include "kernel.h"
#include "personality/syscalls.h"
#include "thread/thread.h"

#define PRIORITY_REALTIME_MAX 99
#define NICE_LEAST (-20)
#define NICE_MOST 19
#define SLICE_TOLD 5000000 /* sched_rr_get_interval(): scheduler.c's SLICE */
#define TIMER_SLACK 50000  /* nanoseconds, Linux's; ours is none */

static int nice;
static int64_t parent_death_signal, dumpable = 1, no_new_privileges, timer_slack = TIMER_SLACK, keep_capabilities;

int64_t sys_gettid(const uint64_t *argument)
{
	(void)argument;
	return current->tid;
}

int64_t sys_getpid(const uint64_t *argument)
{
	(void)argument;
	return PROCESS_ID;
}

int64_t sys_getppid(const uint64_t *argument)
{
	(void)argument;
	return 0;
}

int64_t sys_getpgrp(const uint64_t *argument)
{
	(void)argument;
	return PROCESS_ID;
}

static bool is_process(uint64_t pid)
{
	return (int)pid == 0 || (int)pid == PROCESS_ID;
}

int64_t sys_getpgid(const uint64_t *argument)
{
	return is_process(argument[0]) ? PROCESS_ID : -ESRCH;
}

int64_t sys_getsid(const uint64_t *argument)
{
	return is_process(argument[0]) ? PROCESS_ID : -ESRCH;
}

int64_t sys_setpgid(const uint64_t *argument)
{
	if ((int)argument[1] < 0)
		return -EINVAL;
	return is_process(argument[0]) ? -EPERM : -ESRCH; /* a session leader may not */
}

int64_t sys_setsid(const uint64_t *argument)
{
	(void)argument;
	return -EPERM; /* it is one */
}

int64_t sys_wait4(const uint64_t *argument)
{
	(void)argument;
	return -ECHILD;
}

int64_t sys_waitid(const uint64_t *argument)
{
	(void)argument;
	return -ECHILD;
}

/* ---- scheduling ------------------------------------------------------------------------------------------------------------------ */

static bool is_thread(uint64_t tid)
{
	return (int)tid == 0 || thread_find((int)tid) != NULL;
}

int64_t sys_sched_yield(const uint64_t *argument)
{
	(void)argument;
	thread_yield();
	return 0;
}

int64_t sys_sched_getaffinity(const uint64_t *argument)
{
	uint64_t mask = 1;
	if (!is_thread(argument[0]))
		return -ESRCH;
	if (argument[1] < sizeof mask || argument[1] % sizeof mask != 0)
		return -EINVAL;
	return PUT_USER(argument[2], mask) != 0 ? -EFAULT : (int64_t)sizeof mask;
}

int64_t sys_sched_setaffinity(const uint64_t *argument)
{
	uint64_t mask = 0;
	if (!is_thread(argument[0]))
		return -ESRCH;
	if (copy_from_user(&mask, argument[2], MIN(argument[1], sizeof mask)) != 0)
		return -EFAULT;
	return mask & 1 ? 0 : -EINVAL;
}

int64_t sys_sched_getscheduler(const uint64_t *argument)
{
	return is_thread(argument[0]) ? SCHED_NORMAL : -ESRCH;
}

static int64_t parameter_check(uint64_t tid, uint64_t address, bool realtime)
{
	int priority;
	if ((int)tid < 0 || address == 0)
		return -EINVAL;
	if (!is_thread(tid))
		return -ESRCH;
	if (GET_USER(priority, address) != 0)
		return -EFAULT;
	if (realtime ? priority < 1 || priority > PRIORITY_REALTIME_MAX : priority != 0)
		return -EINVAL;
	return realtime ? -EPERM : 0; /* there is one class */
}

int64_t sys_sched_setscheduler(const uint64_t *argument)
{
	switch ((int)argument[1] & ~SCHED_RESET_ON_FORK) {
	case SCHED_NORMAL:
	case SCHED_BATCH:
	case SCHED_IDLE:
		return parameter_check(argument[0], argument[2], false);
	case SCHED_FIFO:
	case SCHED_RR:
		return parameter_check(argument[0], argument[2], true);
	default:
		return -EINVAL;
	}
}

int64_t sys_sched_getparam(const uint64_t *argument)
{
	int priority = 0;
	if ((int)argument[0] < 0 || argument[1] == 0)
		return -EINVAL;
	return is_thread(argument[0]) ? PUT_USER(argument[1], priority) : -ESRCH;
}

int64_t sys_sched_setparam(const uint64_t *argument)
{
	return parameter_check(argument[0], argument[1], false);
}

static int64_t priority_limit(uint64_t policy, int64_t realtime)
{
	switch ((int)policy) {
	case SCHED_FIFO:
	case SCHED_RR:
		return realtime;
	case SCHED_NORMAL:
	case SCHED_BATCH:
	case SCHED_IDLE:
		return 0;
	default:
		return -EINVAL;
	}
}

int64_t sys_sched_get_priority_max(const uint64_t *argument)
{
	return priority_limit(argument[0], PRIORITY_REALTIME_MAX);
}

int64_t sys_sched_get_priority_min(const uint64_t *argument)
{
	return priority_limit(argument[0], 1);
}

int64_t sys_sched_rr_get_interval(const uint64_t *argument)
{
	if ((int)argument[0] < 0)
		return -EINVAL;
	return is_thread(argument[0]) ? timespec_write(argument[1], SLICE_TOLD) : -ESRCH;
}

/* Nice values are kept and told, and change nothing: all there is belongs to one process. */
static int64_t priority_check(uint64_t which, uint64_t who)
{
	switch ((int)which) {
	case PRIO_PROCESS:
		return is_thread(who) ? 0 : -ESRCH;
	case PRIO_PGRP:
		return is_process(who) ? 0 : -ESRCH;
	case PRIO_USER:
		return 0;
	default:
		return -EINVAL;
	}
}

int64_t sys_getpriority(const uint64_t *argument)
{
	int64_t error = priority_check(argument[0], argument[1]);
	return error != 0 ? error : 20 - nice;
}

int64_t sys_setpriority(const uint64_t *argument)
{
	int64_t error = priority_check(argument[0], argument[1]);
	if (error == 0)
		nice = MAX(NICE_LEAST, MIN(NICE_MOST, (int)argument[2]));
	return error;
}

int64_t sys_getcpu(const uint64_t *argument)
{
	unsigned zero = 0;
	if (argument[0] != 0 && PUT_USER(argument[0], zero) != 0)
		return -EFAULT;
	return argument[1] != 0 ? PUT_USER(argument[1], zero) : 0;
}

/* One CPU runs one thread at a time: all that other threads of the process did is in order for this one. */
int64_t sys_membarrier(const uint64_t *argument)
{
	const int known = MEMBARRIER_CMD_GLOBAL | MEMBARRIER_CMD_GLOBAL_EXPEDITED | MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED |
			  MEMBARRIER_CMD_PRIVATE_EXPEDITED | MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED |
			  MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE | MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE;
	int command = (int)argument[0];

	if (argument[1] != 0)
		return -EINVAL;
	if (command == MEMBARRIER_CMD_QUERY)
		return known;
	return (command & known) == command && (command & (command - 1)) == 0 ? 0 : -EINVAL;
}

/* ---- prctl ------------------------------------------------------------------------------------------------------------------------ */

static int64_t set_bounded(int64_t *setting, uint64_t value, uint64_t most)
{
	if (value > most)
		return -EINVAL;
	*setting = (int64_t)value;
	return 0;
}

static int64_t set_name(uint64_t address)
{
	char name[THREAD_NAME_SIZE];
	int64_t length = copy_string_from_user(name, address, sizeof name);
	if (length == -ENAMETOOLONG) { /* cut, as Linux does */
		if (copy_from_user(name, address, sizeof name - 1) != 0)
			return -EFAULT;
		length = sizeof name - 1;
	}
	if (length < 0)
		return length;
	memset(current->name, 0, sizeof current->name);
	memcpy(current->name, name, (size_t)length);
	return 0;
}

int64_t sys_prctl(const uint64_t *argument)
{
	uint64_t value = argument[1];
	int word;

	switch ((int)argument[0]) {
	case PR_SET_NAME: return set_name(value);
	case PR_GET_NAME: return PUT_USER(value, current->name);
	case PR_SET_DUMPABLE: return set_bounded(&dumpable, value, 1);
	case PR_GET_DUMPABLE: return dumpable;
	case PR_SET_NO_NEW_PRIVS: return value == 1 ? set_bounded(&no_new_privileges, value, 1) : -EINVAL;
	case PR_GET_NO_NEW_PRIVS: return no_new_privileges;
	case PR_SET_KEEPCAPS: return set_bounded(&keep_capabilities, value, 1);
	case PR_GET_KEEPCAPS: return keep_capabilities;
	case PR_SET_PDEATHSIG: return set_bounded(&parent_death_signal, value, SIGNAL_MAX);
	case PR_GET_PDEATHSIG:
		word = (int)parent_death_signal;
		return PUT_USER(value, word);
	case PR_SET_TIMERSLACK:
		timer_slack = value == 0 || value > INT64_MAX ? TIMER_SLACK : (int64_t)value;
		return 0;
	case PR_GET_TIMERSLACK: return timer_slack;
	case PR_GET_TID_ADDRESS: return PUT_USER(value, current->clear_child_tid);
	default: return -EINVAL;
	}
}
