/* So does a thread's. DIES 139: a stack ran over into its guard */
#include <pthread.h>
#include <string.h>

#pragma GCC diagnostic ignored "-Winfinite-recursion"
static int recurse(int depth)
{
	volatile char room[1024];
	memset((char *)room, depth, sizeof room);
	return recurse(depth + 1) + room[depth & 1023];
}

static void *thread(void *unused)
{
	(void)unused;
	return (void *)(long)recurse(0);
}

int main(void)
{
	pthread_t t;
	pthread_create(&t, 0, thread, 0);
	pthread_join(t, 0);
	return 0;
}
