/* From a worker's random numbers to a system call: its arguments, what its pointers show, and the rules that keep the storm alive. */
#ifndef FUZZ_ARGUMENTS_H
#define FUZZ_ARGUMENTS_H

#include "fuzz.h"
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>

static const char *const places[] = {
	"/tmp/", "/tmp/", "/tmp/", "/tmp/d/", "/tmp/d/e/", "/dev/shm/", "/var/tmp/", "", "./", "../", "/proc/self/cwd/", "/proc/self/root/tmp/",
	"//tmp//./", "/tmp/a/", "/tmp/d/../d/", "/proc/thread-self/", "/proc/self/", "/proc/self/fd/", "/proc/self/fdinfo/", "/proc/self/task/",
	"/proc/1/", "/proc/", "/dev/", "/sys/", "/",
};
static const char *const names[] = {
	"a", "b", "c", "d", "e", "f", "d/e", ".", "..", "", "a/", "d/", "null", "zero", "full", "random", "mem", "dma", "irq", "port", "fd",
	"shm", "maps", "status", "stat", "statm", "comm", "auxv", "environ", "limits", "mounts", "mountinfo", "exe", "root", "cwd", "cgroup",
	"io", "meminfo", "sarab", "self", "task", "cpuinfo", "3", "4", "5", "17", "1023", "4294967296", "tmp", "bin/probe", "boot/start",
	"sys/kernel/hostname", "sys/kernel/random/uuid", "sys/fs/pipe-max-size", "devices/system/cpu/online", "var/tmp/x",
};

/* ---- values -------------------------------------------------------------------------------------------------------------------- */

static uint64_t length_value(struct worker *w)
{
	switch (below(w, 8)) {
	case 0: return below(w, 64);
	case 1: return below(w, 4096);
	case 2: return 4096 * below(w, 64);
	case 3: return PICK(w, 4095, 4097, 65535, 65536, 65537, 1 << 20, 0x7fffefff, 0x7ffff000, 0x7fffffff, 0x80000000);
	case 4: return PICK(w, 0xffffffff, 1ull << 32, 1ull << 46, 1ull << 47, INT64_MAX, 1ull << 63, ~0ull, -4096ull, -8ull, USER_END);
	case 5: return PICK(w, 4, 8, 12, 16, 24, 32, 48, 64, 128);
	default: return PICK(w, 0, 1, 2, 7, 8, 100, 512, 4096, 8192);
	}
}

static uint64_t number_value(struct worker *w)
{
	switch (below(w, 8)) {
	case 0: return PICK(w, INT32_MAX, 0x80000000, UINT32_MAX, INT64_MAX, INT64_MIN, 1ull << 32, 1ull << 62, -4096ull);
	case 1: return (uint64_t)-(int64_t)below(w, 16);
	case 2: return below(w, 128);
	case 3: return 4096 * below(w, 32);
	case 4: return 1ull << below(w, 64);
	case 5: return (uint64_t)workers[below(w, ALL_WORKERS)].alive;
	default: return below(w, 10);
	}
}

static uint64_t flags_value(struct worker *w)
{
	uint64_t flags = 0;
	for (uint64_t n = below(w, 4); n > 0; n--)
		flags |= 1ull << below(w, one_in(w, 8) ? 64 : 20);
	return one_in(w, 16) ? next(w) : one_in(w, 3) ? below(w, 8) : flags;
}

static uint64_t descriptor_value(struct worker *w)
{
	uint64_t d;
	switch (below(w, 12)) {
	case 0: d = below(w, 24); break;
	case 1: d = PICK(w, ~0ull, -100ull, INT32_MAX, 0x80000000, 1ull << 32, 4096, 4095, 999, 1023, 0xffffff9c); break;
	default: d = (uint64_t)(int64_t)results.descriptor[below(w, RESULTS)]; break;
	}
	return (uint32_t)d >= FIRST_KEPT && (uint32_t)d < FIRST_KEPT + KEPT ? ~0ull : d;
}

static uint64_t zone_address(struct worker *w)
{
	return zone + 4096 * below(w, one_in(w, 4) ? ZONE_SIZE / 4096 : 256);
}

static uint64_t bad_pointer(struct worker *w)
{
	return PICK(w, 0, 1, 8, 4096, 65536, USER_END, USER_END - 1, USER_END - 8, USER_END - 4096, KERNEL_BASE + KERNEL_GIVEN, KERNEL_BASE + KERNEL_GIVEN + 8,
		    DIRECT_GIVEN, DIRECT_GIVEN + 8, STACKS_GIVEN, 0x0000800000000000, 0x8000000000000000, ~0ull, -8ull, -4096ull,
		    0x00007fffffffffff, 0xffff7fffffffffff);
}

/* Into a part of the scratch, or near one of its ends, or somewhere else. */
static uint64_t pointer_value(struct worker *w, unsigned part)
{
	uint64_t start = (uint64_t)w->scratch;
	switch (below(w, 20)) {
	case 0: return bad_pointer(w);
	case 1: return start + SCRATCH_SIZE - below(w, 64);
	case 2: return start - 1 - below(w, 64);
	case 3: return start + part * PART_SIZE + below(w, 64); /* not aligned */
	case 4: return zone_address(w) + below(w, 4096);
	case 5: {
		struct region r = results.region[below(w, RESULTS)];
		return r.address + (one_in(w, 2) ? r.length - MIN(r.length, below(w, 64)) : below(w, 64));
	}
	default: return start + part * PART_SIZE;
	}
}

static bool in_scratch(const struct worker *w, uint64_t address)
{
	return address >= (uint64_t)w->scratch && address - (uint64_t)w->scratch < SCRATCH_SIZE;
}

/* Something to write to if the pointer shows into the scratch: `size` bytes fit; else a place nobody reads. */
static void *at(struct worker *w, uint64_t address, size_t size)
{
	static uint8_t nowhere[PART_SIZE];
	return in_scratch(w, address) && address + size <= (uint64_t)w->scratch + SCRATCH_SIZE ? (void *)address : nowhere;
}

/* Words that are a little of everything: lengths, descriptors, pointers, times. */
static void fill(struct worker *w, uint64_t address)
{
	uint64_t words[24];
	for (unsigned i = 0; i < sizeof words / sizeof *words; i++)
		switch (below(w, 8)) {
		case 0: words[i] = pointer_value(w, (unsigned)below(w, 8)); break;
		case 1: words[i] = (uint32_t)descriptor_value(w) | below(w, 0x50) << 32; break;
		case 2: words[i] = length_value(w); break;
		case 3: words[i] = number_value(w); break;
		case 4: words[i] = below(w, 1000000000); break;
		case 5: words[i] = one_in(w, 4) ? next(w) : 0; break;
		default: words[i] = below(w, 32); break;
		}
	memcpy(at(w, address, sizeof words), words, sizeof words);
}

static void fill_time(struct worker *w, uint64_t address)
{
	int64_t t[4];
	for (unsigned i = 0; i < 4; i += 2) {
		t[i] = (int64_t)PICK(w, 0, 0, 0, 0, 0, 0, 1, -1ull, INT64_MAX, 1ull << 33, INT64_MIN);
		t[i + 1] = (int64_t)PICK(w, 0, 1, 1000, 100000, 999999, 1000000, 999999999, 1000000000, -1ull, INT64_MAX);
	}
	memcpy(at(w, address, sizeof t), t, sizeof t);
}

static void fill_vectors(struct worker *w, uint64_t address, unsigned count)
{
	struct iovec v[16];
	for (unsigned i = 0; i < MIN(count, 16u); i++)
		v[i] = (struct iovec){(void *)pointer_value(w, 4 + (unsigned)below(w, 4)), one_in(w, 4) ? length_value(w) : below(w, 5000)};
	memcpy(at(w, address, sizeof v), v, sizeof(struct iovec) * MIN(count, 16u));
}

static void fill_name(struct worker *w, uint64_t address)
{
	struct sockaddr_un name = {.sun_family = (uint16_t)PICK(w, AF_UNIX, AF_UNIX, AF_UNIX, AF_UNIX, AF_INET, 0, AF_INET6, 0xffff)};
	snprintf(name.sun_path + one_in(w, 3), 32, "/tmp/s%u", (unsigned)below(w, 4)); /* abstract, sometimes */
	if (one_in(w, 16))
		memset(name.sun_path, 'x', sizeof name.sun_path);
	memcpy(at(w, address, sizeof name), &name, sizeof name);
}

static void fill_message(struct worker *w, uint64_t address)
{
	struct {
		struct msghdr header;
		struct iovec vectors[4];
		_Alignas(16) struct {
			struct cmsghdr header;
			int32_t words[8];
		} control[2];
	} m;
	memset(&m, 0, sizeof m);
	for (unsigned i = 0; i < 2; i++) {
		unsigned count = (unsigned)below(w, 8);
		m.control[i].header.cmsg_len = one_in(w, 6) ? length_value(w) : sizeof m.control[i].header + 4 * count;
		m.control[i].header.cmsg_level = (int)PICK(w, SOL_SOCKET, SOL_SOCKET, SOL_SOCKET, 0, 41);
		m.control[i].header.cmsg_type = (int)PICK(w, SCM_RIGHTS, SCM_RIGHTS, SCM_RIGHTS, 2, 77);
		for (unsigned n = 0; n < 8; n++)
			m.control[i].words[n] = (int)descriptor_value(w);
	}
	m.header.msg_iov = (struct iovec *)(address + offsetof(__typeof__(m), vectors));
	m.header.msg_iovlen = (int)(one_in(w, 10) ? length_value(w) : below(w, 5));
	m.header.msg_control = one_in(w, 3) ? NULL : (void *)(one_in(w, 8) ? pointer_value(w, 3) : address + offsetof(__typeof__(m), control));
	m.header.msg_controllen = (socklen_t)(one_in(w, 6) ? length_value(w) : sizeof m.control);
	if (one_in(w, 4)) {
		m.header.msg_name = (void *)pointer_value(w, 5);
		m.header.msg_namelen = (socklen_t)(one_in(w, 4) ? length_value(w) : sizeof(struct sockaddr_un));
		fill_name(w, (uint64_t)m.header.msg_name);
	}
	for (unsigned i = 0; i < 4; i++)
		m.vectors[i] = (struct iovec){(void *)pointer_value(w, 6), one_in(w, 6) ? length_value(w) : below(w, 3000)};
	memcpy(at(w, address, sizeof m), &m, sizeof m);
}

static void fill_path(struct worker *w, uint64_t address)
{
	char *to = at(w, address, 4200);
	if (one_in(w, 40)) { /* long: a name, a path, or one without an end */
		uint64_t length = PICK(w, 254, 255, 256, 4094, 4095, 4096, 4199);
		memset(to, one_in(w, 2) ? 'n' : '/', length);
		memcpy(to, "/tmp/", 5);
		to[length] = 0;
		return;
	}
	const char *place = places[below(w, sizeof places / sizeof *places)], *name = names[below(w, sizeof names / sizeof *names)];
	if (one_in(w, 2)) {
		place = "/tmp/";
		name = names[below(w, 8)];
	}
	size_t length = strlen(place);
	memcpy(to, place, length);
	memcpy(to + length, name, strlen(name) + 1);
	if (strstr(to, "console") || strstr(to, "fd/10")) /* the report goes there */
		to[0] = 0;
}

/* ---- what single calls want ---------------------------------------------------------------------------------------------------- */

/* A range that memory calls may spoil: in the zone, or what mmap() gave, or one that must be refused. */
static void range(struct worker *w, uint64_t *address, uint64_t *length)
{
	struct region r = results.region[below(w, RESULTS)];
	*address = zone_address(w);
	*length = one_in(w, 3) ? length_value(w) : 4096 * (1 + below(w, 12));
	if (one_in(w, 2) && r.address != 0) {
		*address = r.address + (one_in(w, 3) ? ROUND(below(w, r.length)) : 0);
		*length = one_in(w, 3) ? 4096 : r.address + r.length - *address;
		return;
	}
	if (one_in(w, 16)) {
		*address = PICK(w, USER_END, KERNEL_BASE + KERNEL_GIVEN, DIRECT_GIVEN, -4096ull, 0x0000800000000000, 0x8000000000000000);
		return;
	}
	if (one_in(w, 20))
		*address += below(w, 4096);
	if (*address + *length > zone + ZONE_SIZE && (*length < USER_END || w->number == SYS_madvise))
		*length = zone + ZONE_SIZE - *address;
}

static bool draw_memory(struct worker *w)
{
	uint64_t *a = w->argument;
	uint64_t protection = PICK(w, 0, 1, 2, 3, 3, 3, 3, 3, 3, 8);
	if (wild && one_in(w, 50))
		protection = PICK(w, 4, 5, 7);
	switch (w->number) {
	case SYS_mmap:
		range(w, &a[0], &a[1]);
		a[2] = protection;
		a[3] = PICK(w, MAP_PRIVATE, MAP_PRIVATE, MAP_SHARED, 3, 0);
		if (one_in(w, 2))
			a[3] |= MAP_ANONYMOUS;
		a[3] |= PICK(w, 0, 0, 0, MAP_NORESERVE, MAP_STACK, MAP_GROWSDOWN, MAP_POPULATE, MAP_LOCKED);
		if (a[0] >= zone && a[0] < zone + ZONE_SIZE && one_in(w, 2))
			a[3] |= one_in(w, 4) ? MAP_FIXED_NOREPLACE : MAP_FIXED;
		else if (one_in(w, 2))
			a[0] = 0;
		a[4] = descriptor_value(w);
		a[5] = PICK(w, 0, 0, 0, 4096, 8192, 1, INT64_MAX - 4095, -4096ull, 1ull << 40);
		return true;
	case SYS_mremap:
		range(w, &a[0], &a[1]);
		a[2] = one_in(w, 3) ? length_value(w) : 4096 * below(w, 24);
		a[3] = PICK(w, 0, MREMAP_MAYMOVE, MREMAP_MAYMOVE, MREMAP_MAYMOVE | MREMAP_FIXED, MREMAP_MAYMOVE | MREMAP_FIXED, 4, 2);
		a[4] = one_in(w, 8) ? PICK(w, 0, USER_END, KERNEL_BASE, -4096ull, 0x0000800000000000) : zone_address(w);
		if (a[4] < zone + ZONE_SIZE && a[4] + a[2] > zone + ZONE_SIZE && a[2] < USER_END)
			a[2] = 4096;
		return true;
	case SYS_brk:
		a[0] = CALL(SYS_brk, 0) + PICK(w, 0, 1, 4096, 8192, -4096ull, -1ull, 1 << 20, 1ull << 40);
		return true;
	default: /* munmap, mprotect, madvise, msync, mincore, mlock, munlock */
		range(w, &a[0], &a[1]);
		if (w->number == SYS_mprotect)
			a[2] = protection;
		else if (w->number == SYS_madvise)
			a[2] = PICK(w, 0, 3, 4, 4, 8, 9, 12, 14, 16, 17, 18, 20, 21, 22, 100);
		return true;
	}
}

/* A pointer to a mask must show to one that lets the kick in, or nowhere. */
static uint64_t mask_pointer(struct worker *w)
{
	w->safe[4] = PICK(w, 0, ~0ull, next(w)) & ~NEVER_BLOCKED;
	return one_in(w, 3) ? 0 : one_in(w, 10) ? bad_pointer(w) : (uint64_t)&w->safe[4];
}

static bool draw_signal(struct worker *w)
{
	uint64_t *a = w->argument, signal = 1 + below(w, 66);
	uint64_t pid = PICK(w, 1, 1, 1, 0, 2, -1ull), tid = (uint64_t)workers[below(w, ALL_WORKERS)].alive;
	if (signal == SIGKILL || (signal < 64 && TRAP_SIGNALS >> (signal - 1) & 1))
		signal = SIGUSR1;
	switch (w->number) {
	case SYS_rt_sigaction: {
		struct {
			uint64_t handler, flags, restorer, mask;
		} action = {(uint64_t)on_signal, 0x04000004, (uint64_t)restorer, ~NEVER_BLOCKED};
		if (signal == KICK)
			return false;
		action.flags |= PICK(w, 0, SA_ONSTACK, SA_RESTART, SA_ONSTACK | SA_RESTART);
		if (one_in(w, 4) || (one_in(w, 4) && (signal == SIGCHLD || signal == SIGURG || signal == SIGWINCH || signal == SIGCONT)))
			action.handler = signal == SIGCHLD ? 0 : 1;
		if (wild && one_in(w, 8))
			action.handler = bad_pointer(w);
		if (wild && one_in(w, 8))
			action.flags = next(w);
		a[0] = signal;
		a[1] = one_in(w, 3) ? 0 : one_in(w, 8) ? bad_pointer(w) : (uint64_t)w->safe;
		memcpy(w->safe, &action, sizeof action);
		a[2] = one_in(w, 2) ? 0 : pointer_value(w, 3);
		a[3] = one_in(w, 10) ? length_value(w) : 8;
		return true;
	}
	case SYS_rt_sigprocmask:
	case SYS_rt_sigsuspend:
	case SYS_rt_sigtimedwait: {
		unsigned which = w->number == SYS_rt_sigprocmask;
		a[which] = mask_pointer(w);
		if (w->number == SYS_rt_sigtimedwait)
			fill_time(w, a[2] = one_in(w, 4) ? 0 : pointer_value(w, 2));
		a[w->number == SYS_rt_sigsuspend ? 1 : 3] = one_in(w, 10) ? length_value(w) : 8;
		return true;
	}
	case SYS_kill: a[0] = pid, a[1] = signal; return true;
	case SYS_tkill: a[0] = tid, a[1] = signal; return true;
	case SYS_tgkill: a[0] = pid, a[1] = tid, a[2] = signal; return true;
	case SYS_rt_sigqueueinfo: a[0] = pid, a[1] = signal; return true;
	case SYS_rt_tgsigqueueinfo: a[0] = pid, a[1] = tid, a[2] = signal; return true;
	case SYS_sigaltstack: {
		stack_t stack = {.ss_sp = blocks[w->id] + BLOCK_SIZE / 2, .ss_size = BLOCK_SIZE / 2, .ss_flags = (int)PICK(w, 0, 0, 1, 2, 1u << 31, 77)};
		if (wild && one_in(w, 4))
			stack.ss_sp = (void *)bad_pointer(w);
		if (one_in(w, 4))
			stack.ss_size = (size_t)PICK(w, 0, 1, 2047);
		a[0] = one_in(w, 4) ? 0 : one_in(w, 8) ? bad_pointer(w) : (uint64_t)w->safe;
		memcpy(w->safe, &stack, sizeof stack);
		return true;
	}
	default: return true;
	}
}

static bool draw_time(struct worker *w)
{
	uint64_t *a = w->argument, clock = PICK(w, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, -1ull, -6ull, -2ull, 100);
	switch (w->number) {
	case SYS_timer_create: {
		uint32_t event[16] = {(uint32_t)next(w), 0, (uint32_t)(35 + below(w, 29)), (uint32_t)PICK(w, 0, 0, 1, 2, 4, 4, 9),
				      (uint32_t)workers[below(w, ALL_WORKERS)].alive};
		a[0] = clock;
		a[1] = one_in(w, 3) ? 0 : pointer_value(w, 1);
		memcpy(at(w, a[1], sizeof event), event, sizeof event);
		return true;
	}
	case SYS_timer_settime: case SYS_timer_gettime: case SYS_timer_getoverrun: case SYS_timer_delete:
		a[0] = one_in(w, 8) ? number_value(w) : (uint64_t)results.timer[below(w, RESULTS)];
		if (w->number == SYS_timer_settime)
			a[1] = below(w, 3), fill_time(w, a[2]);
		return true;
	case SYS_timerfd_create: a[0] = clock, a[1] = PICK(w, 0, 0, 04000, 02000000, 1); return true;
	case SYS_timerfd_settime: a[1] = below(w, 4), fill_time(w, a[2]); return true;
	case SYS_setitimer: a[0] = below(w, 4), fill_time(w, a[1]); return true;
	case SYS_nanosleep: fill_time(w, a[0]); return true;
	case SYS_clock_nanosleep: a[0] = clock, a[1] = below(w, 3), fill_time(w, a[2]); return true;
	case SYS_clock_gettime: case SYS_clock_getres: case SYS_clock_settime: a[0] = clock, fill_time(w, a[1]); return true;
	default: return true;
	}
}

static bool draw_file(struct worker *w)
{
	uint64_t *a = w->argument;
	uint64_t open_flags = PICK(w, O_RDONLY, O_WRONLY, O_RDWR, O_RDWR | O_CREAT, O_RDWR | O_CREAT | O_TRUNC, O_RDWR | O_APPEND | O_CREAT,
				   O_RDONLY | O_NONBLOCK, O_RDWR | O_NONBLOCK, O_DIRECTORY, O_PATH, O_TMPFILE | O_RDWR, O_CREAT | O_EXCL | O_RDWR, 3) |
			      PICK(w, 0, 0, 0, O_NONBLOCK, O_CLOEXEC, O_NOFOLLOW, O_DIRECT, flags_value(w));
	switch (w->number) {
	case SYS_open: a[1] = open_flags; return true;
	case SYS_openat: a[2] = open_flags; return true;
	case SYS_readv: case SYS_writev: case SYS_preadv: case SYS_pwritev: case SYS_preadv2: case SYS_pwritev2:
		a[2] = one_in(w, 8) ? length_value(w) : below(w, 16);
		fill_vectors(w, a[1], (unsigned)MIN(a[2], 16));
		return true;
	case SYS_sendmsg: case SYS_recvmsg: fill_message(w, a[1]); return true;
	case SYS_bind: case SYS_connect: fill_name(w, a[1]), a[2] = one_in(w, 4) ? length_value(w) : below(w, 32); return true;
	case SYS_sendto: fill_name(w, a[4]); return true;
	case SYS_socket: case SYS_socketpair:
		a[0] = one_in(w, 6) ? number_value(w) : AF_UNIX;
		a[1] = PICK(w, 1, 1, 2, 5, 3) | PICK(w, 0, SOCK_NONBLOCK, SOCK_CLOEXEC);
		a[2] = one_in(w, 8);
		return true;
	case SYS_epoll_ctl: {
		uint64_t data[2] = {(uint32_t)next(w) & PICK(w, ~0u, 0x80000001, 5, 0xd000001d), below(w, 1000)};
		a[1] = 1 + below(w, one_in(w, 8) ? 5 : 3);
		memcpy(at(w, a[3], 12), data, 12);
		return true;
	}
	case SYS_epoll_wait: case SYS_epoll_pwait: a[2] = one_in(w, 4) ? length_value(w) : below(w, 10), a[3] = below(w, 3); break;
	case SYS_poll: a[1] = one_in(w, 8) ? length_value(w) : below(w, 24), a[2] = below(w, 3); return true;
	case SYS_ppoll: a[1] = below(w, 24), fill_time(w, a[2]); break;
	case SYS_epoll_pwait2: fill_time(w, a[3]); break;
	case SYS_select: case SYS_pselect6: a[0] = one_in(w, 6) ? number_value(w) : below(w, 1025), fill_time(w, a[4]); break;
	case SYS_fcntl:
		a[1] = one_in(w, 8) ? number_value(w) : PICK(w, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 36, 37, 38, 1024, 1030, 1031, 1032, 1033, 1034, 1036);
		a[2] = one_in(w, 3) ? pointer_value(w, 2) : one_in(w, 2) ? number_value(w) : flags_value(w);
		return true;
	case SYS_ioctl: a[1] = PICK(w, 0x541b, 0x5421, 0x5450, 0x5451, 0x5401, 0x5413, 0x5410, 0x80045200, next(w)); return true;
	case SYS_close_range:
		a[0] = one_in(w, 4) ? number_value(w) : below(w, 64);
		a[1] = one_in(w, 4) ? number_value(w) : below(w, 64);
		a[2] = PICK(w, 0, 0, 2, 4, 4, 1);
		return (uint32_t)a[1] < FIRST_KEPT || (uint32_t)a[0] >= FIRST_KEPT + KEPT;
	case SYS_truncate: case SYS_ftruncate: a[1] = one_in(w, 3) ? number_value(w) : 1000 * below(w, 100); return true;
	case SYS_fallocate: a[1] = PICK(w, 0, 0, 1, 2, 3, 8, 16, 32, 64); return true;
	case SYS_mknod: case SYS_mknodat:
		a[w->number == SYS_mknod ? 1 : 2] = PICK(w, 0100644, 010644, 0140644, 020644, 060644, 040755, 0, 0170000);
		return true;
	default: return true;
	}
	/* Calls that take a mask: (pointer, size), or for pselect6 a pointer to these two. */
	unsigned mask = w->number == SYS_ppoll ? 3 : w->number == SYS_pselect6 ? 5 : 4;
	uint64_t address = mask_pointer(w);
	a[mask] = address;
	if (w->number == SYS_pselect6) {
		w->safe[5] = address;
		w->safe[6] = 8;
		a[mask] = address != 0 ? (uint64_t)&w->safe[5] : 0;
	} else if (mask < 5)
		a[mask + 1] = one_in(w, 10) ? length_value(w) : 8;
	return true;
}

static bool draw_thread(struct worker *w)
{
	uint64_t *a = w->argument;
	switch (w->number) {
	case SYS_exit: case SYS_exit_group: case SYS_rt_sigreturn: case SYS_pause: return false;
	case SYS_clone: a[0] &= ~(uint64_t)0x10000; return true; /* threads are made by start_worker(): this one must be refused */
	case SYS_set_tid_address: return false; /* the storm waits for that word */
	case SYS_chroot: case SYS_setuid: case SYS_setgid: case SYS_setreuid: case SYS_setregid: case SYS_setresuid: case SYS_setresgid:
		return wild && one_in(w, 10);
	case SYS_setrlimit: return wild;
	case SYS_prlimit64: a[2] = wild ? a[2] : 0; return true;
	case SYS_prctl: a[0] = one_in(w, 8) ? number_value(w) : PICK(w, 1, 2, 3, 4, 7, 8, 15, 16, 21, 22, 29, 30, 38, 39, 40); return true;
	case SYS_arch_prctl: a[0] = PICK(w, 0x1001, 0x1002, 0x1003, 0x1004, 0x1011, 0x1012, 0x3001); return true;
	case SYS_futex: {
		uint64_t word = (uint64_t)(workers[0].scratch) + 4 * below(w, 4); /* all fight for the same few */
		a[0] = one_in(w, 8) ? pointer_value(w, 0) : word;
		a[1] = PICK(w, 0, 1, 3, 4, 5, 6, 9, 10, 11, 12) | PICK(w, 0, 128, 256, 384);
		a[2] = one_in(w, 4) ? number_value(w) : *(volatile uint32_t *)word;
		a[3] = (a[1] & 127) == 0 || (a[1] & 127) == 9 ? (one_in(w, 8) ? 0 : pointer_value(w, 3)) : number_value(w);
		fill_time(w, a[3]);
		a[4] = one_in(w, 8) ? pointer_value(w, 0) : (uint64_t)(workers[0].scratch) + 4 * below(w, 4);
		a[5] = one_in(w, 2) ? *(volatile uint32_t *)word : next(w);
		return true;
	}
	case SYS_set_robust_list: {
		uint64_t *ring = at(w, a[0], 64), start = a[0];
		a[1] = one_in(w, 8) ? length_value(w) : 24;
		if (in_scratch(w, start)) { /* a ring, itself, somewhere else */
			ring[0] = one_in(w, 4) ? pointer_value(w, 0) : start + 8 * below(w, 4);
			ring[1] = one_in(w, 4) ? number_value(w) : 8 * below(w, 4);
			ring[2] = one_in(w, 2) ? 0 : pointer_value(w, 0);
			ring[3] = start + 8 * below(w, 4) + below(w, 2);
		}
		return true;
	}
	default: return true;
	}
}

/* ---- all together -------------------------------------------------------------------------------------------------------------- */

#define ROW(name, format) {__NR_##name, #name, format},
static const struct call calls[] = {SYSTEM_CALLS(ROW, ROW, ROW)};
#undef ROW
#define CALLS (sizeof calls / sizeof *calls)

/* What makes things that others work on: drawn more often. */
static const uint16_t makers[] = {
	SYS_openat, SYS_open, SYS_open, SYS_pipe2, SYS_socketpair, SYS_socket, SYS_epoll_create1, SYS_epoll_ctl, SYS_epoll_ctl, SYS_eventfd2,
	SYS_timerfd_create, SYS_memfd_create, SYS_mmap, SYS_mmap, SYS_mmap, SYS_munmap, SYS_mremap, SYS_mremap, SYS_mprotect, SYS_madvise,
	SYS_dup2, SYS_dup, SYS_close, SYS_ftruncate, SYS_pwrite64, SYS_write, SYS_read, SYS_mkdir, SYS_symlink, SYS_link, SYS_rename,
	SYS_unlink, SYS_mknod, SYS_sendmsg, SYS_recvmsg, SYS_bind, SYS_connect, SYS_listen, SYS_accept, SYS_futex, SYS_timer_create,
	SYS_timer_settime, SYS_splice, SYS_sendfile, SYS_copy_file_range, SYS_set_robust_list, SYS_fallocate,
};

static const struct call *find_call(uint64_t number)
{
	for (size_t i = 0; i < CALLS; i++)
		if (calls[i].number == number)
			return &calls[i];
	return NULL;
}

static bool draw(struct worker *w)
{
	w->random = mix(seed ^ mix((uint64_t)w->id << 48 ^ w->index));
	w->call = one_in(w, 2) ? find_call(makers[below(w, sizeof makers / sizeof *makers)]) : &calls[below(w, CALLS)];
	w->number = w->call->number;
	if (one_in(w, 500)) {
		w->number = one_in(w, 2) ? below(w, 600) : next(w);
		if (find_call(w->number & 0xffffffff) != NULL)
			return false;
	}
	unsigned i = 0;
	for (const char *f = w->call->format; i < 6; i++, f += *f != ':') {
		uint64_t *a = &w->argument[i];
		*a = 0;
		switch (*f) {
		case 'f': *a = descriptor_value(w); break;
		case 'u': *a = length_value(w); break;
		case 'x': *a = flags_value(w); break;
		case 'o': *a = below(w, 010000); break;
		case 'p': case 'b': fill(w, *a = pointer_value(w, i)); break;
		case 's': fill_path(w, *a = pointer_value(w, i)); break;
		default: *a = *f == ':' ? (one_in(w, 4) ? next(w) : 0) : number_value(w); break;
		}
	}
	switch (w->number) {
	case SYS_mmap: case SYS_munmap: case SYS_mremap: case SYS_mprotect: case SYS_madvise: case SYS_msync: case SYS_mincore: case SYS_mlock:
	case SYS_munlock: case SYS_brk:
		return draw_memory(w);
	default: return draw_signal(w) && draw_time(w) && draw_file(w) && draw_thread(w);
	}
}

static void remember_descriptor(struct worker *w, int d)
{
	if (d >= 0 && d < 4096)
		results.descriptor[below(w, RESULTS)] = d;
}

static void remember(struct worker *w)
{
	const uint64_t *a = w->argument;
	if (w->result < 0)
		return;
	switch (w->number) {
	case SYS_open: case SYS_openat: case SYS_creat: case SYS_dup: case SYS_dup2: case SYS_dup3: case SYS_epoll_create: case SYS_epoll_create1:
	case SYS_eventfd: case SYS_eventfd2: case SYS_timerfd_create: case SYS_memfd_create: case SYS_socket: case SYS_accept: case SYS_accept4:
		remember_descriptor(w, (int)w->result);
		break;
	case SYS_pipe: case SYS_pipe2: case SYS_socketpair: {
		int *pair = at(w, a[w->number == SYS_socketpair ? 3 : 0], 8);
		remember_descriptor(w, pair[0]);
		remember_descriptor(w, pair[1]);
		break;
	}
	case SYS_mmap: case SYS_mremap:
		if (a[w->number == SYS_mmap ? 1 : 2] != 0)
			results.region[below(w, RESULTS)] = (struct region){(uint64_t)w->result, ROUND(a[w->number == SYS_mmap ? 1 : 2] + 4095)};
		break;
	case SYS_timer_create: results.timer[below(w, RESULTS)] = *(int *)at(w, a[2], 4); break;
	}
}

#endif
