/* Mappings made to hurt: as many as there can be, as large as there can be, and so sparse that their page tables are all there is. SUCCESS */
#include "check.h"
#include <setjmp.h>
#include <sys/mman.h>

#define PAGE 4096ul
#define LIMIT 16384 /* of mappings: MAPPING_LIMIT */
#define ANONYMOUS (MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE)

static sigjmp_buf back;

static void fault(int signal, siginfo_t *info, void *context)
{
	(void)signal, (void)info, (void)context;
	siglongjmp(back, 1);
}

/* mremap() cuts and inserts: with a full table it fails, and it did once end the kernel. */
static void too_many(void)
{
	char *p = mmap(NULL, 2 * LIMIT * PAGE, PROT_NONE, ANONYMOUS, -1, 0), *moved;
	size_t made = 0;
	CHECK(p != MAP_FAILED);
	while (made < LIMIT && mprotect(p + 2 * made * PAGE, PAGE, PROT_READ) == 0)
		made++;
	CHECK(made > LIMIT / 2 - 100 && made < LIMIT / 2 && errno == ENOMEM);
	/* Now one by one, until not even a mapping that is there already can go to another place. */
	for (int free = 6; free >= 0; free--) {
		for (int i = 0; i < 8; i++) {
			moved = mremap(p + 2 * i * PAGE, PAGE, 2 * PAGE, MREMAP_MAYMOVE);
			CHECK(moved != MAP_FAILED || errno == ENOMEM);
		}
		mmap(NULL, PAGE, free % 2 ? PROT_READ : PROT_NONE, ANONYMOUS, -1, 0);
	}
	CHECK(munmap(p, 2 * LIMIT * PAGE) == 0);
}

/* Nothing is there: it must not take longer because it is large. */
static void too_large(void)
{
	const size_t size = 1ul << 45;
	int64_t before = now();
	for (int i = 0; i < 20; i++) {
		char *p = mmap(NULL, size, PROT_READ, ANONYMOUS, -1, 0), *q;
		CHECK(p != MAP_FAILED && p[12345 * PAGE] == 0 && mprotect(p, size, PROT_NONE) == 0 && madvise(p, size, MADV_DONTNEED) == 0);
		q = mremap(p, size, size + PAGE, MREMAP_MAYMOVE);
		CHECK(q != MAP_FAILED);
		p = mmap(NULL, size, PROT_NONE, ANONYMOUS, -1, 0);
		CHECK(p != MAP_FAILED && mremap(q, size + PAGE, size, MREMAP_MAYMOVE | MREMAP_FIXED, p) == p && munmap(p, size) == 0);
	}
	CHECK(now() - before < SECOND);
}

/* A page in every two megabytes costs a table each. What was promised to others must still be there when no table is to be had. */
static void too_sparse(void)
{
	const size_t size = 1ul << 44, promised = 8 << 20;
	struct sigaction action = {.sa_sigaction = fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
	volatile size_t at = 0;
	char *mine = mmap(NULL, promised, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *p = mmap(NULL, size, PROT_READ, ANONYMOUS, -1, 0), *q = mmap(NULL, size, PROT_NONE, ANONYMOUS, -1, 0);
	CHECK(mine != MAP_FAILED && p != MAP_FAILED && q != MAP_FAILED && sigaction(SIGBUS, &action, NULL) == 0);
	if (sigsetjmp(back, 1) == 0)
		for (; at < size; at += 1 << 21)
			CHECK(p[at] == 0);
	CHECK(at > (1ul << 31) && at < size);
	memset(mine, 1, promised); /* was SIGBUS */
	/* No table to move them to: was a panic. */
	CHECK(mremap(p, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, q) == MAP_FAILED && errno == ENOMEM);
	CHECK(munmap(p, size) == 0 && munmap(q, size) == 0 && munmap(mine, promised) == 0);
	for (int i = 0; i < 3; i++) { /* and all of them come back */
		p = mmap(NULL, size, PROT_READ, ANONYMOUS, -1, 0);
		CHECK(p != MAP_FAILED);
		for (size_t n = 0; n < at / 2; n += 1 << 21)
			CHECK(p[n] == 0);
		CHECK(munmap(p, size) == 0);
	}
}

int main(void)
{
	too_many();
	too_large();
	too_sparse();
	puts("SUCCESS");
	return 0;
}
