/* Nor mapped. SUCCESS */
#include <stdio.h>
#include <sys/mman.h>

int main(void)
{
	if (mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED)
		return 1;
	puts("SUCCESS");
	return 0;
}
