/* Who computes does not starve the others, and who wakes up gets the CPU soon. SUCCESS */
#include "check.h"

static volatile int stop;
static volatile uint64_t count[4];
static int64_t used[4];

static void *computes(void *index)
{
	int i = (int)(intptr_t)index;
	while (!stop)
		count[i]++;
	used[i] = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	return NULL;
}

int main(void)
{
	enum { COMPUTING = 3, SLEEPS = 100 };
	pthread_t t[COMPUTING];
	for (intptr_t i = 0; i < COMPUTING; i++)
		t[i] = start(computes, (void *)i);

	/* Each sleep is 5 ms, as with Python's switch interval. */
	int64_t late[SLEEPS], most = 0, sum = 0;
	for (int i = 0; i < SLEEPS; i++) {
		int64_t before = now();
		sleep_ns(5 * MILLISECOND);
		late[i] = now() - before - 5 * MILLISECOND;
		CHECK(late[i] >= 0);
		sum += late[i];
		most = late[i] > most ? late[i] : most;
	}
	int64_t average = sum / SLEEPS;

	/* Signalled by a computing thread's side: the main thread waits for nothing but its turn. */
	uint64_t before[COMPUTING];
	for (int i = 0; i < COMPUTING; i++)
		before[i] = count[i];
	sleep_ns(300 * MILLISECOND);
	stop = 1;
	for (int i = 0; i < COMPUTING; i++)
		CHECK(count[i] > before[i]);
	for (int i = 0; i < COMPUTING; i++)
		CHECK(pthread_join(t[i], NULL) == 0);
	int64_t all = 0;
	for (int i = 0; i < COMPUTING; i++)
		all += used[i];
	for (int i = 0; i < COMPUTING; i++)
		CHECK(used[i] > all / COMPUTING / 2);
	printf("late by %lld us on average, %lld at most\n", (long long)average / 1000, (long long)most / 1000);
	CHECK(average < 10 * MILLISECOND); /* three turns of the others are 15; a busy host adds what it likes */
	puts("SUCCESS");
	return 0;
}
