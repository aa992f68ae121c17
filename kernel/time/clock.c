/* The monotonic and the realtime clock: KVM's where it is offered, else the time stamp counter. */
#include "boot/boot.h"
#include "cpu/cpu.h"
#include "time/clock.h"
#include "time/time.h"
#include "time/vdso.h"

#define HYPERVISOR_FREQUENCIES 0x40000010 /* VMware's convention, which QEMU follows: kHz of TSC and of the local APIC timer */

uint64_t tsc_frequency;
struct scale tsc_scale;
struct wait_queue clock_was_set = WAIT_QUEUE_INITIAL(clock_was_set);

static enum clock_source source;
static int64_t latest; /* told so far: KVM's clock may step back a little unless it says that it does not */

int64_t time_monotonic(void)
{
	const struct vdso_data *data = vdso_data;
	if (source == CLOCK_SOURCE_TSC)
		return data->monotonic_base + (int64_t)scale_apply(data->scale, tsc_ordered() - data->tsc_base);
	if (source == CLOCK_SOURCE_NONE)
		return 0;
	int64_t now = data->monotonic_base + kvmclock_read();
	latest = MAX(latest, now);
	return latest;
}

int64_t time_realtime(void)
{
	return time_monotonic() + vdso_data->realtime_offset;
}

void clock_set_realtime(int64_t realtime)
{
	volatile struct vdso_data *data = vdso_data;
	data->sequence++;
	__asm__ volatile("" : : : "memory");
	data->realtime_offset = realtime - time_monotonic();
	__asm__ volatile("" : : : "memory");
	data->sequence++;
	wake(&clock_was_set, WAKE_ALL);
	posix_timers_clock_set();
}

int64_t deadline_after(int64_t nanoseconds)
{
	int64_t now = time_monotonic();
	return nanoseconds >= FOREVER - now ? FOREVER : now + nanoseconds;
}

int64_t deadline_of_realtime(int64_t realtime)
{
	int64_t offset = vdso_data->realtime_offset;
	if (offset < 0 && realtime > FOREVER + offset)
		return FOREVER;
	return MAX(0, realtime - offset);
}

/* What the CPU or the hypervisor says of itself; 0: nothing. */
static struct calibration told_frequencies(void)
{
	struct calibration told = {0, 0};
	uint32_t leaves = cpuid(0, 0).eax;

	if (cpu_features.kvm && cpu_features.kvm_leaf == 0x40000000 && cpuid(0x40000000, 0).eax >= HYPERVISOR_FREQUENCIES) {
		struct cpuid leaf = cpuid(HYPERVISOR_FREQUENCIES, 0);
		told.tsc_frequency = leaf.eax * 1000ull;
		told.lapic_frequency = leaf.ebx * 1000ull;
	}
	if (told.tsc_frequency == 0 && leaves >= 0x15) {
		struct cpuid leaf = cpuid(0x15, 0); /* denominator, numerator, crystal in Hz */
		if (leaf.eax != 0)
			told.tsc_frequency = (uint64_t)leaf.ecx * leaf.ebx / leaf.eax;
	}
	return told;
}

static void find_frequencies(struct calibration *c, bool kvm)
{
	*c = told_frequencies();
	if (kvm)
		c->tsc_frequency = kvmclock_tsc_frequency();
	bool timer_known = c->lapic_frequency != 0 || cpu_features.tsc_deadline;
	if (c->tsc_frequency == 0 && !calibrate(c)) {
		if (cpuid(0, 0).eax >= 0x16)
			c->tsc_frequency = (cpuid(0x16, 0).eax & 0xffff) * 1000000ull; /* the nominal one: better than no boot */
		if (c->tsc_frequency == 0)
			panic("this machine has no clock: neither kvmclock, nor CPUID's TSC frequency, nor an 8254 timer");
	}
	if (!timer_known && c->lapic_frequency == 0)
		calibrate_lapic(c, c->tsc_frequency);
}

void time_init(void)
{
	struct calibration frequencies;

	vdso_pages_init();
	struct vdso_data *data = vdso_data;
	bool kvm = kvmclock_init();

	find_frequencies(&frequencies, kvm);
	tsc_frequency = frequencies.tsc_frequency;
	tsc_scale = scale_make(tsc_frequency, NANOSECONDS);

	/* Zero is the kernel's entry. */
	data->tsc_base = boot_tsc;
	data->scale = tsc_scale;
	source = CLOCK_SOURCE_TSC;
	if (kvm) {
		int64_t since_entry = (int64_t)scale_apply(tsc_scale, tsc_ordered() - boot_tsc);
		data->monotonic_base = since_entry - kvmclock_read();
		source = CLOCK_SOURCE_KVM;
		data->realtime_offset = kvmclock_boot_realtime() - data->monotonic_base;
	} else {
		int64_t realtime = rtc_read();
		if (realtime < 0)
			kprintf("no battery clock: the time is 1970");
		else
			data->realtime_offset = realtime - time_monotonic();
	}
	/* A counter whose rate changes is no clock for the vDSO; under a hypervisor it is constant, whatever the CPU's name says. */
	if (source == CLOCK_SOURCE_KVM || cpu_features.invariant_tsc || cpu_features.hypervisor)
		data->source = source;

	timers_init(cpu_features.tsc_deadline ? 0 : frequencies.lapic_frequency);
}
