/* ELF files of the image. */
#ifndef SARAB_ELF_H
#define SARAB_ELF_H

#include <linux/elf.h>

#include "kernel.h"

#define ELF_SEGMENT_LIMIT 64

/* NULL when the headers can be trusted, else what is wrong: a phrase. */
const char *elf_check(const void *file, uint64_t size);
/* Where the first segment ends in the file; the file's size if it is no ELF file, or its first segment does not begin it. */
uint64_t elf_first_segment(const void *file, uint64_t size);
const Elf64_Phdr *elf_segments(const void *file);
/* The headers of a file of the image that can be trusted, or NULL and in *wrong, if that is not NULL, a phrase. */
struct image_node;
const Elf64_Ehdr *elf_of_image(const struct image_node *node, const char **wrong);
/* Is the range wholly within one executable, never writable, segment of this file of the image? */
bool image_executable(uint32_t number, uint64_t offset, uint64_t length);

#endif
