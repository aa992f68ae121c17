/* Becoming a PVM guest, and what differs then. The interface: docs/decisions/0050-pvm.md. */
#include "cpu/cpu.h"
#include "memory/memory.h"
#include "pvm/pvm.h"

#define MSR_CONTROL 0x4b564d10
#define MSR_SIGNATURE 0x4b564d11
#define MSR_FEATURES 0x4b564d12
#define SIGNATURE 0x4d5650 /* "PVM" */

/* MSR_CONTROL: the shared page's address, and what the hypervisor does for us on the way from ring 3. */
#define CONTROL_ENABLE 0x01u	       /* ring 0 runs on the processor; a return to ring 3 exchanges the GS bases and loads the user tables */
#define CONTROL_EXCEPTIONS 0x02u       /* exceptions and interrupts exchange the GS bases and load the kernel's tables */
#define CONTROL_SYSTEM_CALLS 0x04u     /* so do system calls */
#define CONTROL_SYSTEM_CALL_TABLES 0x08u
#define CONTROL_FAULT_ADDRESS 0x10u    /* CR2 is in the shared page */
#define CONTROL_DIRECT 0x60u	       /* switches that the hypervisor's entry code makes alone */
#define CONTROL (CONTROL_ENABLE | CONTROL_EXCEPTIONS | CONTROL_SYSTEM_CALLS | CONTROL_SYSTEM_CALL_TABLES | CONTROL_FAULT_ADDRESS | CONTROL_DIRECT)

#define MSR_STAR 0xc0000081
#define GATE_PRESENT_INTERRUPT 0x8e00u
#define VECTOR_GENERAL_PROTECTION 13

struct pvm_shared pvm_shared __attribute__((aligned(4096)));
bool pvm;
static struct cpuid guest; /* CPUID leaf 1 as the hypervisor answers it */

extern uint64_t boot_pml4[], boot_pdpt_low[], boot_pdpt_high[];
extern const struct pvm_site { /* cpu/entry.S: instructions that are others here */
	uint32_t address; /* less KERNEL_BASE */
	uint8_t length, bytes[3];
} pvm_sites[], pvm_sites_end[];

/* entry.S: 0 where the processor has no such register. */
uint64_t pvm_read_msr_if_any(uint32_t msr);
void pvm_no_such_register(void);

/* For as long as it may fault to ask for a register that no other machine has. */
static uint64_t probe(uint32_t msr)
{
	static uint64_t table[2 * (VECTOR_GENERAL_PROTECTION + 1)];
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) pointer = {sizeof table - 1, (uint64_t)table};
	uint64_t handler = (uint64_t)pvm_no_such_register;

	table[2 * VECTOR_GENERAL_PROTECTION] =
		(handler & 0xffff) | SELECTOR_KERNEL_CODE << 16 | (uint64_t)GATE_PRESENT_INTERRUPT << 32 | (handler >> 16 & 0xffff) << 48;
	table[2 * VECTOR_GENERAL_PROTECTION + 1] = handler >> 32;
	__asm__ volatile("lidt %0" : : "m"(pointer));
	return pvm_read_msr_if_any(msr);
}

void pvm_init(void)
{
	struct cpuid hypervisor;

	guest = cpuid(1, 0);
	if ((guest.ecx >> 31 & 1) == 0)
		return;
	hypervisor = cpuid(0x40000000, 0);
	if (hypervisor.ebx != 0x4b4d564b || probe(MSR_SIGNATURE) != SIGNATURE)
		return;

	/* Ring 3 of the processor reaches only what the tables call the user's. Ours are kept from the application by tables of its own. */
	boot_pml4[0] |= PTE_USER;
	boot_pml4[DIRECT_BASE >> 39 & 511] |= PTE_USER;
	boot_pml4[KERNEL_BASE >> 39 & 511] |= PTE_USER;
	boot_pdpt_low[0] |= PTE_USER;
	boot_pdpt_high[KERNEL_BASE >> 30 & 511] |= PTE_USER;
	write_msr(MSR_CONTROL, ((uint64_t)&pvm_shared - KERNEL_BASE) | CONTROL);
	pvm = true; /* from here on instructions are not emulated */
	for (const struct pvm_site *site = pvm_sites; site < pvm_sites_end; site++)
		memcpy((void *)(KERNEL_BASE + site->address), site->bytes, site->length);
}

void pvm_correct_features(struct cpu_features *features)
{
	features->smep = features->smap = features->umip = features->pcid = false;
	features->xsave = features->xsave && (cpuid(1, 0).ecx >> 27 & 1) != 0;
	features->x2apic = guest.ecx >> 21 & 1;
	features->tsc_deadline = guest.ecx >> 24 & 1;
	features->hypervisor = true;
}
