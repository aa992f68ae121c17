/* The vDSO: code of the kernel that runs in ring 3 as a shared object, so that telling the time is no system call.
 * Its data pages lie before its ELF header (vdso.ld). vdso(7) names the functions. */
#include <asm/unistd.h>
#include <linux/time.h>
#include <linux/errno.h>
#include <stdbool.h>
#include <stddef.h>

#include "time/vdso_data.h"

#define NANOSECONDS 1000000000ull
#define CLOCKS_HERE                                                                                                          \
	(1u << CLOCK_REALTIME | 1u << CLOCK_MONOTONIC | 1u << CLOCK_MONOTONIC_RAW | 1u << CLOCK_REALTIME_COARSE |                  \
	 1u << CLOCK_MONOTONIC_COARSE | 1u << CLOCK_BOOTTIME | 1u << CLOCK_TAI)
#define CLOCKS_REAL (1u << CLOCK_REALTIME | 1u << CLOCK_REALTIME_COARSE | 1u << CLOCK_TAI)

extern const volatile struct vdso_data vdso_data __attribute__((visibility("hidden")));
extern const volatile struct kvm_clock vdso_kvm_clock __attribute__((visibility("hidden")));

int __vdso_clock_gettime(int clock, struct timespec *to);
int __vdso_clock_getres(int clock, struct timespec *to);
int __vdso_gettimeofday(struct timeval *to, struct timezone *zone);
__kernel_old_time_t __vdso_time(__kernel_old_time_t *to);
long __vdso_getcpu(unsigned *cpu, unsigned *node, void *unused);

static long system_call(long number, long first, long second)
{
	long result;
	__asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(first), "S"(second) : "rcx", "r11", "memory");
	return result;
}

/* False: only the kernel can tell. */
static bool now(bool realtime, uint64_t *nanoseconds)
{
	for (;;) {
		uint32_t sequence = vdso_data.sequence;
		__asm__ volatile("" : : : "memory");
		uint64_t value = (uint64_t)vdso_data.monotonic_base;
		uint32_t source = vdso_data.source;
		if (source == CLOCK_SOURCE_TSC) {
			struct scale scale = {vdso_data.scale.multiplier};
			value += scale_apply(scale, tsc_ordered() - vdso_data.tsc_base);
		} else if (source == CLOCK_SOURCE_KVM) {
			uint8_t flags;
			value += kvm_clock_read(&vdso_kvm_clock, &flags);
			if ((flags & KVM_CLOCK_STABLE) == 0)
				return false;
		} else {
			return false;
		}
		if (realtime)
			value += (uint64_t)vdso_data.realtime_offset;
		__asm__ volatile("" : : : "memory");
		if ((sequence & 1) == 0 && sequence == vdso_data.sequence) {
			*nanoseconds = value;
			return true;
		}
	}
}

int __vdso_clock_gettime(int clock, struct timespec *to)
{
	uint64_t value;
	if ((unsigned)clock < 32 && (CLOCKS_HERE >> clock & 1) && now(CLOCKS_REAL >> clock & 1, &value)) {
		to->tv_sec = (long)(value / NANOSECONDS);
		to->tv_nsec = (long)(value % NANOSECONDS);
		return 0;
	}
	return (int)system_call(__NR_clock_gettime, clock, (long)to);
}

int __vdso_clock_getres(int clock, struct timespec *to)
{
	if ((unsigned)clock >= 32 || (CLOCKS_HERE >> clock & 1) == 0)
		return (int)system_call(__NR_clock_getres, clock, (long)to);
	if (to) {
		to->tv_sec = 0;
		to->tv_nsec = 1;
	}
	return 0;
}

int __vdso_gettimeofday(struct timeval *to, struct timezone *zone)
{
	uint64_t value;
	if (!now(true, &value))
		return (int)system_call(__NR_gettimeofday, (long)to, (long)zone);
	if (to) {
		to->tv_sec = (long)(value / NANOSECONDS);
		to->tv_usec = (long)(value % NANOSECONDS / 1000);
	}
	if (zone) {
		zone->tz_minuteswest = 0;
		zone->tz_dsttime = 0;
	}
	return 0;
}

__kernel_old_time_t __vdso_time(__kernel_old_time_t *to)
{
	uint64_t value;
	if (!now(true, &value))
		return system_call(__NR_time, (long)to, 0);
	if (to)
		*to = (long)(value / NANOSECONDS);
	return (long)(value / NANOSECONDS);
}

long __vdso_getcpu(unsigned *cpu, unsigned *node, void *unused)
{
	(void)unused;
	if (cpu)
		*cpu = 0;
	if (node)
		*node = 0;
	return 0;
}

int clock_gettime(int, struct timespec *) __attribute__((weak, alias("__vdso_clock_gettime")));
int clock_getres(int, struct timespec *) __attribute__((weak, alias("__vdso_clock_getres")));
int gettimeofday(struct timeval *, struct timezone *) __attribute__((weak, alias("__vdso_gettimeofday")));
__kernel_old_time_t time(__kernel_old_time_t *) __attribute__((weak, alias("__vdso_time")));
long getcpu(unsigned *, unsigned *, void *) __attribute__((weak, alias("__vdso_getcpu")));
