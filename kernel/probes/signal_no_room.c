/* A handler without a stack to run on is no handler. DIES 139: no room on the stack for the handler of SIGSEGV */
#include "check.h"

static void handler(int signal, siginfo_t *info, void *context)
{
	(void)signal, (void)info, (void)context;
}

static int recurse(int n)
{
	volatile char room[512];
	room[n & 511] = 1;
	return recurse(n + 1) + room[n & 511];
}

int main(void)
{
	handle(SIGSEGV, handler, 0);
	return recurse(0);
}
