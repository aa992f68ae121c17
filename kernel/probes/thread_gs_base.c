/* Each thread has its own GS base, and one that has set none has zero. SUCCESS */
#include "check.h"

#include <asm/prctl.h>
#include <sched.h>

#define ROUNDS 2000

static void *with_its_own(void *argument)
{
	uint64_t here = (uint64_t)argument, told, value;
	CHECK(syscall(SYS_arch_prctl, ARCH_SET_GS, &here) == 0);
	for (int i = 0; i < ROUNDS; i++) {
		sched_yield();
		__asm__ volatile("mov %%gs:0, %0" : "=r"(value));
		CHECK(value == (uint64_t)argument);
		CHECK(syscall(SYS_arch_prctl, ARCH_GET_GS, &told) == 0 && told == (uint64_t)&here);
	}
	return NULL;
}

static void *with_none(void *argument)
{
	uint64_t told;
	(void)argument;
	for (int i = 0; i < ROUNDS; i++) {
		sched_yield();
		CHECK(syscall(SYS_arch_prctl, ARCH_GET_GS, &told) == 0 && told == 0);
	}
	return NULL;
}

int main(void)
{
	pthread_t threads[] = {start(with_its_own, (void *)11), start(with_none, NULL), start(with_its_own, (void *)22), start(with_none, NULL)};
	for (size_t i = 0; i < sizeof threads / sizeof *threads; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	puts("SUCCESS");
	return 0;
}
