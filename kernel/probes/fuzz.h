/* What the parts of fuzz_calls.c share: workers, the values that arguments are drawn from, the table of calls. */
#ifndef FUZZ_H
#define FUZZ_H

#include "check.h"
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "../personality/syscalls.h"

/* Workers run without libc: the storm takes their thread pointers, masks and alternate stacks away. */
enum { WORKERS = 4, CHILDREN = 6, ALL_WORKERS = WORKERS + CHILDREN };
#define BLOCK_SIZE 65536u	 /* a worker's: its stack below, its alternate stack above, so that an address on either names it */
#define SCRATCH_SIZE 65536u	 /* what its pointers mostly show into, with nothing mapped around it */
#define PART_SIZE 8192u		 /* of the scratch, for each argument */
#define SCRATCH_AT 0x7000000000ull
#define ZONE_SIZE (1ull << 40)	 /* mappings may be made and taken away there */
#define KICK 34			 /* a signal that nothing blocks: it gets a worker out of any call that waits */
#define FIRST_KEPT 1000		 /* descriptors of the checks: not the storm's */
#define KEPT 8
#define TRAP_SIGNALS                                                                                                           \
	(1ull << (SIGSEGV - 1) | 1ull << (SIGBUS - 1) | 1ull << (SIGILL - 1) | 1ull << (SIGFPE - 1) | 1ull << (SIGTRAP - 1) |   \
	 1ull << (SIGSYS - 1) | 1ull << (SIGABRT - 1))
#define NEVER_BLOCKED (TRAP_SIGNALS | 1ull << (KICK - 1))

/* kernel/layout.h */
#define USER_END 0x00007ffffffff000ull
#define DIRECT_BASE 0xffff880000000000ull
#define STACKS_BASE 0xffffc90000000000ull
#define KERNEL_BASE 0xffffffff80000000ull
/* What the kernel uses of each; the storm's own values are further on, so that what is written over a part of one does not look like a leak. */
#define DIRECT_USED 0x0000000040000000ull
#define STACKS_USED 0x0000000010000000ull
#define KERNEL_FIRST 0x0000000000200000ull
#define KERNEL_USED 0x0000000000200000ull
#define DIRECT_GIVEN 0xffff910000000000ull
#define STACKS_GIVEN 0xffffcb0000000000ull
#define KERNEL_GIVEN 0x0000000060000000ull

struct worker {
	uint64_t random;
	uint64_t index, end;	/* calls: this one, and how many */
	volatile uint64_t done; /* for the one who looks whether it is stuck */
	volatile int alive;	/* its thread's number until the kernel clears it */
	int id;
	uint8_t *scratch;
	uint64_t safe[8]; /* what must reach the kernel as it is, though others write into any scratch */
	const struct call *call;
	uint64_t number, argument[6];
	int64_t result;
};

struct call {
	uint64_t number;
	const char *name, *format;
};

struct region {
	uint64_t address, length;
};

/* What calls returned, for later calls. Threads race for it; any value is as good. */
#define RESULTS 64
#define OF_A_KIND 12
enum kind { OTHER, FILES, DIRECTORIES, PIPES, SOCKETS, SETS, TIMERS, KINDS };
struct results {
	int descriptor[RESULTS], kind[KINDS][OF_A_KIND];
	struct region region[RESULTS];
	int timer[RESULTS];
};

extern struct results results;
extern struct worker workers[ALL_WORKERS];
extern uint8_t blocks[ALL_WORKERS][BLOCK_SIZE];
extern uint64_t seed, zone;
extern bool wild; /* the program may die of what it does */
extern void restorer(void);
void on_signal(int signal, siginfo_t *info, void *context);

static inline int64_t call6(uint64_t number, const uint64_t *a)
{
	int64_t result;
	register uint64_t r10 __asm__("r10") = a[3];
	register uint64_t r8 __asm__("r8") = a[4];
	register uint64_t r9 __asm__("r9") = a[5];
	__asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory", "cc");
	return result;
}

#define CALL(number, ...) call6(number, (const uint64_t[6]){__VA_ARGS__})

static inline uint64_t mix(uint64_t x) /* splitmix64's last step */
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

static inline uint64_t next(struct worker *w)
{
	return mix(w->random += 0x9e3779b97f4a7c15);
}

static inline uint64_t below(struct worker *w, uint64_t limit)
{
	return next(w) % limit;
}

static inline bool one_in(struct worker *w, uint64_t n)
{
	return below(w, n) == 0;
}

#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define ROUND(x) ((x) & ~4095ull)
#define PICK(w, ...) ((const uint64_t[]){__VA_ARGS__}[below(w, sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))])

/* fuzz_arguments.h: chooses the next call of a worker. False: the rules leave it out. */
static bool draw(struct worker *w);
/* After the call: what is worth remembering. */
static void remember(struct worker *w);

#endif
