/* Memory that is not there is refused when it is asked for, not when it is touched; and what was granted can be used. SUCCESS */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

int main(void)
{
	size_t granted = 0, piece = 1 << 20;
	for (;; granted += piece) {
		char *p = mmap(0, piece, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED)
			break;
		memset(p, 1, piece);
	}
	if (errno != ENOMEM || granted == 0 || granted > (64ul << 30))
		return 1;
	printf("%zu MiB were granted and used\nSUCCESS\n", granted >> 20);
	return 0;
}
