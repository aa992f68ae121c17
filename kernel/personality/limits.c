/* Resource limits. RLIMIT_NOFILE and RLIMIT_FSIZE hold; the others are kept and told. */
#include <linux/resource.h>

#include "personality/files.h"
#include "personality/syscalls.h"
#include "thread/thread.h"

#define UNLIMITED {RLIM64_INFINITY, RLIM64_INFINITY}
static struct rlimit64 limits[RLIM_NLIMITS] = {
	[RLIMIT_CPU] = UNLIMITED,
	[RLIMIT_FSIZE] = UNLIMITED,
	[RLIMIT_DATA] = UNLIMITED,
	[RLIMIT_STACK] = {8u << 20, RLIM64_INFINITY},
	[RLIMIT_CORE] = {0, RLIM64_INFINITY},
	[RLIMIT_RSS] = UNLIMITED,
	[RLIMIT_NPROC] = {THREADS_MAX, THREADS_MAX},
	[RLIMIT_NOFILE] = {DESCRIPTORS_SOFT, DESCRIPTORS_HARD},
	[RLIMIT_MEMLOCK] = UNLIMITED,
	[RLIMIT_AS] = UNLIMITED,
	[RLIMIT_LOCKS] = UNLIMITED,
	[RLIMIT_SIGPENDING] = {1024, 1024},
	[RLIMIT_MSGQUEUE] = {819200, 819200},
	[RLIMIT_NICE] = {0, 0},
	[RLIMIT_RTPRIO] = {0, 0},
	[RLIMIT_RTTIME] = UNLIMITED,
};

uint64_t limit_soft(unsigned resource)
{
	return limits[resource].rlim_cur;
}

uint64_t limit_hard(unsigned resource)
{
	return limits[resource].rlim_max;
}

static int64_t change_limit(int64_t process, uint64_t asked, uint64_t set, uint64_t get)
{
	uint32_t resource = (uint32_t)asked;
	struct rlimit64 wanted, old;
	if (resource >= RLIM_NLIMITS)
		return -EINVAL;
	if (set && GET_USER(wanted, set))
		return -EFAULT;
	if ((int32_t)process != 0 && (int32_t)process != PROCESS_ID)
		return -ESRCH;
	old = limits[resource];
	if (set) {
		if (wanted.rlim_cur > wanted.rlim_max)
			return -EINVAL;
		if (resource == RLIMIT_NOFILE && wanted.rlim_max > DESCRIPTORS_HARD)
			return -EPERM; /* as Linux beyond fs.nr_open, for root too */
		if (wanted.rlim_max > old.rlim_max && !is_privileged())
			return -EPERM;
		limits[resource] = wanted;
	}
	return get ? PUT_USER(get, old) : 0;
}

int64_t sys_getrlimit(const uint64_t *argument)
{
	if ((uint32_t)argument[0] >= RLIM_NLIMITS)
		return -EINVAL;
	return PUT_USER(argument[1], limits[(uint32_t)argument[0]]);
}

int64_t sys_setrlimit(const uint64_t *argument)
{
	struct rlimit64 probe;
	if (GET_USER(probe, argument[1]))
		return -EFAULT;
	return change_limit(0, argument[0], argument[1], 0);
}

int64_t sys_prlimit64(const uint64_t *argument)
{
	return change_limit((int64_t)argument[0], argument[1], argument[2], argument[3]);
}
