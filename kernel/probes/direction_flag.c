/* Flags that the application sets do not reach the kernel: direction, alignment check, nested task. SUCCESS */
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
	static const char text[] = "SUCCESS\n";
	long result;
	__asm__ volatile("std\n\tpushfq\n\torq $0x40000, (%%rsp)\n\tpopfq\n\tsyscall\n\tpushfq\n\tandq $~0x40400, (%%rsp)\n\tpopfq"
			 : "=a"(result)
			 : "a"(SYS_write), "D"(1), "S"(text), "d"(sizeof text - 1)
			 : "rcx", "r11", "memory", "cc");
	return result == sizeof text - 1 ? 0 : 1;
}
