/* SUCCESS */
/* Where the command line describes no device, the device files give nothing: no registers, no memory, no interrupt. */
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "check.h"

int main(void)
{
	uint64_t region[2] = {4096, 0};
	uint32_t line = 16;
	int mem = open("/dev/mem", O_RDWR), dma = open("/dev/dma", O_RDWR), irq = open("/dev/irq", O_RDWR);
	int port = open("/dev/port", O_RDWR);
	CHECK(mem >= 0 && dma >= 0 && irq >= 0 && port >= 0);
	CHECK(mmap(NULL, 4096, PROT_READ, MAP_SHARED, mem, 0x200000) == MAP_FAILED && errno == ENXIO);
	CHECK(mmap(NULL, 4096, PROT_READ, MAP_SHARED, mem, 0xfee00000) == MAP_FAILED && errno == ENXIO);
	CHECK(ioctl(dma, 0xc0105301, region) == -1 && errno == ENXIO);
	CHECK(mmap(NULL, 4096, PROT_READ, MAP_SHARED, dma, 0) == MAP_FAILED && errno == ENXIO);
	CHECK(ioctl(irq, 0x40045302, &line) == -1 && errno == ENXIO);
	CHECK(read(irq, &line, 4) == -1 && errno == EINVAL);
	CHECK(ioctl(irq, 0x80105303, region) == -1 && errno == ENXIO);
	CHECK(pread(port, &line, 4, 0xcf8) == -1 && errno == ENXIO);
	CHECK(pwrite(port, &line, 4, 0xcf8) == -1 && errno == ENXIO);
	puts("SUCCESS");
	return 0;
}
