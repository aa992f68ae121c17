/* Copies between kernel and application. SMAP is lifted just for the copy. */
#include "memory/memory.h"

int64_t copy_unchecked(void *to, const void *from, size_t length); /* cpu/entry.S */

static inline bool in_user(uint64_t address, size_t length)
{
	return address <= USER_END && length <= USER_END - address;
}

static int copy(void *to, const void *from, size_t length)
{
	if (cpu_features.smap)
		__asm__ volatile("stac" : : : "memory");
	int64_t result = copy_unchecked(to, from, length);
	if (cpu_features.smap)
		__asm__ volatile("clac" : : : "memory");
	return (int)result;
}

int copy_from_user(void *to, uint64_t from, size_t length)
{
	return in_user(from, length) ? copy(to, (const void *)from, length) : -EFAULT;
}

int copy_to_user(uint64_t to, const void *from, size_t length)
{
	return in_user(to, length) ? copy((void *)to, from, length) : -EFAULT;
}

int clear_user(uint64_t to, size_t length)
{
	static const char zeroes[PAGE_SIZE];
	while (length > 0) {
		size_t n = MIN(length, sizeof zeroes);
		int error = copy_to_user(to, zeroes, n);
		if (error != 0)
			return error;
		to += n;
		length -= n;
	}
	return 0;
}

int64_t copy_string_from_user(char *to, uint64_t from, size_t size)
{
	size_t done = 0;
	while (done < size) {
		size_t n = MIN(size - done, PAGE_SIZE - (from + done) % PAGE_SIZE); /* not past the page that holds the NUL */
		n = MIN(n, 256u); /* names are short */
		if (copy_from_user(to + done, from + done, n) != 0)
			return -EFAULT;
		size_t length = strnlen(to + done, n);
		if (length < n)
			return (int64_t)(done + length);
		done += n;
	}
	return -ENAMETOOLONG;
}
