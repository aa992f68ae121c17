/* A mapping that begins with code and goes on past it is executable in its code alone. DIES 139: execution of a page that is not code */
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
	char *code = mmap(0, end - start + 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, (long)start);
	if (code == MAP_FAILED)
		return 2;
	volatile char *tail = code + (end - start);
	(void)*tail; /* it can be read */
	((void (*)(void))(uintptr_t)tail)();
	return 0;
}
