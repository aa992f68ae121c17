/* No page is ever writable and executable. DIES 139: a mapping that is writable and executable was asked for (W^X) */
#include <sys/mman.h>

int main(void)
{
	mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return 0;
}
