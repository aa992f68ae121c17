/* Nothing that is written into a handler's frame can hurt anybody but the program itself. SUCCESS */
#include "check.h"
#include <setjmp.h>
#include <stdbool.h>
#include <ucontext.h>

static sigjmp_buf back;
static volatile int mode;
static uint64_t seed = 88172645463325252ull;

static uint64_t next(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	return seed ^= seed << 17;
}

static void fault(int signal, siginfo_t *info, void *context)
{
	(void)signal, (void)info, (void)context;
	siglongjmp(back, 1);
}

static void spoils(int signal, siginfo_t *info, void *context)
{
	ucontext_t *u = context;
	unsigned char *fpu = (unsigned char *)u->uc_mcontext.fpregs;
	greg_t *r = u->uc_mcontext.gregs;
	bool extended = u->uc_flags & 1; /* UC_FP_XSTATE: not on CPUs without XSAVE */
	(void)signal, (void)info;
	switch (extended || mode % 12 > 4 || mode % 12 == 0 ? mode % 12 : 11) {
	case 0: *(uint32_t *)(fpu + 24) = 0xffffffff; break; /* MXCSR */
	case 1: memset(fpu + 512, 0xff, 64); break; /* XSAVE header */
	case 2: *(uint64_t *)(fpu + 520) = 1ull << 63; break; /* compact format */
	case 3: *(uint32_t *)(fpu + 464) = 0; break; /* no extended state */
	case 4: *(uint32_t *)(fpu + 480) = 0x7fffffff; break; /* its size */
	case 5: u->uc_mcontext.fpregs = (void *)0x10; break;
	case 6: u->uc_mcontext.fpregs = (void *)0xffffffff80000000; break;
	case 7: u->uc_mcontext.fpregs = NULL; break;
	case 8: r[REG_EFL] = (greg_t)~0x100ull; break; /* IOPL, NT, VM, RF, no IF: but no single steps */
	case 9: r[REG_RIP] = (greg_t)0x8000000000000000; break;
	case 10: r[REG_RIP] = (greg_t)0xffffffff80200000; break;
	default:
		for (int i = 0; i < 8; i++)
			fpu[next() % (extended ? 576 : 512)] = (unsigned char)next();
	}
}

int main(void)
{
	stack_t stack = {.ss_sp = malloc(65536), .ss_size = 65536};
	CHECK(sigaltstack(&stack, NULL) == 0);
	handle(SIGUSR1, spoils, 0);
	handle(SIGSEGV, fault, SA_ONSTACK);
	handle(SIGBUS, fault, SA_ONSTACK);
	handle(SIGFPE, fault, SA_ONSTACK);
	for (mode = 0; mode < 6000; mode++) {
		if (sigsetjmp(back, 1) == 0)
			raise(SIGUSR1);
		uint64_t flags;
		__asm__ volatile("pushf\n\tpop %0\n\tpush $2\n\tpopf\n\tfninit\n\tcld" : "=r"(flags));
		CHECK((flags & 0x3000) == 0 && (flags & 0x200) != 0); /* no I/O privilege, interrupts on */
		uint32_t mxcsr = 0x1f80;
		__asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
	}
	puts("SUCCESS");
	return 0;
}
