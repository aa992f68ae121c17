/* The kernel's clock cannot be changed through the page that it shares. SUCCESS */
#include "check.h"
#include <sys/auxv.h>
#include <sys/mman.h>

static int64_t kernel_clock(void)
{
	struct timespec t;
	CHECK(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t) == 0);
	return t.tv_sec * SECOND + t.tv_nsec;
}

int main(void)
{
	char *image = (char *)getauxval(AT_SYSINFO_EHDR);
	CHECK(image != NULL);
	for (int page = 1; page <= 2; page++) {
		int64_t before = kernel_clock();
		/* Refused, or a copy of one's own: then this program's clock is wrong, and nothing else. */
		if (mprotect(image - page * 4096, 4096, PROT_READ | PROT_WRITE) == 0)
			memset(image - page * 4096, 0xff, 64);
		CHECK(kernel_clock() >= before && kernel_clock() - before < SECOND);
	}
	struct timespec t = timespec_of(MILLISECOND);
	CHECK(syscall(SYS_nanosleep, &t, NULL) == 0);
	CHECK(mmap(image - 8192, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == image - 8192);
	puts("SUCCESS");
	return 0;
}
