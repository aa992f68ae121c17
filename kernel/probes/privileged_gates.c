/* No software interrupt does anything for ring 3: not the gates by which a kernel talks to PVM (0x1a is CPUID there), nor another. SUCCESS */
#include <setjmp.h>

#include "check.h"

static sigjmp_buf refused;

static void handler(int number, siginfo_t *info, void *context)
{
	(void)info, (void)context;
	siglongjmp(refused, number);
}

#define REFUSED(vector)                                                                                                       \
	do {                                                                                                                  \
		int number_ = sigsetjmp(refused, 1);                                                                          \
		if (number_ == 0) {                                                                                           \
			__asm__ volatile("int $" #vector : : "a"(0x1000), "b"(0), "c"(0), "d"(0), "S"(0), "D"(0) : "memory"); \
			CHECK(!"int " #vector " came back");                                                                  \
		}                                                                                                             \
		CHECK(number_ == SIGSEGV || number_ == SIGILL);                                                                        \
	} while (0)

int main(void)
{
	handle(SIGSEGV, handler, 0);
	handle(SIGILL, handler, 0); /* what PVM says to some */
	REFUSED(0x0e);
	REFUSED(0x17);
	REFUSED(0x18);
	REFUSED(0x19);
	REFUSED(0x1b);
	REFUSED(0x30);
	REFUSED(0x80);
	REFUSED(0xe0);
	puts("SUCCESS");
	return 0;
}
