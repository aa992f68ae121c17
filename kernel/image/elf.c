/* Which parts of an ELF file of the image are code (decision 0003), and its segments for the start of a program. */
#include "image/elf.h"

#include <linux/stat.h>

const char *elf_check(const void *file, uint64_t size)
{
	const Elf64_Ehdr *h = file;
	if (size < sizeof *h || memcmp(h->e_ident, ELFMAG, SELFMAG) != 0)
		return "it is no ELF file";
	if (h->e_ident[EI_CLASS] != ELFCLASS64 || h->e_machine != EM_X86_64)
		return "it is not for x86-64";
	if (h->e_type != ET_EXEC && h->e_type != ET_DYN)
		return "it is not executable";
	if (h->e_phentsize != sizeof(Elf64_Phdr) || h->e_phnum == 0 || h->e_phnum > ELF_SEGMENT_LIMIT || h->e_phoff > size ||
	    h->e_phoff % 8 != 0 || (uint64_t)h->e_phnum * sizeof(Elf64_Phdr) > size - h->e_phoff)
		return "its program headers are damaged";
	const Elf64_Phdr *segment = elf_segments(file);
	for (unsigned i = 0; i < h->e_phnum; i++, segment++) {
		if (segment->p_type != PT_LOAD)
			continue;
		if (segment->p_offset > size || segment->p_filesz > size - segment->p_offset || segment->p_filesz > segment->p_memsz ||
		    segment->p_vaddr % PAGE_SIZE != segment->p_offset % PAGE_SIZE || segment->p_memsz > USER_END ||
		    segment->p_vaddr > USER_END - segment->p_memsz)
			return "a segment lies outside the file";
	}
	return NULL;
}

const Elf64_Phdr *elf_segments(const void *file)
{
	return (const void *)((const char *)file + ((const Elf64_Ehdr *)file)->e_phoff);
}

uint64_t elf_first_segment(const void *file, uint64_t size)
{
	if (elf_check(file, size) != NULL)
		return size;
	const Elf64_Ehdr *h = file;
	const Elf64_Phdr *segment = elf_segments(file);
	for (unsigned i = 0; i < h->e_phnum; i++, segment++)
		if (segment->p_type == PT_LOAD)
			return segment->p_offset == 0 ? segment->p_filesz : size;
	return size;
}

const Elf64_Ehdr *elf_of_image(const struct image_node *node, const char **wrong)
{
	const char *ignored, **said = wrong != NULL ? wrong : &ignored;
	*said = (node->flags & IMAGE_PAGE_ALIGNED) == 0 ? "it does not lie on pages" : node->size < sizeof(Elf64_Ehdr) ? "it is no ELF file" : NULL;
	if (*said != NULL)
		return NULL;
	const Elf64_Ehdr *h = image_data(node, 0, sizeof *h);
	uint64_t table = (uint64_t)h->e_phnum * sizeof(Elf64_Phdr);
	if (h->e_phoff <= node->size && table <= node->size - h->e_phoff)
		image_data(node, h->e_phoff, table);
	*said = elf_check(h, node->size);
	return *said == NULL ? h : NULL;
}

bool image_executable(uint32_t number, uint64_t offset, uint64_t length)
{
	const struct image_node *node = image_node(number);
	const Elf64_Ehdr *h = S_ISREG(node->mode) ? elf_of_image(node, NULL) : NULL;
	if (h == NULL)
		return false;
	const Elf64_Phdr *segment = elf_segments(h);
	for (unsigned i = 0; i < h->e_phnum; i++, segment++) {
		if (segment->p_type != PT_LOAD || (segment->p_flags & PF_X) == 0 || (segment->p_flags & PF_W) != 0)
			continue;
		uint64_t start = ROUND_DOWN(segment->p_offset, PAGE_SIZE), end = ROUND_UP(segment->p_offset + segment->p_filesz, PAGE_SIZE);
		if (offset >= start && offset <= end && length <= end - offset)
			return true;
	}
	return false;
}
