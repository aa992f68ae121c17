/* Threads start, have their own thread-local memory and names, end, give their memory back, and are bounded. SUCCESS */
#include "check.h"
#include <sched.h>
#include <sys/prctl.h>

static __thread int local = 7;
static int mine[8];

static void *body(void *argument)
{
	char name[16] = "";
	CHECK(local == 7);
	local = (int)(intptr_t)argument;
	CHECK(prctl(PR_SET_NAME, "a name that is far too long") == 0 && prctl(PR_GET_NAME, name) == 0);
	CHECK(strcmp(name, "a name that is ") == 0);
	sched_yield();
	CHECK(local == (int)(intptr_t)argument && gettid() != getpid());
	mine[local]++;
	return argument;
}

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void *waits(void *unused)
{
	pthread_mutex_lock(&gate);
	pthread_mutex_unlock(&gate);
	return unused;
}

int main(void)
{
	pthread_t t[8];
	void *result;
	for (intptr_t i = 0; i < 8; i++)
		t[i] = start(body, (void *)i);
	for (intptr_t i = 0; i < 8; i++)
		CHECK(pthread_join(t[i], &result) == 0 && result == (void *)i && mine[i] == 1);
	CHECK(local == 7);

	/* One after the other: far more than fit at once. */
	for (int i = 0; i < 3000; i++) {
		t[0] = start(body, (void *)1);
		CHECK(pthread_join(t[0], NULL) == 0);
	}

	/* Together: the bound is EAGAIN, and nothing is lost by it. */
	enum { MANY = 1500 };
	static pthread_t many[MANY];
	pthread_attr_t small;
	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 16384);
	int count = 0, error = 0;
	pthread_mutex_lock(&gate);
	while (count < MANY && (error = pthread_create(&many[count], &small, waits, NULL)) == 0)
		count++;
	CHECK(count >= 100 && (error == 0 || error == EAGAIN));
	pthread_mutex_unlock(&gate);
	for (int i = 0; i < count; i++)
		CHECK(pthread_join(many[i], NULL) == 0);
	t[0] = start(body, (void *)1);
	CHECK(pthread_join(t[0], NULL) == 0);

	/* A detached thread outlives main's interest; CLONE flags that make no thread are refused or nonsense. */
	CHECK(syscall(SYS_clone, 0x10000 /* CLONE_THREAD alone */, 0, 0, 0, 0) == -1);
	printf("%d at once\nSUCCESS\n", count);
	return 0;
}
