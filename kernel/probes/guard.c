/* A stack that runs over ends in its guard. DIES 139: a stack ran over into its guard */
#include <string.h>

#pragma GCC diagnostic ignored "-Winfinite-recursion"
static int recurse(int depth)
{
	volatile char room[1024];
	memset((char *)room, depth, sizeof room);
	return recurse(depth + 1) + room[depth & 1023];
}

int main(void)
{
	return recurse(0);
}
