/* KVM's paravirtual clock: linux/Documentation/virt/kvm/x86/msr.rst. */
#include "cpu/cpu.h"
#include "time/clock.h"
#include "time/vdso.h"

#define FEATURE_CLOCK (1u << 0)
#define FEATURE_CLOCK_NEW (1u << 3)
#define MSR_WALL_CLOCK 0x11
#define MSR_SYSTEM_TIME 0x12
#define MSR_WALL_CLOCK_NEW 0x4b564d00
#define MSR_SYSTEM_TIME_NEW 0x4b564d01
#define SYSTEM_TIME_ENABLE 1u

static struct {
	uint32_t version, seconds, nanoseconds;
} wall_clock __attribute__((aligned(16)));

bool kvmclock_init(void)
{
	uint32_t features = cpu_features.kvm ? cpu_features.kvm_features : 0;
	bool new = features & FEATURE_CLOCK_NEW;

	if ((features & (FEATURE_CLOCK | FEATURE_CLOCK_NEW)) == 0)
		return false;
	write_msr(new ? MSR_SYSTEM_TIME_NEW : MSR_SYSTEM_TIME, ((uint64_t)kvm_clock - DIRECT_BASE) | SYSTEM_TIME_ENABLE);
	write_msr(new ? MSR_WALL_CLOCK_NEW : MSR_WALL_CLOCK, (uint64_t)&wall_clock - KERNEL_BASE);
	return kvm_clock->version != 0 && kvm_clock->tsc_to_system_mul != 0;
}

int64_t kvmclock_read(void)
{
	return (int64_t)kvm_clock_read(kvm_clock, NULL);
}

int64_t kvmclock_boot_realtime(void)
{
	return (int64_t)(wall_clock.seconds * NANOSECONDS + wall_clock.nanoseconds);
}

/* tsc_to_system_mul / 2^32 * 2^tsc_shift nanoseconds are a cycle. */
uint64_t kvmclock_tsc_frequency(void)
{
	uint64_t frequency = (NANOSECONDS << 32) / kvm_clock->tsc_to_system_mul;
	int8_t shift = kvm_clock->tsc_shift;
	return shift < 0 ? frequency << -shift : frequency >> shift;
}
