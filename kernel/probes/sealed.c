/* After sealing, not even the image's own code is mapped again. DIES 139: a new executable mapping was asked for after the address space was sealed */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

int main(void)
{
	int fd = open("/bin/probe", O_RDONLY), seal = open("/dev/seal", O_WRONLY);
	char header[64];
	if (fd < 0 || seal < 0 || read(fd, header, sizeof header) != sizeof header)
		return 1;
	if (write(seal, "1", 1) != 1)
		return 2;
	mmap(0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 4096);
	return 0;
}
