/* A mapping of code does not grow over what lies behind the code in its file. DIES 139: an executable mapping of something other than the image's code was asked for (W^X) */
#include <elf.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

int main(void)
{
	char head[4096];
	int fd = open("/bin/probe", O_RDONLY);
	if (fd < 0 || read(fd, head, sizeof head) != sizeof head)
		return 1;
	const Elf64_Phdr *s = (const void *)(head + ((const Elf64_Ehdr *)head)->e_phoff);
	while (s->p_type != PT_LOAD || (s->p_flags & PF_X) == 0)
		s++;
	uint64_t start = s->p_offset & ~4095ul, end = (s->p_offset + s->p_filesz + 4095) & ~4095ul;
	char *code = mmap(0, end - start, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, (long)start);
	if (code == MAP_FAILED || mremap(code, end - start, 4096, 0) != code || mremap(code, 4096, end - start, MREMAP_MAYMOVE) == MAP_FAILED)
		return 2; /* within the code it may */
	write(1, "within\n", 7);
	code = mmap(0, end - start, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, (long)start);
	mremap(code, end - start, end - start + 4096, MREMAP_MAYMOVE);
	write(1, "SUCCESS\n", 8);
	return 0;
}
