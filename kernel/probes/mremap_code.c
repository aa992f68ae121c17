/* A mapping of code does not grow over what lies behind the code in its file. DIES 139: an executable mapping of something other than the image's code was asked for (W^X) */
#include <sys/mman.h>

#include "own_code.h"

int main(void)
{
	uint64_t start, end;
	int fd = own_code(&start, &end);
	if (fd < 0)
		return 1;
	char *code = mmap(0, end - start, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, (long)start);
	if (code == MAP_FAILED || mremap(code, end - start, 4096, 0) != code || mremap(code, 4096, end - start, MREMAP_MAYMOVE) == MAP_FAILED)
		return 2; /* within the code it may */
	write(1, "within\n", 7);
	code = mmap(0, end - start, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, (long)start);
	mremap(code, end - start, end - start + 4096, MREMAP_MAYMOVE);
	write(1, "SUCCESS\n", 8);
	return 0;
}
