/* What was written does not become executable. DIES 139: an executable mapping of something other than the image's code was asked for (W^X) */
#include <sys/mman.h>

int main(void)
{
	char *page = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	page[0] = (char)0xc3;
	mprotect(page, 4096, PROT_READ | PROT_EXEC);
	return 0;
}
