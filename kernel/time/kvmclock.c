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

struct kvm_page kvm_page __attribute__((aligned(PAGE_SIZE)));

static struct {
	uint32_t version, seconds, nanoseconds;
} wall_clock __attribute__((aligned(16)));

static uint64_t physical(const void *object)
{
	return (uint64_t)object - KERNEL_BASE;
}

bool kvmclock_init(void)
{
	uint32_t features = cpu_features.kvm ? cpu_features.kvm_features : 0;
	bool new = features & FEATURE_CLOCK_NEW;

	if ((features & (FEATURE_CLOCK | FEATURE_CLOCK_NEW)) == 0)
		return false;
	write_msr(new ? MSR_SYSTEM_TIME_NEW : MSR_SYSTEM_TIME, physical(&kvm_page.clock) | SYSTEM_TIME_ENABLE);
	write_msr(new ? MSR_WALL_CLOCK_NEW : MSR_WALL_CLOCK, physical(&wall_clock));
	return kvm_page.clock.version != 0 && kvm_page.clock.tsc_to_system_mul != 0;
}

int64_t kvmclock_read(void)
{
	return (int64_t)kvm_clock_read(&kvm_page.clock, NULL);
}

int64_t kvmclock_boot_realtime(void)
{
	return (int64_t)(wall_clock.seconds * NANOSECONDS + wall_clock.nanoseconds);
}

/* tsc_to_system_mul / 2^32 * 2^tsc_shift nanoseconds are a cycle. */
uint64_t kvmclock_tsc_frequency(void)
{
	uint64_t frequency = (NANOSECONDS << 32) / kvm_page.clock.tsc_to_system_mul;
	int8_t shift = kvm_page.clock.tsc_shift;
	return shift < 0 ? frequency << -shift : frequency >> shift;
}
