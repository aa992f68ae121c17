/* mmap, mprotect, mremap, munmap, madvise, brk: what they promise about contents, places and errors. SUCCESS */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CHECK(condition)                                                                                                       \
	do                                                                                                                     \
		if (!(condition)) {                                                                                            \
			printf("line %d: %s (errno %d)\n", __LINE__, #condition, errno);                                       \
			return 1;                                                                                              \
		}                                                                                                              \
	while (0)
#define RW (PROT_READ | PROT_WRITE)
#define ANONYMOUS (MAP_PRIVATE | MAP_ANONYMOUS)

static char *map(size_t length)
{
	return mmap(0, length, RW, ANONYMOUS, -1, 0);
}

int main(void)
{
	const size_t page = 4096;
	char *p = map(8 * page);
	CHECK(p != MAP_FAILED && p[0] == 0 && p[8 * page - 1] == 0);
	for (size_t i = 0; i < 8; i++)
		p[i * page] = (char)('a' + i);

	/* A hole in the middle stays a hole; its neighbours stay. */
	CHECK(munmap(p + 2 * page, 2 * page) == 0 && p[page] == 'b' && p[4 * page] == 'e');
	CHECK(mprotect(p, 8 * page, PROT_READ) == -1 && errno == ENOMEM);
	CHECK(mmap(p + 2 * page, page, RW, ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == p + 2 * page && p[2 * page] == 0);
	errno = 0;
	CHECK(mmap(p, page, RW, ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED && errno == EEXIST && p[0] == 'a');
	CHECK(mmap(p, page, RW, ANONYMOUS | MAP_FIXED, -1, 0) == p && p[0] == 0);

	/* Protection taken away and given back keeps the contents. */
	CHECK(mprotect(p + 4 * page, 2 * page, PROT_NONE) == 0 && mprotect(p + 4 * page, 2 * page, RW) == 0 && p[5 * page] == 'f');

	/* Growing moves the contents along, or stays in place. */
	char *q = map(4 * page), *blocker = mmap(q + 4 * page, page, PROT_NONE, ANONYMOUS, -1, 0);
	memset(q, 'q', 4 * page);
	char *r = mremap(q, 4 * page, 64 * page, 0);
	CHECK(blocker != MAP_FAILED && (r == MAP_FAILED || r == q));
	if (r == MAP_FAILED)
		r = mremap(q, 4 * page, 64 * page, MREMAP_MAYMOVE);
	CHECK(r != MAP_FAILED && r[0] == 'q' && r[4 * page - 1] == 'q' && r[4 * page] == 0 && r[64 * page - 1] == 0);
	CHECK(mremap(r, 64 * page, page, 0) == r && r[0] == 'q');
	char *place = map(4 * page);
	CHECK(mremap(r, page, 2 * page, MREMAP_MAYMOVE | MREMAP_FIXED, place) == place && place[0] == 'q' && place[page] == 0);
	CHECK(mremap(place, page, 0, MREMAP_MAYMOVE) == MAP_FAILED && errno == EINVAL);

	/* Dropped pages read as zero, and can be written again. */
	CHECK(madvise(place, page, MADV_DONTNEED) == 0 && place[0] == 0);
	place[0] = 1;
	char *shared = mmap(0, page, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(shared != MAP_FAILED && (shared[0] = 1) == 1 && madvise(shared, page, MADV_DONTNEED) == 0 && shared[0] == 1);
	CHECK(madvise(place, page, 12345) == -1 && errno == EINVAL);

	/* The break. */
	char *heap = (char *)syscall(SYS_brk, 0);
	CHECK((char *)syscall(SYS_brk, heap + 3 * page) == heap + 3 * page);
	memset(heap, 1, 3 * page);
	CHECK((char *)syscall(SYS_brk, heap) == heap && (char *)syscall(SYS_brk, heap + page) == heap + page && heap[0] == 0);
	CHECK((char *)syscall(SYS_brk, (char *)0x7fffffffffff) == heap + page);

	CHECK(mmap(0, 0, RW, ANONYMOUS, -1, 0) == MAP_FAILED && errno == EINVAL);
	CHECK(mmap(0, page, RW, MAP_ANONYMOUS, -1, 0) == MAP_FAILED && errno == EINVAL);
	CHECK(munmap((char *)1, page) == -1 && errno == EINVAL);
	CHECK(mprotect((char *)0x10000000000, page, RW) == -1 && errno == ENOMEM);
	puts("SUCCESS");
	return 0;
}
