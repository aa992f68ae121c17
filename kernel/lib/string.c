/* Memory and strings. Whole words by the string instructions, which both hardware and emulators do well. */
#include "kernel.h"

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
	void *d = to;
	const void *s = from;
	size_t words = n / 8, rest = n % 8;
	__asm__ volatile("rep movsq\n\tmov %3, %%rcx\n\trep movsb" : "+D"(d), "+S"(s), "+c"(words) : "r"(rest) : "memory");
	return to;
}

void *memmove(void *to, const void *from, size_t n)
{
	if ((uintptr_t)to - (uintptr_t)from >= n)
		return memcpy(to, from, n);
	char *d = (char *)to + n;
	const char *s = (const char *)from + n;
	while (n-- > 0)
		*--d = *--s;
	return to;
}

void *memset(void *to, int byte, size_t n)
{
	void *d = to;
	size_t words = n / 8, rest = n % 8;
	uint64_t pattern = 0x0101010101010101ull * (uint8_t)byte;
	__asm__ volatile("rep stosq\n\tmov %3, %%rcx\n\trep stosb" : "+D"(d), "+c"(words) : "a"(pattern), "r"(rest) : "memory");
	return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const uint8_t *p = a, *q = b;
	for (; n > 0; n--, p++, q++)
		if (*p != *q)
			return *p - *q;
	return 0;
}

size_t strnlen(const char *s, size_t limit)
{
	size_t n = 0;
	while (n < limit && s[n] != 0)
		n++;
	return n;
}

size_t strlen(const char *s)
{
	return strnlen(s, SIZE_MAX);
}

int strncmp(const char *a, const char *b, size_t n)
{
	for (; n > 0; n--, a++, b++)
		if (*a != *b || *a == 0)
			return (uint8_t)*a - (uint8_t)*b;
	return 0;
}

int strcmp(const char *a, const char *b)
{
	return strncmp(a, b, SIZE_MAX);
}

char *strchr(const char *s, int c)
{
	for (;; s++) {
		if (*s == (char)c)
			return (char *)(uintptr_t)s;
		if (*s == 0)
			return NULL;
	}
}

bool parse_size(const char *text, uint64_t *size)
{
	uint64_t value = 0;
	const char *s = text;
	for (; *s >= '0' && *s <= '9'; s++) {
		if (value > UINT64_MAX / 16)
			return false;
		value = value * 10 + (uint64_t)(*s - '0');
	}
	if (s == text)
		return false;
	unsigned shift = 0;
	if (*s == 'K' || *s == 'k')
		shift = 10;
	else if (*s == 'M' || *s == 'm')
		shift = 20;
	else if (*s == 'G' || *s == 'g')
		shift = 30;
	if (shift != 0)
		s++;
	if (*s != 0 || value > UINT64_MAX >> shift)
		return false;
	*size = value << shift;
	return true;
}
