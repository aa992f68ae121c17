/* SIGTERM without a handler ends the program. DIES 143: ended by signal SIGTERM */
#include "check.h"

static void *sleeps(void *unused)
{
	sleep_ns(10 * SECOND);
	return unused;
}

int main(void)
{
	start(sleeps, NULL);
	kill(getpid(), SIGTERM);
	return 0;
}
