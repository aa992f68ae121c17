/* Clocks go forward, agree with each other, and are told by the vDSO; sleeps are right to the millisecond. SUCCESS */
#include "check.h"
#include <elf.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/times.h>

typedef int clock_function(clockid_t, struct timespec *);

/* The vDSO's symbol, by its ELF header: what a C library does at start. */
static void *vdso_symbol(const char *name)
{
	char *base = (char *)getauxval(AT_SYSINFO_EHDR), *strings = NULL;
	Elf64_Ehdr *elf = (Elf64_Ehdr *)base;
	Elf64_Phdr *segment = (Elf64_Phdr *)(base + elf->e_phoff);
	Elf64_Dyn *dynamic = NULL;
	Elf64_Sym *symbols = NULL;
	uint32_t *hash = NULL;
	uint64_t bias = 0;
	CHECK(base != NULL && memcmp(base, "\177ELF", 4) == 0);
	for (int i = 0; i < elf->e_phnum; i++) {
		if (segment[i].p_type == PT_LOAD)
			bias = (uint64_t)base - segment[i].p_vaddr + segment[i].p_offset;
		if (segment[i].p_type == PT_DYNAMIC)
			dynamic = (Elf64_Dyn *)(base + segment[i].p_offset);
	}
	for (; dynamic->d_tag != DT_NULL; dynamic++) {
		void *value = (void *)(bias + dynamic->d_un.d_ptr);
		if (dynamic->d_tag == DT_STRTAB)
			strings = value;
		else if (dynamic->d_tag == DT_SYMTAB)
			symbols = value;
		else if (dynamic->d_tag == DT_HASH)
			hash = value;
	}
	for (uint32_t i = 0; hash != NULL && i < hash[1]; i++)
		if (strcmp(strings + symbols[i].st_name, name) == 0)
			return (void *)(bias + symbols[i].st_value);
	return NULL;
}

static int64_t kernel_clock(clockid_t clock)
{
	struct timespec t;
	CHECK(syscall(SYS_clock_gettime, clock, &t) == 0);
	return t.tv_sec * SECOND + t.tv_nsec;
}

static void clocks(void)
{
	clock_function *vdso = (clock_function *)vdso_symbol("__vdso_clock_gettime");
	struct timespec t;
	const clockid_t all[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_BOOTTIME, CLOCK_TAI};
	if (vdso == NULL)
		puts("no vDSO function (an old hash table?)");
	/* Kernel and vDSO in turn: never back, and not far apart. */
	for (unsigned c = 0; vdso != NULL && c < sizeof all / sizeof all[0]; c++)
		for (int i = 0; i < 2000; i++) {
			int64_t a = kernel_clock(all[c]);
			CHECK(vdso(all[c], &t) == 0);
			int64_t b = t.tv_sec * SECOND + t.tv_nsec, d = kernel_clock(all[c]);
			CHECK(a <= b && b <= d);
		}
	int64_t last = now(), start = last, ends;
	for (int i = 0; i < 200000; i++) {
		int64_t next = now();
		CHECK(next >= last);
		last = next;
	}
	ends = last - start;
	printf("a reading takes %lld ns\n", (long long)ends / 200000);

	struct timeval v;
	CHECK(gettimeofday(&v, NULL) == 0 && v.tv_sec > 1700000000 && v.tv_sec - time(NULL) <= 1);
	CHECK(clock_getres(CLOCK_MONOTONIC, &t) == 0 && t.tv_sec == 0 && t.tv_nsec > 0 && t.tv_nsec <= MILLISECOND);
	CHECK(clock_gettime(1234, &t) == -1 && errno == EINVAL && clock_getres(1234, &t) == -1 && errno == EINVAL);
	CHECK(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, 8) == -1 && errno == EFAULT);
	CHECK(times(&(struct tms){0}) != -1);
}

static void sleeps(void)
{
	const int64_t durations[] = {0, 50000, MILLISECOND, 5 * MILLISECOND, 20 * MILLISECOND, 100 * MILLISECOND};
	int64_t most = 0;
	struct timespec t;
	for (unsigned i = 0; i < sizeof durations / sizeof durations[0]; i++)
		for (int n = 0; n < 5; n++) {
			int64_t before = now();
			sleep_ns(durations[i]);
			int64_t late = now() - before - durations[i];
			CHECK(late >= 0);
			most = late > most ? late : most;
		}
	printf("sleeps are late by %lld us at most\n", (long long)most / 1000);
	CHECK(most < 200 * MILLISECOND); /* an emulated machine on a busy host; the average is measured by the benchmarks */

	int64_t until = now() + 10 * MILLISECOND;
	t = timespec_of(until);
	CHECK(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == 0 && now() >= until);
	until = clock_ns(CLOCK_REALTIME) + 10 * MILLISECOND;
	t = timespec_of(until);
	CHECK(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &t, NULL) == 0 && clock_ns(CLOCK_REALTIME) >= until);
	t = timespec_of(1);
	CHECK(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == 0); /* past */
	CHECK(clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &t, NULL) == EINVAL);
	t.tv_nsec = -1;
	CHECK(nanosleep(&t, NULL) == -1 && errno == EINVAL);
	t = (struct timespec){.tv_sec = -1};
	CHECK(nanosleep(&t, NULL) == -1 && errno == EINVAL);
}

static volatile int stop;

static void *computes(void *unused)
{
	while (!stop)
		;
	return unused;
}

static void cpu_time(void)
{
	clockid_t process, thread;
	struct rusage usage;
	int64_t before = clock_ns(CLOCK_PROCESS_CPUTIME_ID), own = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	sleep_ns(500 * MILLISECOND);
	CHECK(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - before < 300 * MILLISECOND);
	pthread_t t = start(computes, NULL);
	CHECK(pthread_getcpuclockid(t, &thread) == 0 && clock_getcpuclockid(0, &process) == 0);
	sleep_ns(200 * MILLISECOND);
	int64_t used = clock_ns(thread);
	CHECK(used > 60 * MILLISECOND && clock_ns(process) >= used);
	CHECK(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - before >= used && clock_ns(CLOCK_THREAD_CPUTIME_ID) - own < 150 * MILLISECOND);
	stop = 1;
	CHECK(pthread_join(t, NULL) == 0);
	CHECK(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - before >= used); /* what has ended still counts */
	CHECK(getrusage(RUSAGE_SELF, &usage) == 0 && usage.ru_utime.tv_sec * 1000000 + usage.ru_utime.tv_usec >= used / 1000 / 2);
	CHECK(usage.ru_nvcsw > 0 && usage.ru_maxrss > 0);
}

int main(void)
{
	clocks();
	sleeps();
	cpu_time();
	puts("SUCCESS");
	return 0;
}
