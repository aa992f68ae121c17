/* The first thread may end before the others; the last one's end is the program's. SUCCESS */
#include "check.h"

static void *body(void *unused)
{
	sleep_ns(20 * MILLISECOND);
	puts("SUCCESS");
	fflush(stdout);
	return unused;
}

int main(void)
{
	start(body, NULL);
	pthread_exit(NULL);
}
