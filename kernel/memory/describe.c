/* What is mapped, in words: /proc/self/maps and the crash report. */
#include <linux/mman.h>

#include "memory/memory.h"

/* A name that holds a newline must not look like two lines: as in Linux, it is told as \012. */
static int put_name(char *to, size_t size, const char *name)
{
	size_t length = 0;
	for (; *name != 0 && length + 5 < size; name++) {
		bool newline = *name == '\n';
		memcpy(to + length, newline ? "\\012" : name, newline ? 4 : 1);
		length += newline ? 4 : 1;
	}
	to[length] = 0;
	return (int)length;
}

static size_t describe_mapping(const struct mapping *m, char *to, size_t size)
{
	const char *name = m->guard ? "[guard]" : m->name != NULL ? m->name : m->object != NULL ? m->object->name : "";
	uint64_t inode = m->object != NULL ? m->object->inode_number : 0;
	int length = snprintf(to, size, "%08lx-%08lx %c%c%c%c %08lx 00:%02x %lu", m->start, m->end, m->protection & PROT_READ ? 'r' : '-',
			      m->protection & PROT_WRITE ? 'w' : '-', m->protection & PROT_EXEC ? 'x' : '-', m->shared ? 's' : 'p', m->offset,
			      m->object != NULL ? 1 : 0, inode);
	if (name != NULL && name[0] != 0 && (size_t)length < size) {
		length += snprintf(to + length, size - (size_t)length, "%*s", length < 72 ? 73 - length : 1, "");
		if ((size_t)length < size)
			length += put_name(to + length, size - (size_t)length, name);
	}
	return MIN((size_t)length, size - 1);
}

size_t memory_describe(uint64_t *cursor, char *to, size_t size)
{
	size_t i = mapping_index(*cursor);
	if (i == mapping_count() || size < 2)
		return 0;
	*cursor = mapping_at(i)->end;
	size_t length = describe_mapping(mapping_at(i), to, size - 1);
	to[length++] = '\n';
	to[length] = 0;
	return length;
}

void memory_describe_address(uint64_t address, char *to, size_t size)
{
	const struct mapping *m = mapping_find(address);
	if (m != NULL) {
		describe_mapping(m, to, size);
		return;
	}
	size_t i = mapping_index(address);
	char below[64] = "", above[64] = "";
	if (i > 0)
		snprintf(below, sizeof below, ", %lu bytes above %lx", address - mapping_at(i - 1)->end, mapping_at(i - 1)->end);
	if (i < mapping_count())
		snprintf(above, sizeof above, ", %lu bytes below %lx", mapping_at(i)->start - address, mapping_at(i)->start);
	snprintf(to, size, "nothing is mapped there%s%s", below, above);
}

uint64_t memory_resident_pages(void)
{
	return resident_pages;
}

uint64_t memory_virtual_pages(void)
{
	uint64_t pages = 0;
	for (size_t i = 0; i < mapping_count(); i++)
		pages += (mapping_at(i)->end - mapping_at(i)->start) >> PAGE_SHIFT;
	return pages;
}
