/* Threads that start, end, wait with and without a time, signal each other and are interrupted by timers, all at once. SUCCESS */
#include "check.h"
#include <sys/time.h>

enum { WORKERS = 12, ROUNDS = 400 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static pthread_t workers[WORKERS];
static volatile int handled, ready;
static int balance;

static void on_signal(int signal, siginfo_t *info, void *context)
{
	double x = signal;
	(void)info, (void)context;
	handled += x * 1.5 > 0;
}

static void *nothing(void *argument)
{
	return argument;
}

static void *works(void *argument)
{
	uint64_t seed = (uint64_t)(uintptr_t)argument * 0x9e3779b97f4a7c15;
	stack_t stack = {.ss_sp = malloc(65536), .ss_size = 65536};
	struct timespec t;
	double sum = 0, expected = 0;
	CHECK(sigaltstack(&stack, NULL) == 0);
	while (!ready)
		sched_yield();
	for (int i = 0; i < ROUNDS; i++) {
		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		sum += (double)(seed >> 11);
		expected += (double)(seed >> 11);
		switch (seed % 7) {
		case 0:
			t = timespec_of((int64_t)(seed >> 20) % MILLISECOND);
			nanosleep(&t, NULL);
			break;
		case 1:
			pthread_mutex_lock(&lock);
			t = timespec_of(clock_ns(CLOCK_REALTIME) + (int64_t)(seed >> 20) % MILLISECOND);
			pthread_cond_timedwait(&condition, &lock, &t);
			balance++;
			pthread_mutex_unlock(&lock);
			break;
		case 2:
			pthread_mutex_lock(&lock);
			balance--;
			pthread_cond_broadcast(&condition);
			pthread_mutex_unlock(&lock);
			break;
		case 3:
			CHECK(pthread_kill(workers[seed / 7 % WORKERS], SIGRTMIN + 3 + (int)(seed / 1000 % 4)) == 0);
			break;
		case 4: {
			pthread_t child = start(nothing, &seed);
			void *result;
			CHECK(pthread_join(child, &result) == 0 && result == &seed);
			break;
		}
		case 5:
			for (volatile int n = 0; n < 20000; n++)
				;
			break;
		default:
			sched_yield();
		}
		CHECK(sum == expected);
	}
	stack.ss_flags = SS_DISABLE;
	CHECK(sigaltstack(&stack, NULL) == 0);
	pthread_mutex_lock(&lock);
	ready++;
	pthread_mutex_unlock(&lock);
	while (ready <= WORKERS) /* nobody ends while others may still send it signals */
		sleep_ns(MILLISECOND);
	free(stack.ss_sp);
	return NULL;
}

int main(void)
{
	struct itimerval interval = {{0, 700}, {0, 700}}, none = {{0, 0}, {0, 0}};
	for (int i = 0; i < 4; i++)
		handle(SIGRTMIN + 3 + i, on_signal, SA_ONSTACK | SA_RESTART);
	handle(SIGALRM, on_signal, SA_ONSTACK);
	for (uintptr_t i = 0; i < WORKERS; i++)
		workers[i] = start(works, (void *)(i + 1));
	CHECK(setitimer(ITIMER_REAL, &interval, NULL) == 0);
	ready = 1;
	for (int i = 0; i < WORKERS; i++)
		CHECK(pthread_join(workers[i], NULL) == 0);
	CHECK(setitimer(ITIMER_REAL, &none, NULL) == 0);
	CHECK(handled > WORKERS);
	puts("SUCCESS");
	return 0;
}
