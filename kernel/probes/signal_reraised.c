/* A handler that raises its signal again, as faulthandler's does: the report is of where it happened first. DIES 139: address 0000000000001234 */
#include "check.h"

static void handler(int number, siginfo_t *info, void *context)
{
	(void)info, (void)context;
	signal(number, SIG_DFL);
	raise(number);
}

int main(void)
{
	handle(SIGSEGV, handler, SA_NODEFER);
	*(volatile int *)0x1234 = 1;
	return 0;
}
