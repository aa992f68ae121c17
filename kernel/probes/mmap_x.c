/* No new executable page after start. DIES 139: an executable mapping of something other than the image's code was asked for (W^X) */
#include <sys/mman.h>

int main(void)
{
	mmap(0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return 0;
}
