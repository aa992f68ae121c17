/* A handler sees the registers and the vector state of what it interrupted, may change them, and may run on a stack of its own. SUCCESS */
#include "check.h"
#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>

static volatile int caught;
static siginfo_t info_seen;
static char *alternate;
static const size_t alternate_size = 65536;
static sigjmp_buf back;
static uint64_t vector_seen[2];
static volatile int on_alternate, flags_seen;

static void skips(int signal, siginfo_t *info, void *context)
{
	ucontext_t *u = context;
	char here;
	info_seen = *info;
	caught = signal;
	on_alternate = &here >= alternate && &here < alternate + alternate_size;
	flags_seen = (int)u->uc_stack.ss_flags;
	memcpy(vector_seen, (char *)u->uc_mcontext.fpregs + 160 + 7 * 16, 16); /* XMM7 */
	if (u->uc_flags & 1) { /* UC_FP_XSTATE: the CPU has XSAVE */
		CHECK(*(uint32_t *)((char *)u->uc_mcontext.fpregs + 464) == 0x46505853); /* FP_XSTATE_MAGIC1 */
		uint32_t size = *(uint32_t *)((char *)u->uc_mcontext.fpregs + 464 + 16);
		CHECK(*(uint32_t *)((char *)u->uc_mcontext.fpregs + size) == 0x46505845); /* FP_XSTATE_MAGIC2 */
	}
	CHECK(((uintptr_t)u->uc_mcontext.fpregs & 63) == 0);
	u->uc_mcontext.gregs[REG_RIP] += 3; /* mov (%rbx), %rcx */
	u->uc_mcontext.gregs[REG_RCX] = 4711;
	*(uint64_t *)((char *)u->uc_mcontext.fpregs + 160 + 7 * 16) = 99;
}

static void jumps(int signal, siginfo_t *info, void *context)
{
	(void)signal, (void)context;
	info_seen = *info;
	siglongjmp(back, 1);
}

static uint64_t load(uint64_t address, uint64_t *vector)
{
	uint64_t result = 1;
	__asm__ volatile("movdqu (%3), %%xmm7\n\tmov %2, %%rbx\n\tmov (%%rbx), %%rcx\n\tmov %%rcx, %0\n\tmovdqu %%xmm7, %1"
			 : "=r"(result), "=m"(*(uint64_t(*)[2])vector) : "r"(address), "r"(vector) : "rbx", "rcx", "xmm7", "memory");
	return result;
}

static int recurse(int n)
{
	volatile char room[512];
	room[n & 511] = 1;
	return recurse(n + 1) + room[n & 511];
}

int main(void)
{
	uint64_t vector[2] = {0x1234, 0x5678};
	handle(SIGSEGV, skips, 0);
	CHECK(load(0x10, vector) == 4711 && caught == SIGSEGV && info_seen.si_code == SEGV_MAPERR && info_seen.si_addr == (void *)0x10);
	CHECK(vector_seen[0] == 0x1234 && vector_seen[1] == 0x5678 && vector[0] == 99 && vector[1] == 0x5678);
	char *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(load((uint64_t)page, vector) == 4711 && info_seen.si_code == SEGV_ACCERR && info_seen.si_addr == page);

	/* Leaving by a jump, again and again. */
	for (volatile int i = 0; i < 1000; i++) {
		handle(SIGSEGV, jumps, 0);
		if (sigsetjmp(back, 1) == 0) {
			*(volatile int *)page = i;
			CHECK(0);
		}
		CHECK(info_seen.si_addr == page);
	}
	handle(SIGFPE, jumps, 0);
	volatile int zero = 0, one = 1;
	if (sigsetjmp(back, 1) == 0)
		one /= zero;
	CHECK(info_seen.si_signo == SIGFPE && info_seen.si_code == FPE_INTDIV);
	handle(SIGILL, jumps, 0);
	if (sigsetjmp(back, 1) == 0)
		__asm__ volatile("ud2");
	CHECK(info_seen.si_signo == SIGILL);
	handle(SIGTRAP, jumps, 0);
	if (sigsetjmp(back, 1) == 0)
		__asm__ volatile("int3");
	CHECK(info_seen.si_signo == SIGTRAP);

	/* The alternate stack. */
	alternate = mmap(NULL, alternate_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	stack_t stack = {.ss_sp = alternate, .ss_size = alternate_size}, old;
	CHECK(sigaltstack(&stack, &old) == 0 && old.ss_flags == SS_DISABLE);
	handle(SIGSEGV, skips, 0);
	load(0x10, vector);
	CHECK(!on_alternate);
	handle(SIGSEGV, skips, SA_ONSTACK);
	load(0x10, vector);
	CHECK(on_alternate && sigaltstack(NULL, &old) == 0 && old.ss_sp == alternate && old.ss_flags == 0);
	stack.ss_size = 100;
	CHECK(sigaltstack(&stack, NULL) == -1 && errno == ENOMEM);
	stack.ss_size = alternate_size;
	stack.ss_flags = 1 << 31; /* SS_AUTODISARM */
	CHECK(sigaltstack(&stack, NULL) == 0);
	load(0x10, vector);
	CHECK(on_alternate && flags_seen == 1 << 31 && sigaltstack(NULL, &old) == 0 && old.ss_sp == alternate);
	stack.ss_flags = 0;
	CHECK(sigaltstack(&stack, NULL) == 0);

	/* What it is for: a stack that ran over can be told of, and left. */
	handle(SIGSEGV, jumps, SA_ONSTACK);
	for (volatile int i = 0; i < 3; i++) {
		if (sigsetjmp(back, 1) == 0)
			recurse(0);
		CHECK(info_seen.si_signo == SIGSEGV);
	}
	puts("SUCCESS");
	return 0;
}
