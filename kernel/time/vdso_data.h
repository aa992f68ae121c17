/* What the kernel tells the vDSO: one page, read-only for the application, and behind it the page that KVM writes its clock to. */
#ifndef SARAB_VDSO_DATA_H
#define SARAB_VDSO_DATA_H

#include "time/scale.h"

enum clock_source {
	CLOCK_SOURCE_NONE, /* the vDSO must ask the kernel */
	CLOCK_SOURCE_TSC,
	CLOCK_SOURCE_KVM,
};

struct vdso_data {
	uint32_t sequence; /* odd while it is being changed */
	uint32_t source;
	uint64_t tsc_base;
	struct scale scale;	 /* cycles since tsc_base to nanoseconds */
	int64_t monotonic_base;	 /* monotonic time = this + nanoseconds since tsc_base, or + KVM's clock */
	int64_t realtime_offset; /* realtime = this + monotonic time */
};

/* linux/Documentation/virt/kvm/x86/msr.rst, MSR_KVM_SYSTEM_TIME_NEW */
struct kvm_clock {
	uint32_t version; /* odd while the host changes it */
	uint32_t pad0;
	uint64_t tsc_timestamp;
	uint64_t system_time; /* nanoseconds at tsc_timestamp */
	uint32_t tsc_to_system_mul;
	int8_t tsc_shift;
	uint8_t flags;
	uint8_t pad[2];
};
#define KVM_CLOCK_STABLE 1u /* TSC-wise: never goes back */

static inline uint64_t tsc_ordered(void)
{
	uint32_t low, high;
	__asm__ volatile("lfence\n\trdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

static inline uint64_t kvm_clock_at(const volatile struct kvm_clock *clock, uint64_t tsc)
{
	uint64_t delta = tsc - clock->tsc_timestamp;
	int8_t shift = clock->tsc_shift;
	if ((int64_t)delta < 0) /* read before the host's last update */
		delta = 0;
	delta = shift < 0 ? delta >> -shift : delta << shift;
	return clock->system_time + (uint64_t)((unsigned __int128)delta * clock->tsc_to_system_mul >> 32);
}

/* KVM's clock now; *flags may be NULL. */
static inline uint64_t kvm_clock_read(const volatile struct kvm_clock *clock, uint8_t *flags)
{
	for (;;) {
		uint32_t version = clock->version;
		__asm__ volatile("" : : : "memory");
		uint64_t now = kvm_clock_at(clock, tsc_ordered());
		if (flags)
			*flags = clock->flags;
		__asm__ volatile("" : : : "memory");
		if ((version & 1) == 0 && version == clock->version)
			return now;
	}
}

#endif
