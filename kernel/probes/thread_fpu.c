/* Vector registers, MXCSR and the x87 control word belong to a thread, whoever runs in between and whatever handlers do. SUCCESS */
#include "check.h"

static volatile int stop, handled;

static void on_signal(int signal, siginfo_t *info, void *context)
{
	uint32_t mxcsr = 0x1f80, now_mxcsr;
	(void)signal, (void)info, (void)context;
	__asm__ volatile("stmxcsr %0" : "=m"(now_mxcsr));
	CHECK(now_mxcsr == mxcsr); /* a handler starts with what a program starts with */
	__asm__ volatile("pcmpeqd %%xmm0, %%xmm0\n\tmovdqa %%xmm0, %%xmm7\n\tmovdqa %%xmm0, %%xmm15\n\tfninit" : : : "xmm0", "xmm7", "xmm15");
	handled++;
}

static void *keeps(void *seed)
{
	uint64_t value[2] = {(uint64_t)(uintptr_t)seed * 0x0101010101010101, ~(uint64_t)(uintptr_t)seed}, seen[2], also[2];
	uint32_t mxcsr = 0x1f80 | (uint32_t)((uintptr_t)seed & 3) << 13, mxcsr_seen; /* a rounding mode each */
	uint16_t control = (uint16_t)(0x37f & ~0x300u), control_seen;
	__asm__ volatile("ldmxcsr %0\n\tfldcw %1" : : "m"(mxcsr), "m"(control));
	while (!stop) {
		/* Long enough to be interrupted in. */
		__asm__ volatile("movdqu %2, %%xmm7\n\tmovdqu %2, %%xmm15\n\tmov $200000, %%ecx\n1:\tdec %%ecx\n\tjnz 1b\n\t"
				 "movdqu %%xmm7, %0\n\tmovdqu %%xmm15, %1"
				 : "=m"(seen), "=m"(also) : "m"(value) : "ecx", "xmm7", "xmm15");
		CHECK(memcmp(seen, value, sizeof seen) == 0 && memcmp(also, value, sizeof also) == 0);
		__asm__ volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(mxcsr_seen), "=m"(control_seen));
		CHECK(mxcsr_seen == mxcsr && control_seen == control);
	}
	return NULL;
}

int main(void)
{
	pthread_t t[3];
	handle(SIGUSR1, on_signal, SA_RESTART);
	for (uintptr_t i = 0; i < 3; i++)
		t[i] = start(keeps, (void *)(i + 1));
	for (int i = 0; i < 60; i++) {
		sleep_ns(5 * MILLISECOND);
		CHECK(pthread_kill(t[i % 3], SIGUSR1) == 0);
	}
	stop = 1;
	for (int i = 0; i < 3; i++)
		CHECK(pthread_join(t[i], NULL) == 0);
	CHECK(handled > 10);
	puts("SUCCESS");
	return 0;
}
