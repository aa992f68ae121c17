/* A mapping that begins with code and goes on past it is executable in its code alone. DIES 139: execution of a page that is not code */
#include <sys/mman.h>

#include "own_code.h"

int main(void)
{
	uint64_t start, end;
	int fd = own_code(&start, &end);
	if (fd < 0)
		return 1;
	char *code = mmap(0, end - start + 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, (long)start);
	if (code == MAP_FAILED)
		return 2;
	volatile char *tail = code + (end - start);
	(void)*tail; /* it can be read */
	((void (*)(void))(uintptr_t)tail)();
	return 0;
}
