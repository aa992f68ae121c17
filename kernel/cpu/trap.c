/* Faults, exceptions and interrupts: to a signal, to a handler, or to a panic. */
#include <asm/signal.h>
#include <asm/siginfo.h>

#include "cpu/cpu.h"
#include "memory/memory.h"
#include "pvm/pvm.h"
#include "thread/thread.h"

#define PAGE_FAULT_PRESENT 1u
#define PAGE_FAULT_WRITE 2u
#define PAGE_FAULT_EXECUTE 16u

extern char copy_unchecked_end[], copy_fault[];
int64_t copy_unchecked(void *to, const void *from, size_t length);
void interrupt_handle(unsigned vector);

static const struct {
	const char *name;
	int signal, code;
} exceptions[32] = {
	[0] = {"divide error", SIGFPE, FPE_INTDIV},
	[1] = {"debug", SIGTRAP, TRAP_TRACE},
	[2] = {"non-maskable interrupt", 0, 0},
	[3] = {"breakpoint", SIGTRAP, SI_KERNEL},
	[4] = {"overflow", SIGSEGV, SI_KERNEL},
	[5] = {"bound range", SIGSEGV, SI_KERNEL},
	[6] = {"invalid opcode", SIGILL, ILL_ILLOPN},
	[7] = {"no FPU", 0, 0},
	[8] = {"double fault", 0, 0},
	[10] = {"invalid TSS", 0, 0},
	[11] = {"segment not present", SIGBUS, SI_KERNEL},
	[12] = {"stack segment", SIGBUS, SI_KERNEL},
	[13] = {"general protection", SIGSEGV, SI_KERNEL},
	[14] = {"page fault", SIGSEGV, SEGV_MAPERR},
	[16] = {"x87 error", SIGFPE, FPE_FLTINV},
	[17] = {"alignment check", SIGBUS, BUS_ADRALN},
	[18] = {"machine check", 0, 0},
	[19] = {"SIMD error", SIGFPE, FPE_FLTINV},
	[21] = {"control protection", SIGSEGV, SEGV_CPERR},
};

static uint64_t fault_address(void)
{
	uint64_t address;
	if (pvm)
		return pvm_shared.fault_address;
	__asm__ volatile("mov %%cr2, %0" : "=r"(address));
	return address;
}

static bool in_copy(uint64_t rip)
{
	return rip >= (uint64_t)copy_unchecked && rip < (uint64_t)copy_unchecked_end;
}

static _Noreturn void kernel_fault(const struct trap_frame *frame, uint64_t address)
{
	const char *name = frame->vector < 32 ? exceptions[frame->vector].name : NULL;
	if (address >= STACKS_BASE && address < DEVICES_BASE)
		panic("a kernel stack ran over (thread %d, rip %016lx)", current != NULL ? current->tid : 0, frame->rip);
	panic("%s in the kernel: rip %016lx rsp %016lx error %lx address %016lx", name ? name : "trap", frame->rip, frame->rsp,
	      frame->error, address);
}

static void page_fault(struct trap_frame *frame)
{
	uint64_t address = fault_address();
	bool user = from_user(frame);

	if (!user && !(in_copy(frame->rip) && address < USER_END))
		kernel_fault(frame, address);
	struct fault_result result = fault_resolve(address, frame->error & PAGE_FAULT_WRITE, frame->error & PAGE_FAULT_EXECUTE);
	if (result.signal == 0)
		return;
	if (user && (frame->error & PAGE_FAULT_EXECUTE) != 0 && result.code == SEGV_ACCERR && trampoline_emulate(frame))
		return;
	if (user)
		signal_fault(frame, result.signal, result.code, address, result.what);
	else
		frame->rip = (uint64_t)copy_fault;
}

void trap_handle(struct trap_frame *frame)
{
	unsigned vector = (unsigned)frame->vector;

	if (vector >= 32) {
		interrupt_handle(vector);
		return;
	}
	if (vector == 14) {
		page_fault(frame);
		return;
	}
	if (!from_user(frame) || exceptions[vector].signal == 0)
		kernel_fault(frame, fault_address());
	uint64_t address = vector == 0 || vector == 6 || vector == 16 || vector == 19 ? frame->rip : 0;
	signal_fault(frame, exceptions[vector].signal, exceptions[vector].code, address, exceptions[vector].name);
}
