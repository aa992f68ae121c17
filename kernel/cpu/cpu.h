/* What the CPU offers to the other rooms of the kernel, beyond kernel.h. */
#ifndef SARAB_CPU_H
#define SARAB_CPU_H

#include "kernel.h"
#include "pvm/pvm.h"

/* Interrupt vectors. 0..31 are the CPU's. */
#define VECTOR_LINES 0x30 /* GSI n is VECTOR_LINES + n, n < 24 */
#define VECTOR_MESSAGES 0x50 /* 32 for message-signalled interrupts */
#define VECTOR_TIMER 0xe0 /* local APIC timer -> timer_interrupt() */
#define VECTOR_SPURIOUS 0xff

static inline void out8(uint16_t port, uint8_t value) { __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port)); }
static inline void out16(uint16_t port, uint16_t value) { __asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port)); }
static inline void out32(uint16_t port, uint32_t value) { __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port)); }
static inline uint8_t in8(uint16_t port)
{
	uint8_t value;
	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}
static inline uint16_t in16(uint16_t port)
{
	uint16_t value;
	__asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}
static inline uint32_t in32(uint16_t port)
{
	uint32_t value;
	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}
static inline void write_msr(uint32_t msr, uint64_t value)
{
	if (pvm) { /* a call is cheaper than an instruction that must be emulated */
		pvm_call(PVM_WRITE_MSR, msr, value);
		return;
	}
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)) : "memory");
}
static inline uint64_t read_msr(uint32_t msr)
{
	uint32_t low, high;
	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return (uint64_t)high << 32 | low;
}
static inline uint64_t read_tsc(void)
{
	uint32_t low, high;
	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}
struct cpuid {
	uint32_t eax, ebx, ecx, edx;
};
static inline struct cpuid cpuid(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid r;
	__asm__ volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "a"(leaf), "c"(subleaf));
	return r;
}

/* Features of this CPU, found by cpu_init(). */
struct cpu_features {
	bool smep, smap, umip, fsgsbase, xsave, xsaveopt, rdrand, rdseed, tsc_deadline, invariant_tsc, pages_1g, x2apic, pcid;
	bool hypervisor, kvm;
	uint32_t kvm_leaf, kvm_features; /* CPUID base (0x40000000 + n*0x100) and feature bits of KVM */
};
extern struct cpu_features cpu_features;

void cpu_init(void);	  /* descriptor tables, control registers, SYSCALL entry */
void apic_init(void);	  /* local APIC on, PIC masked, IO-APIC lines masked */
uint32_t lapic_read(unsigned reg); /* register by its xAPIC offset (0x320 LVT timer, 0x380 initial count, 0x390 current, 0x3e0 divide) */
void lapic_write(unsigned reg, uint32_t value);
void *device_map(uint64_t physical, uint64_t length); /* registers, uncached; panics when the window is full */
void *device_map_open(uint64_t physical, uint64_t length); /* the same for a device that has its page together with devices of ring 3 */
bool device_is_kernels(uint64_t page);		      /* device_map() has mapped this physical page */

/* The stack for the next entry from ring 3 (TSS.rsp0 and SYSCALL). */
void cpu_set_kernel_stack(uint64_t top);
/* Interrupts on, hlt until one came and was handled, interrupts off. */
void cpu_idle(void);

/* Kernel stacks with a guard below: the top address, or 0 without memory. */
uint64_t kernel_stack_allocate(void);
void kernel_stack_free(uint64_t top);

/* Called by name from the entry code (cpu/entry.S): */
void trap_handle(struct trap_frame *frame);
_Noreturn void trap_return(void); /* rsp is at a trap_frame: back to ring 3. A new thread starts here */

/* A jump to a page that is not code: was it to one of libffi's closures? Then it has been made. (trampoline.c) */
bool trampoline_emulate(struct trap_frame *frame);

/* The last page fault or other trap of ring 3 that became a signal, for the report. */
struct fault {
	struct trap_frame frame;
	uint64_t address; /* cr2 for a page fault */
	const char *what; /* a phrase: "write to a read-only page", "stack guard", ... NULL: a plain fault */
	bool valid;
};

/* The crash report of decision 0002 and DESIGN section 3: registers, the mapping that was hit, the kernel's view of the threads.
 * fault may be NULL (a signal from kill() or abort()). Does not stop the machine. */
void report_death(int signal, const struct trap_frame *frame, const struct fault *fault);

#endif
