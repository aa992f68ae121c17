/* A file that the application wrote is not executable. DIES 139: an executable mapping of something other than the image's code was asked for (W^X) */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

int main(void)
{
	int fd = open("/tmp/code", O_RDWR | O_CREAT, 0755);
	char page[4096] = {(char)0xc3};
	if (fd < 0 || write(fd, page, sizeof page) != sizeof page)
		return 1;
	mmap(0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	return 0;
}
