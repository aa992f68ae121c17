/* Where things lie in this boot, and the secrets drawn for it: other boots must differ. SUCCESS */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

int main(void)
{
	int local;
	const unsigned char *seed = (const unsigned char *)getauxval(AT_RANDOM);
	printf("code %p\nstack %p\nheap %p\nmmap %p\nvdso %p\n", (void *)main, (void *)&local, sbrk(0),
	       mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), (void *)getauxval(AT_SYSINFO_EHDR));
	printf("seed 0x");
	for (int i = 0; i < 16; i++)
		printf("%02x", seed[i]);
	unsigned char random[16];
	if (getentropy(random, sizeof random) != 0)
		return 1;
	printf("\nrandom 0x");
	for (int i = 0; i < 16; i++)
		printf("%02x", random[i]);
	puts("\nSUCCESS");
	return 0;
}
