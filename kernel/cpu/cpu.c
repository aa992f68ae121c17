/* Descriptor tables, control registers and the system-call entry of one CPU. */
#include "cpu/cpu.h"
#include "pvm/pvm.h"

struct cpu_features cpu_features;

struct per_cpu { /* entry.S knows the first three by offset */
	uint64_t kernel_stack, user_rsp;
	uint64_t smap;
};
static struct per_cpu per_cpu;

static uint64_t gdt[7] = {
	[SELECTOR_KERNEL_CODE / 8] = 0x00af9b000000ffff,
	[SELECTOR_KERNEL_DATA / 8] = 0x00cf93000000ffff,
	[SELECTOR_USER_DATA / 8] = 0x00cff3000000ffff,
	[SELECTOR_USER_CODE / 8] = 0x00affb000000ffff,
};

static struct {
	uint32_t reserved;
	uint64_t rsp[3], reserved2, ist[7], reserved3;
	uint16_t reserved4, io_map;
} __attribute__((packed)) tss;

static struct {
	uint16_t offset_low, selector;
	uint8_t ist, type;
	uint16_t offset_middle;
	uint32_t offset_high, reserved;
} idt[256];

static uint8_t double_fault_stack[KERNEL_STACK_SIZE] __attribute__((aligned(16)));

extern char trap_stubs[], system_call_entry[];

#define CR4_OSFXSR (1u << 9)
#define CR4_OSXMMEXCPT (1u << 10)
#define CR4_UMIP (1u << 11)
#define CR4_FSGSBASE (1u << 16)
#define CR4_OSXSAVE (1u << 18)
#define CR4_SMEP (1u << 20)
#define CR4_SMAP (1u << 21)
#define CR4_PGE (1u << 7)
#define MSR_EFER 0xc0000080
#define MSR_STAR 0xc0000081
#define MSR_LSTAR 0xc0000082
#define MSR_FMASK 0xc0000084
#define MSR_FS_BASE 0xc0000100
#define MSR_GS_BASE 0xc0000101
#define MSR_KERNEL_GS_BASE 0xc0000102
#define EFER_SCE 1u
#define RFLAGS_CLEARED 0x47700 /* AC, NT, OF, DF, IF, TF: what the kernel starts a system call without */

void fpu_init(void);

static void find_features(void)
{
	struct cpu_features *f = &cpu_features;
	uint32_t leaves = cpuid(0, 0).eax, extended = cpuid(0x80000000, 0).eax;
	struct cpuid one = cpuid(1, 0), seven = {0, 0, 0, 0};

	if (leaves >= 7)
		seven = cpuid(7, 0);
	f->pcid = one.ecx >> 17 & 1;
	f->x2apic = one.ecx >> 21 & 1;
	f->tsc_deadline = one.ecx >> 24 & 1;
	f->xsave = one.ecx >> 26 & 1;
	f->rdrand = one.ecx >> 30 & 1;
	f->hypervisor = one.ecx >> 31 & 1;
	f->fsgsbase = seven.ebx & 1;
	f->smep = seven.ebx >> 7 & 1;
	f->rdseed = seven.ebx >> 18 & 1;
	f->smap = seven.ebx >> 20 & 1;
	f->umip = seven.ecx >> 2 & 1;
	if (f->xsave && leaves >= 0xd)
		f->xsaveopt = cpuid(0xd, 1).eax & 1;
	if (extended >= 0x80000007)
		f->invariant_tsc = cpuid(0x80000007, 0).edx >> 8 & 1;
	if (extended >= 0x80000001)
		f->pages_1g = cpuid(0x80000001, 0).edx >> 26 & 1;
	if (pvm)
		pvm_correct_features(f);
	for (uint32_t base = 0x40000000; f->hypervisor && base < 0x40001000; base += 0x100) {
		struct cpuid leaf = cpuid(base, 0);
		if (leaf.ebx == 0x4b4d564b && leaf.ecx == 0x564b4d56 && leaf.edx == 0x4d) { /* "KVMKVMKVM" */
			f->kvm = true;
			f->kvm_leaf = base;
			f->kvm_features = cpuid(base + 1, 0).eax;
			break;
		}
	}
}

static void load_tables(void)
{
	uint64_t base = (uint64_t)&tss;
	tss.io_map = sizeof tss;
	tss.ist[0] = (uint64_t)double_fault_stack + sizeof double_fault_stack;
	gdt[SELECTOR_TASK / 8] = (sizeof tss - 1) | (base & 0xffffff) << 16 | 0x89ull << 40 | (base >> 24 & 0xff) << 56;
	gdt[SELECTOR_TASK / 8 + 1] = base >> 32;
	for (unsigned i = 0; i < 256; i++) {
		uint64_t stub = (uint64_t)trap_stubs + i * 16;
		idt[i].offset_low = (uint16_t)stub;
		idt[i].offset_middle = (uint16_t)(stub >> 16);
		idt[i].offset_high = (uint32_t)(stub >> 32);
		idt[i].selector = SELECTOR_KERNEL_CODE;
		idt[i].ist = i == 2 || i == 8 || i == 18; /* NMI, double fault, machine check */
		idt[i].type = i == 3 || i == 4 ? 0xee : 0x8e; /* ring 3 may raise INT3 and INTO only */
	}
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) pointer = {sizeof gdt - 1, (uint64_t)gdt};
	__asm__ volatile("lgdt %0" : : "m"(pointer));
	pointer.limit = sizeof idt - 1;
	pointer.base = (uint64_t)idt;
	__asm__ volatile("lidt %0" : : "m"(pointer));
	if (pvm) { /* CS and SS are right since boot, and cannot be loaded in the processor's ring 3 */
		__asm__ volatile("ltr %w0" : : "r"(SELECTOR_TASK));
		return;
	}
	__asm__ volatile("pushq %0\n\tlea 1f(%%rip), %%rax\n\tpush %%rax\n\tlretq\n1:\tltr %w1\n\tmov %w2, %%ss"
			 : : "i"(SELECTOR_KERNEL_CODE), "r"(SELECTOR_TASK), "r"(SELECTOR_KERNEL_DATA) : "rax", "memory");
}

static void set_cr4(void)
{
	uint64_t cr4;
	__asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
	cr4 |= CR4_OSFXSR | CR4_OSXMMEXCPT;
	cr4 &= ~(uint64_t)CR4_PGE;
	if (cpu_features.umip)
		cr4 |= CR4_UMIP;
	if (cpu_features.fsgsbase)
		cr4 |= CR4_FSGSBASE;
	if (cpu_features.xsave)
		cr4 |= CR4_OSXSAVE;
	if (cpu_features.smep)
		cr4 |= CR4_SMEP;
	if (cpu_features.smap)
		cr4 |= CR4_SMAP;
	__asm__ volatile("mov %0, %%cr4" : : "r"(cr4));
}

void cpu_init(void)
{
	find_features();
	load_tables();
	if (!pvm) /* there it is the host's */
		set_cr4();

	per_cpu.smap = cpu_features.smap;
	write_msr(MSR_GS_BASE, (uint64_t)&per_cpu);
	write_msr(MSR_KERNEL_GS_BASE, 0);
	write_msr(MSR_EFER, read_msr(MSR_EFER) | EFER_SCE);
	write_msr(MSR_STAR, (uint64_t)(SELECTOR_USER_DATA - 8) << 48 | (uint64_t)SELECTOR_KERNEL_CODE << 32);
	write_msr(MSR_LSTAR, (uint64_t)system_call_entry);
	write_msr(MSR_FMASK, RFLAGS_CLEARED);
	fpu_init();
}

void cpu_set_kernel_stack(uint64_t top)
{
	per_cpu.kernel_stack = top;
	tss.rsp[0] = top;
}

void cpu_set_fs_base(uint64_t base)
{
	if (cpu_features.fsgsbase)
		__asm__ volatile("wrfsbase %0" : : "r"(base));
	else
		write_msr(MSR_FS_BASE, base);
}

uint64_t cpu_get_fs_base(void)
{
	uint64_t base;
	if (!cpu_features.fsgsbase)
		return read_msr(MSR_FS_BASE);
	__asm__ volatile("rdfsbase %0" : "=r"(base));
	return base;
}

void cpu_idle(void)
{
	if (pvm) { /* HLT goes to the hypervisor, which then looks at the flag: no interrupt is lost here either */
		volatile uint64_t *on = &pvm_shared.interrupts_on;
		*on = 1;
		__asm__ volatile("hlt" : : : "memory");
		*on = 0;
		return;
	}
	/* STI takes effect after the next instruction: no interrupt is lost between the two. */
	__asm__ volatile("sti\n\thlt\n\tcli" : : : "memory");
}
