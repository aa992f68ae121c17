/* A system call does not read, write or fill the kernel's memory for the application. SUCCESS */
#include <errno.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int main(void)
{
	static const unsigned long kernel[] = {0xffffffff80200000, 0xffff888000200000, 0x7ffffffff000, 0x8000000000000000, ~0ul};
	for (unsigned i = 0; i < sizeof kernel / sizeof kernel[0]; i++) {
		if (syscall(SYS_write, 1, kernel[i], 16ul) != -1 || errno != EFAULT)
			return 1;
		if (syscall(SYS_getrandom, kernel[i], 16ul, 0) != -1 || errno != EFAULT)
			return 2;
		if (syscall(SYS_clock_gettime, 1, kernel[i]) != -1 || errno != EFAULT)
			return 3;
		if (syscall(SYS_open, kernel[i], 0, 0) != -1 || errno != EFAULT)
			return 4;
	}
	puts("SUCCESS");
	return 0;
}
