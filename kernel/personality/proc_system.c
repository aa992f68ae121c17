/* /proc and /sys: what the machine is. */
#include "cpu/cpu.h"
#include "memory/memory.h"
#include "personality/proc.h"
#include "personality/tmpfs.h"
#include "pvm/pvm.h"
#include "thread/thread.h"
#include "time/clock.h"

/* One CPU, numbers that never change, ... */
#define CONSTANT(function, value)                                                                                                         \
	void function(struct text *t, uint64_t key)                                                                                       \
	{                                                                                                                                 \
		(void)key;                                                                                                                \
		text_print(t, "%s\n", value);                                                                                             \
	}
CONSTANT(proc_zero, "0")
CONSTANT(proc_os_type, "Linux")
CONSTANT(proc_os_release, SYSTEM_RELEASE)
CONSTANT(proc_os_version, SYSTEM_VERSION)
CONSTANT(proc_hostname, host_name)
CONSTANT(proc_pid_max, "32768")
CONSTANT(proc_threads_max, "1024")
CONSTANT(proc_groups_max, "32")
CONSTANT(proc_last_capability, "40")
CONSTANT(proc_entropy, "256")
CONSTANT(proc_overcommit, "2") /* strict, as memory/commit.c is */
CONSTANT(proc_map_count, "65530")
CONSTANT(proc_file_max, "4096")
CONSTANT(proc_pipe_max_size, "1048576")
CONSTANT(proc_version, "Linux version " SYSTEM_RELEASE " " SYSTEM_VERSION)
CONSTANT(proc_filesystems, "nodev\tproc\nnodev\tsysfs\nnodev\ttmpfs\nnodev\tdevtmpfs\n\tsarabfs")
CONSTANT(sys_huge_pages, "always madvise [never]")
_Static_assert(THREADS_MAX == 1024 && DESCRIPTORS_HARD == 4096, "as told above");

static void put_uuid(struct text *t, const uint8_t *b)
{
	text_print(t, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x\n", b[0], b[1], b[2], b[3], b[4], b[5], b[6],
		   b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

static void make_uuid(uint8_t b[16]) /* RFC 9562, version 4 */
{
	random_bytes(b, 16);
	b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
	b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
}

void proc_boot_id(struct text *t, uint64_t key)
{
	static uint8_t id[16];
	(void)key;
	if (!id[6])
		make_uuid(id);
	put_uuid(t, id);
}

void proc_uuid(struct text *t, uint64_t key)
{
	uint8_t id[16];
	(void)key;
	make_uuid(id);
	put_uuid(t, id);
}

void proc_boot_line(struct text *t, uint64_t key)
{
	(void)key;
	text_bytes(t, boot_information.command_line, strnlen(boot_information.command_line, sizeof boot_information.command_line));
	text_bytes(t, "\n", 1);
}

static unsigned long long kilobytes(uint64_t pages)
{
	return pages * (PAGE_SIZE / 1024);
}

void proc_meminfo(struct text *t, uint64_t key)
{
	uint64_t available = memory_available_pages();
	(void)key;
	text_print(t, "MemTotal:       %8llu kB\nMemFree:        %8llu kB\nMemAvailable:   %8llu kB\nBuffers:               0 kB\n",
		   kilobytes(frames_total_count()), kilobytes(frames_free_count()), kilobytes(available));
	text_print(t, "Cached:         %8llu kB\nSwapCached:            0 kB\nSwapTotal:             0 kB\nSwapFree:              0 kB\n",
		   kilobytes(tmpfs_pages_used));
	text_print(t, "AnonPages:      %8llu kB\nShmem:          %8llu kB\nHugePages_Total:       0\nHugepagesize:       2048 kB\n",
		   kilobytes(memory_resident_pages()), kilobytes(tmpfs_pages_used));
}

void proc_uptime(struct text *t, uint64_t key)
{
	uint64_t now = (uint64_t)time_monotonic() / (NANOSECONDS / 100);
	(void)key;
	struct cpu_time used = process_cpu_time();
	uint64_t busy = (uint64_t)(used.user + used.system) / (NANOSECONDS / 100), idle = now > busy ? now - busy : 0;
	text_print(t, "%llu.%02llu %llu.%02llu\n", (unsigned long long)now / 100, (unsigned long long)now % 100,
		   (unsigned long long)idle / 100, (unsigned long long)idle % 100);
}

void proc_loadavg(struct text *t, uint64_t key)
{
	unsigned running = 0;
	(void)key;
	LIST_FOR_EACH(node, &threads)
		running += THREAD_OF(node)->state == THREAD_RUNNING || THREAD_OF(node)->state == THREAD_READY;
	text_print(t, "0.00 0.00 0.00 %u/%u %d\n", running, thread_count, current->tid);
}

void proc_stat(struct text *t, uint64_t key)
{
	(void)key;
	struct cpu_time used = process_cpu_time();
	uint64_t tick = NANOSECONDS / CLOCK_TICKS, now = (uint64_t)time_monotonic() / tick;
	uint64_t busy = (uint64_t)(used.user + used.system) / tick, idle = now > busy ? now - busy : 0;
	for (int i = 0; i < 2; i++)
		text_print(t, "%s %llu 0 %llu %llu 0 0 0 0 0 0\n", i ? "cpu0" : "cpu ", (unsigned long long)used.user / tick,
			   (unsigned long long)used.system / tick, (unsigned long long)idle);
	text_print(t, "intr 0\nctxt 0\nbtime %lld\nprocesses 1\nprocs_running 1\nprocs_blocked 0\n",
		   (long long)((time_realtime() - time_monotonic()) / (int64_t)NANOSECONDS));
}

/* ---- the CPU ---------------------------------------------------------------------------------------------------------------------------- */

/* Flags by Linux's names that programs look for. */
struct cpu_flag {
	uint32_t leaf;
	char reg; /* a b c d */
	uint8_t bit;
	const char *name;
};
static const struct cpu_flag cpu_flags[] = {
	{1, 'd', 0, "fpu"},	   {1, 'd', 4, "tsc"},	       {1, 'd', 8, "cx8"},	  {1, 'd', 15, "cmov"},	      {1, 'd', 23, "mmx"},
	{1, 'd', 24, "fxsr"},	   {1, 'd', 25, "sse"},	       {1, 'd', 26, "sse2"},	  {1, 'd', 28, "ht"},	      {1, 'c', 0, "pni"},
	{1, 'c', 1, "pclmulqdq"},  {1, 'c', 9, "ssse3"},       {1, 'c', 12, "fma"},	  {1, 'c', 13, "cx16"},	      {1, 'c', 19, "sse4_1"},
	{1, 'c', 20, "sse4_2"},	   {1, 'c', 22, "movbe"},      {1, 'c', 23, "popcnt"},	  {1, 'c', 25, "aes"},	      {1, 'c', 26, "xsave"},
	{1, 'c', 28, "avx"},	   {1, 'c', 29, "f16c"},       {1, 'c', 30, "rdrand"},	  {1, 'c', 31, "hypervisor"}, {7, 'b', 0, "fsgsbase"},
	{7, 'b', 3, "bmi1"},	   {7, 'b', 5, "avx2"},	       {7, 'b', 7, "smep"},	  {7, 'b', 8, "bmi2"},	      {7, 'b', 9, "erms"},
	{7, 'b', 16, "avx512f"},   {7, 'b', 17, "avx512dq"},   {7, 'b', 18, "rdseed"},	  {7, 'b', 19, "adx"},	      {7, 'b', 20, "smap"},
	{7, 'b', 28, "avx512cd"},  {7, 'b', 29, "sha_ni"},     {7, 'b', 30, "avx512bw"},  {7, 'b', 31, "avx512vl"},   {7, 'c', 2, "umip"},
	{0x80000001, 'd', 11, "syscall"}, {0x80000001, 'd', 20, "nx"}, {0x80000001, 'd', 26, "pdpe1gb"}, {0x80000001, 'd', 29, "lm"},
	{0x80000001, 'c', 0, "lahf_lm"}, {0x80000001, 'c', 5, "abm"},
};

static bool has_flag(const struct cpu_flag *f)
{
	struct cpuid r = cpuid(f->leaf, 0);
	uint32_t value = f->reg == 'a' ? r.eax : f->reg == 'b' ? r.ebx : f->reg == 'c' ? r.ecx : r.edx;
	/* What needs more state than the kernel keeps for threads is not there for the application. */
	if (strncmp(f->name, "avx512", 6) == 0 && (fpu_feature_mask & 0xe0) != 0xe0)
		return false;
	if (strncmp(f->name, "avx", 3) == 0 && !(fpu_feature_mask & 4))
		return false;
	return value >> f->bit & 1;
}

void proc_cpuinfo(struct text *t, uint64_t key)
{
	struct cpuid vendor = cpuid(0, 0), version = cpuid(1, 0), extended = cpuid(0x80000000, 0);
	uint32_t name[13] = {0}, vendor_name[4] = {vendor.ebx, vendor.edx, vendor.ecx, 0};
	(void)key;
	for (uint32_t i = 0; i < 3 && extended.eax >= 0x80000004; i++) {
		struct cpuid part = cpuid(0x80000002 + i, 0);
		memcpy(&name[i * 4], &part, 16);
	}
	uint32_t family = version.eax >> 8 & 15, model = version.eax >> 4 & 15;
	if (family >= 6)
		model |= version.eax >> 12 & 0xf0;
	if (family == 15)
		family += version.eax >> 20 & 0xff;
	text_print(t, "processor\t: 0\nvendor_id\t: %s\ncpu family\t: %u\nmodel\t\t: %u\nmodel name\t: %s\nstepping\t: %u\n",
		   (const char *)vendor_name, family, model, (const char *)name, version.eax & 15);
	text_print(t, "physical id\t: 0\nsiblings\t: 1\ncore id\t\t: 0\ncpu cores\t: 1\nfpu\t\t: yes\nflags\t\t:");
	for (size_t i = 0; i < ARRAY_LENGTH(cpu_flags); i++)
		if (has_flag(&cpu_flags[i]))
			text_print(t, " %s", cpu_flags[i].name);
	text_print(t, "\nclflush size\t: 64\naddress sizes\t: 48 bits physical, 48 bits virtual\n\n");
}

/* ---- the kernel's own counters ------------------------------------------------------------------------------------------------------------ */

void proc_sarab(struct text *t, uint64_t key)
{
	(void)key;
	text_print(t, "processor_protections: nx wp%s%s%s\n", cpu_features.smep ? " smep" : "", cpu_features.smap ? " smap" : "",
		   cpu_features.umip ? " umip" : "");
	text_print(t, "platform %s\n", pvm ? "PVM" : cpu_features.kvm ? "KVM" : "other");
	text_print(t, "version %s\nentry %s\nframes_total %llu\nframes_free %llu\nframes_available %llu\n", KERNEL_VERSION,
		   boot_information.entry, (unsigned long long)frames_total_count(), (unsigned long long)frames_free_count(),
		   (unsigned long long)memory_available_pages());
	text_print(t, "resident_pages %llu\npage_faults %llu\nthreads %u\n", (unsigned long long)memory_resident_pages(),
		   (unsigned long long)page_faults, thread_count);
	text_print(t, "tmp_pages %llu of %llu\ntmp_inodes %llu of %llu\n", (unsigned long long)tmpfs_pages_used,
		   (unsigned long long)tmpfs_pages_limit, (unsigned long long)tmpfs_inodes_used, (unsigned long long)tmpfs_inodes_limit);
	text_print(t, "unknown_system_calls %llu\n", (unsigned long long)unknown_system_calls);
	for (size_t i = 0; i < UNKNOWN_CALLS_MAX && unknown_calls[i].count; i++)
		text_print(t, "unknown_system_call %llu %llu\n", (unsigned long long)unknown_calls[i].number,
			   (unsigned long long)unknown_calls[i].count);
}
