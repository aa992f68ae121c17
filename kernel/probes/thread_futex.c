/* futex: wait, wake, bitsets, requeue, wake-op, timeouts on both clocks, signals; robust mutexes; condition variables. SUCCESS */
#include "check.h"
#include <limits.h>
#include <linux/futex.h>

static uint32_t a, b;
static volatile int woken, waiting;

static long futex(uint32_t *word, int operation, uint32_t value, const void *timeout, uint32_t *second, uint32_t value3)
{
	return syscall(SYS_futex, word, operation, value, timeout, second, value3);
}

static void *waiter(void *bitset)
{
	__atomic_add_fetch(&waiting, 1, __ATOMIC_SEQ_CST);
	CHECK(futex(&a, FUTEX_WAIT_BITSET_PRIVATE, 0, NULL, NULL, (uint32_t)(uintptr_t)bitset) == 0);
	__atomic_add_fetch(&woken, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static void settle(void)
{
	sleep_ns(30 * MILLISECOND);
}

static void timeouts(void)
{
	struct timespec t = timespec_of(20 * MILLISECOND);
	int64_t before = now();
	CHECK(futex(&a, FUTEX_WAIT_PRIVATE, 0, &t, NULL, 0) == -1 && errno == ETIMEDOUT);
	CHECK(now() - before >= 20 * MILLISECOND && now() - before < 1000 * MILLISECOND);
	before = now();
	t = timespec_of(before + 20 * MILLISECOND);
	CHECK(futex(&a, FUTEX_WAIT_BITSET_PRIVATE, 0, &t, NULL, ~0u) == -1 && errno == ETIMEDOUT);
	CHECK(now() - before >= 20 * MILLISECOND && now() - before < 1000 * MILLISECOND);
	before = now();
	t = timespec_of(clock_ns(CLOCK_REALTIME) + 20 * MILLISECOND);
	CHECK(futex(&a, FUTEX_WAIT_BITSET_PRIVATE | FUTEX_CLOCK_REALTIME, 0, &t, NULL, ~0u) == -1 && errno == ETIMEDOUT);
	CHECK(now() - before >= 19 * MILLISECOND && now() - before < 1000 * MILLISECOND);
	t = timespec_of(0);
	CHECK(futex(&a, FUTEX_WAIT_BITSET_PRIVATE, 0, &t, NULL, ~0u) == -1 && errno == ETIMEDOUT);
	CHECK(futex(&a, FUTEX_WAIT_PRIVATE, 0, &t, NULL, 0) == -1 && errno == ETIMEDOUT);
	t.tv_nsec = SECOND;
	CHECK(futex(&a, FUTEX_WAIT_PRIVATE, 0, &t, NULL, 0) == -1 && errno == EINVAL);
}

static void errors(void)
{
	CHECK(futex(&a, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0) == -1 && errno == EAGAIN);
	CHECK(futex((uint32_t *)((char *)&a + 1), FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0) == -1 && errno == EINVAL);
	CHECK(futex((uint32_t *)8, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0) == -1 && errno == EFAULT);
	CHECK(futex(&a, FUTEX_WAIT_BITSET_PRIVATE, 0, NULL, NULL, 0) == -1 && errno == EINVAL);
	CHECK(futex(&a, FUTEX_WAKE_BITSET_PRIVATE, 1, NULL, NULL, 0) == -1 && errno == EINVAL);
	CHECK(futex(&a, 99, 0, NULL, NULL, 0) == -1 && errno == ENOSYS);
	CHECK(futex(&a, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0) == 0);
}

static void wakes(void)
{
	pthread_t t[4];
	for (int i = 0; i < 4; i++)
		t[i] = start(waiter, (void *)(uintptr_t)(1u << i));
	while (waiting < 4)
		sleep_ns(MILLISECOND);
	settle();
	CHECK(woken == 0 && futex(&a, FUTEX_WAKE_BITSET_PRIVATE, INT_MAX, NULL, NULL, 6) == 2);
	settle();
	CHECK(woken == 2 && futex(&a, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)1, &b, 1) == -1 && errno == EAGAIN);
	CHECK(futex(&a, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)INT_MAX, &b, 0) == 2);
	settle();
	CHECK(woken == 3 && futex(&a, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0) == 0);
	/* b += 5; wake a's waiters, and b's if it was less than 1. */
	CHECK(futex(&a, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1, &b, FUTEX_OP(FUTEX_OP_ADD, 5, FUTEX_OP_CMP_LT, 1)) == 1 && b == 5);
	CHECK(futex(&a, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1, &b, FUTEX_OP(FUTEX_OP_ANDN, 1, FUTEX_OP_CMP_EQ, 1)) == 0 && b == 4);
	for (int i = 0; i < 4; i++)
		CHECK(pthread_join(t[i], NULL) == 0);
	CHECK(woken == 4);
}

static volatile int caught;

static void on_signal(int signal, siginfo_t *info, void *context)
{
	(void)signal, (void)info, (void)context;
	caught++;
}

static void *kicks(void *to)
{
	for (int i = 0; i < 3; i++) {
		settle();
		CHECK(pthread_kill(*(pthread_t *)to, SIGUSR1) == 0);
	}
	settle();
	a = 1;
	CHECK(futex(&a, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0) <= 1);
	return NULL;
}

static void interrupted(void)
{
	pthread_t self = pthread_self();
	struct timespec t = timespec_of(SECOND);
	handle(SIGUSR1, on_signal, 0);
	pthread_t other = start(kicks, &self);
	CHECK(futex(&a, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0) == -1 && errno == EINTR && caught == 1);
	CHECK(futex(&a, FUTEX_WAIT_PRIVATE, 0, &t, NULL, 0) == -1 && errno == EINTR && caught == 2);
	handle(SIGUSR1, on_signal, SA_RESTART);
	/* Restarted after the handler: woken then, or the word has changed meanwhile. */
	CHECK((futex(&a, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0) == 0 || errno == EAGAIN) && caught == 3);
	CHECK(pthread_join(other, NULL) == 0);
}

static pthread_mutex_t robust;

static void *dies_with_lock(void *unused)
{
	CHECK(pthread_mutex_lock(&robust) == 0);
	settle();
	return unused;
}

static void robust_mutex(void)
{
	pthread_mutexattr_t attributes;
	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
	CHECK(pthread_mutex_init(&robust, &attributes) == 0);
	pthread_t t = start(dies_with_lock, NULL);
	sleep_ns(10 * MILLISECOND);
	CHECK(pthread_mutex_lock(&robust) == EOWNERDEAD && pthread_mutex_consistent(&robust) == 0);
	CHECK(pthread_mutex_unlock(&robust) == 0 && pthread_mutex_lock(&robust) == 0 && pthread_join(t, NULL) == 0);
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static int turn, rounds;

static void *plays(void *side)
{
	for (int i = 0; i < 2000; i++) {
		pthread_mutex_lock(&lock);
		while (turn != (int)(intptr_t)side)
			pthread_cond_wait(&condition, &lock);
		turn = (turn + 1) % 3;
		rounds++;
		pthread_cond_broadcast(&condition);
		pthread_mutex_unlock(&lock);
	}
	return NULL;
}

int main(void)
{
	errors();
	timeouts();
	wakes();
	interrupted();
	robust_mutex();
	pthread_t t[3];
	for (intptr_t i = 0; i < 3; i++)
		t[i] = start(plays, (void *)i);
	for (int i = 0; i < 3; i++)
		CHECK(pthread_join(t[i], NULL) == 0);
	CHECK(rounds == 6000);
	puts("SUCCESS");
	return 0;
}
