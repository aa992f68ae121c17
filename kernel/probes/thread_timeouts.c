/* Who computes goes on however many others wait for a microsecond at a time, as Python's threads do for the GIL. SUCCESS */
#include "check.h"
#include <linux/futex.h>

static volatile int stop;
static volatile uint64_t waits;
static uint32_t never;

static void *waits_shortly(void *unused)
{
	struct timespec t = timespec_of(1000);
	(void)unused;
	while (!stop) {
		syscall(SYS_futex, &never, FUTEX_WAIT_PRIVATE, 0, &t, NULL, 0);
		waits++;
	}
	return NULL;
}

/* How far a computing thread counts in a fifth of a second; the clock is read by the vDSO. */
static uint64_t computes(void)
{
	uint64_t count = 0;
	for (int64_t end = now() + SECOND / 5; now() < end;)
		count++;
	return count;
}

int main(void)
{
	enum { WAITING = 8 };
	pthread_t t[WAITING];
	uint64_t alone = computes();
	for (int others = 1; others <= WAITING; others++) {
		t[others - 1] = start(waits_shortly, NULL);
		if ((others & (others - 1)) != 0)
			continue;
		uint64_t before = waits, beside = computes();
		printf("%d others: %llu %% of alone, %llu waits\n", others, (unsigned long long)(beside * 100 / alone),
		       (unsigned long long)(waits - before));
		CHECK(beside > alone / 50); /* a fair share beside eight is a ninth; a busy host takes of it */
		CHECK(waits > before);
	}
	stop = 1;
	for (int i = 0; i < WAITING; i++)
		CHECK(pthread_join(t[i], NULL) == 0);
	puts("SUCCESS");
	return 0;
}
