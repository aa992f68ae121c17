/* From a worker's random numbers to a system call: what each call wants, and the rules that keep the storm alive. */
#ifndef FUZZ_ARGUMENTS_H
#define FUZZ_ARGUMENTS_H

#include "fuzz_values.h"

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

/* What kind of file each descriptor of a call should be; a directory where a path follows. */
static void draw_descriptors(struct worker *w)
{
	uint64_t *a = w->argument;
	const char *f = w->call->format;
	for (unsigned i = 0; f[i] != 0 && f[i] != ':'; i++)
		if (f[i] == 'f' && f[i + 1] == 's')
			a[i] = one_in(w, 2) ? (uint64_t)-100 : descriptor_of(w, DIRECTORIES);
	switch (w->number) {
	case SYS_sendto: case SYS_recvfrom: case SYS_sendmsg: case SYS_recvmsg: case SYS_shutdown: case SYS_getsockname: case SYS_getpeername:
	case SYS_setsockopt: case SYS_getsockopt: case SYS_bind: case SYS_connect: case SYS_listen: case SYS_accept: case SYS_accept4:
		a[0] = descriptor_of(w, SOCKETS);
		break;
	case SYS_epoll_ctl: case SYS_epoll_wait: case SYS_epoll_pwait: case SYS_epoll_pwait2: a[0] = descriptor_of(w, SETS); break;
	case SYS_timerfd_settime: case SYS_timerfd_gettime: a[0] = descriptor_of(w, TIMERS); break;
	case SYS_getdents64: case SYS_fchdir: a[0] = descriptor_of(w, DIRECTORIES); break;
	case SYS_tee: a[0] = descriptor_of(w, PIPES), a[1] = descriptor_of(w, PIPES); break;
	case SYS_splice:
		a[0] = descriptor_of(w, one_in(w, 2) ? PIPES : FILES), a[2] = descriptor_of(w, one_in(w, 2) ? PIPES : FILES);
		a[1] = one_in(w, 2) ? 0 : a[1], a[3] = one_in(w, 2) ? 0 : a[3];
		break;
	case SYS_copy_file_range:
		a[0] = descriptor_of(w, FILES), a[2] = descriptor_of(w, FILES);
		a[1] = one_in(w, 2) ? 0 : a[1], a[3] = one_in(w, 2) ? 0 : a[3];
		break;
	case SYS_sendfile: a[0] = descriptor_of(w, one_in(w, 2) ? PIPES : FILES), a[1] = descriptor_of(w, FILES); break;
	case SYS_lseek: a[0] = descriptor_of(w, one_in(w, 2) ? DIRECTORIES : FILES); break;
	case SYS_close: a[0] = descriptor_of(w, one_in(w, 2) ? SOCKETS : (enum kind)below(w, KINDS)); break;
	case SYS_mmap: case SYS_ftruncate: case SYS_fallocate: case SYS_preadv: case SYS_pwritev: case SYS_preadv2: case SYS_pwritev2:
	case SYS_pread64: case SYS_pwrite64: case SYS_flock:
		a[w->number == SYS_mmap ? 4 : 0] = descriptor_of(w, FILES);
		break;
	case SYS_fcntl: a[0] = descriptor_of(w, (enum kind)below(w, KINDS)); break;
	}
}

static bool draw_file(struct worker *w)
{
	uint64_t *a = w->argument;
	uint64_t open_flags = PICK(w, O_RDONLY, O_WRONLY, O_RDWR, O_RDWR | O_CREAT, O_RDWR | O_CREAT | O_TRUNC, O_RDWR | O_APPEND | O_CREAT,
				   O_RDONLY | O_NONBLOCK, O_RDWR | O_NONBLOCK, O_DIRECTORY, O_PATH, O_TMPFILE | O_RDWR, O_CREAT | O_EXCL | O_RDWR, 3) |
			      PICK(w, 0, 0, 0, O_NONBLOCK, O_CLOEXEC, O_NOFOLLOW, O_DIRECT, flags_value(w));
	switch (w->number) {
	case SYS_open: case SYS_openat:
		a[w->number == SYS_open ? 1 : 2] = open_flags;
		if (open_flags & O_DIRECTORY && one_in(w, 2)) {
			static const char *const directories[] = {"/proc", "/proc/self/fd", "/proc/self/task", "/dev", "/sys", "/tmp", "/tmp/d", "/", "/bin"};
			strcpy(at(w, a[w->number == SYS_openat], 32), directories[below(w, sizeof directories / sizeof *directories)]);
		}
		if (one_in(w, 12)) /* of the image, perhaps not decompressed yet */
			strcpy(at(w, a[w->number == SYS_openat], 32), "/data");
		return true;
	case SYS_flock: a[1] = PICK(w, 1, 2, 2, 5, 6, 8, 3); return true;
	case SYS_readv: case SYS_writev: case SYS_preadv: case SYS_pwritev: case SYS_preadv2: case SYS_pwritev2:
		a[2] = one_in(w, 8) ? length_value(w) : below(w, 16);
		fill_vectors(w, a[1], (unsigned)MIN(a[2], 16));
		return true;
	case SYS_sendmsg: case SYS_recvmsg: fill_message(w, a[1]); return true;
	case SYS_bind: case SYS_connect: fill_name(w, a[1]), a[2] = one_in(w, 4) ? length_value(w) : below(w, 32); return true;
	case SYS_sendto: fill_name(w, a[4] = one_in(w, 2) ? 0 : a[4]), a[3] = PICK(w, 0, 0, 0x40, 0x4000, 0x40, flags_value(w)), a[5] = 32; return true;
	case SYS_accept: case SYS_accept4: *(uint32_t *)at(w, a[2], 4) = (uint32_t)length_value(w), a[1] = one_in(w, 2) ? 0 : a[1]; return true;
	case SYS_getsockname: case SYS_getpeername: *(uint32_t *)at(w, a[2], 4) = (uint32_t)length_value(w); return true;
	case SYS_setsockopt: case SYS_getsockopt:
		a[1] = PICK(w, 1, 1, 1, 1, 0, 41);
		a[2] = w->number == SYS_setsockopt ? PICK(w, 7, 8, 20, 21, 2, 9, 13, 40) : below(w, 64);
		if (w->number == SYS_setsockopt)
			fill_time(w, a[3]);
		else
			*(uint32_t *)at(w, a[4], 4) = (uint32_t)length_value(w);
		return true;
	case SYS_access: a[1] = below(w, 9); return true;
	case SYS_faccessat: case SYS_faccessat2: a[2] = below(w, 9), a[3] = PICK(w, 0, 0, 0x100, 0x200, 0x1000, 0x400); return true;
	case SYS_unlinkat: a[2] = PICK(w, 0, 0x200, 1); return true;
	case SYS_linkat: a[4] = PICK(w, 0, 0, 0x400, 0x1000, 1); return true;
	case SYS_renameat2: a[4] = below(w, 5); return true;
	case SYS_lseek: a[1] = one_in(w, 2) ? 1ull << below(w, 63) : number_value(w), a[2] = below(w, 6); return true;
	case SYS_getdents64: a[2] = one_in(w, 4) ? length_value(w) : below(w, 4096); return true;
	case SYS_socket: case SYS_socketpair:
		a[0] = one_in(w, 6) ? number_value(w) : AF_UNIX;
		a[1] = PICK(w, 1, 1, 1, 2, 5, 3) | PICK(w, 0, SOCK_NONBLOCK, SOCK_CLOEXEC);
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

static void remember_descriptor(struct worker *w, int d, enum kind kind)
{
	if (d < 0 || d >= 4096)
		return;
	results.descriptor[below(w, RESULTS)] = d;
	results.kind[kind][below(w, OF_A_KIND)] = d;
}

/* A listening socket and one that is connected to it: chance alone hardly ever gets so far. */
static uint64_t make_connection(struct worker *w)
{
	struct sockaddr_un *name = at(w, (uint64_t)w->scratch, sizeof *name);
	uint64_t type = PICK(w, 1, 1, 5), size = sizeof(sa_family_t) + 8;
	uint64_t listener = (uint64_t)CALL(SYS_socket, AF_UNIX, type, 0), client = (uint64_t)CALL(SYS_socket, AF_UNIX, type | PICK(w, 0, SOCK_NONBLOCK), 0);
	fill_name(w, (uint64_t)name);
	CALL(SYS_bind, listener, (uint64_t)name, size);
	CALL(SYS_listen, listener, below(w, 3));
	remember_descriptor(w, (int)listener, SOCKETS);
	for (int i = 0; i < 3; i++) /* the line may be full, and others close the listener meanwhile */
		CALL(SYS_connect, client, (uint64_t)name, size);
	remember_descriptor(w, (int)client, SOCKETS);
	return listener;
}

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
	SYS_flock, SYS_flock, SYS_lseek, SYS_getdents64,
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
		case 'x': case 'O': case 'P': case 'M': *a = flags_value(w); break;
		case 'o': *a = below(w, 010000); break;
		case 'p': case 'b': fill(w, *a = pointer_value(w, i)); break;
		case 's': fill_path(w, *a = pointer_value(w, i)); break;
		default: *a = *f == ':' ? (one_in(w, 4) ? next(w) : 0) : number_value(w); break;
		}
	}
	draw_descriptors(w);
	if (w->number == SYS_accept && one_in(w, 2))
		w->argument[0] = make_connection(w);
	switch (w->number) {
	case SYS_mmap: case SYS_munmap: case SYS_mremap: case SYS_mprotect: case SYS_madvise: case SYS_msync: case SYS_mincore: case SYS_mlock:
	case SYS_munlock: case SYS_brk:
		return draw_memory(w);
	default: return draw_signal(w) && draw_time(w) && draw_file(w) && draw_thread(w);
	}
}

static enum kind kind_of_result(const struct worker *w)
{
	switch (w->number) {
	case SYS_open: return w->argument[1] & O_DIRECTORY ? DIRECTORIES : FILES;
	case SYS_openat: return w->argument[2] & O_DIRECTORY ? DIRECTORIES : FILES;
	case SYS_creat: case SYS_memfd_create: return FILES;
	case SYS_epoll_create: case SYS_epoll_create1: return SETS;
	case SYS_timerfd_create: return TIMERS;
	case SYS_socket: case SYS_accept: case SYS_accept4: return SOCKETS;
	default: return OTHER;
	}
}

static void remember(struct worker *w)
{
	const uint64_t *a = w->argument;
	if (w->result < 0)
		return;
	switch (w->number) {
	case SYS_open: case SYS_openat: case SYS_creat: case SYS_dup: case SYS_dup2: case SYS_dup3: case SYS_epoll_create: case SYS_epoll_create1:
	case SYS_eventfd: case SYS_eventfd2: case SYS_timerfd_create: case SYS_memfd_create: case SYS_socket: case SYS_accept: case SYS_accept4:
		remember_descriptor(w, (int)w->result, kind_of_result(w));
		break;
	case SYS_pipe: case SYS_pipe2: case SYS_socketpair: {
		int *pair = at(w, a[w->number == SYS_socketpair ? 3 : 0], 8);
		remember_descriptor(w, pair[0], w->number == SYS_socketpair ? SOCKETS : PIPES);
		remember_descriptor(w, pair[1], w->number == SYS_socketpair ? SOCKETS : PIPES);
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
