/* Every system call that sarab knows: name, number of arguments, how --trace prints each argument and the result.
 * Letters: d signed, u unsigned, x hexadecimal, p pointer, s string, b buffer whose length is the next argument, f file descriptor,
 * o octal mode; after the colon the result, d or x.
 *
 * Each is int64_t sys_NAME(const uint64_t *argument): argument[0..5], result or -errno. The caller's registers are
 * current_frame() (thread/thread.h). A call that is not here is ENOSYS and counted.
 * The room that owns a call defines it: M memory/ and cpu/, T thread/, F personality/. */
#ifndef SARAB_SYSCALLS_H
#define SARAB_SYSCALLS_H

#include <stdint.h>

#define SYSTEM_CALLS(F, T, M)                                                                                                  \
	/* files and descriptors */                                                                                            \
	F(read, "fbu:d") F(write, "fbu:d") F(pread64, "fxud:d") F(pwrite64, "fbud:d") F(readv, "fpu:d") F(writev, "fpu:d")     \
	F(preadv, "fpud:d") F(pwritev, "fpud:d") F(preadv2, "fpuddx:d") F(pwritev2, "fpuddx:d")                               \
	F(open, "sOo:d") F(openat, "fsOo:d") F(creat, "so:d") F(close, "f:d") F(close_range, "uux:d")                          \
	F(dup, "f:d") F(dup2, "ff:d") F(dup3, "ffx:d") F(fcntl, "fdx:d") F(ioctl, "fxx:d") F(lseek, "fdd:d")                   \
	F(flock, "fd:d") F(fsync, "f:d") F(fdatasync, "f:d") F(sync, ":d") F(truncate, "sd:d") F(ftruncate, "fd:d")            \
	F(fallocate, "fddd:d") F(fadvise64, "fddd:d") F(sendfile, "ffpu:d") F(copy_file_range, "fpfpux:d")                     \
	F(stat, "sp:d") F(lstat, "sp:d") F(fstat, "fp:d") F(newfstatat, "fspx:d") F(statx, "fsxxp:d")                          \
	F(statfs, "sp:d") F(fstatfs, "fp:d") F(access, "so:d") F(faccessat, "fso:d") F(faccessat2, "fsox:d")                   \
	F(getdents64, "fpu:d") F(getcwd, "pu:d") F(chdir, "s:d") F(fchdir, "f:d") F(umask, "o:d")                              \
	F(rename, "ss:d") F(renameat, "fsfs:d") F(renameat2, "fsfsx:d") F(mkdir, "so:d") F(mkdirat, "fso:d") F(rmdir, "s:d")   \
	F(link, "ss:d") F(linkat, "fsfsx:d") F(unlink, "s:d") F(unlinkat, "fsx:d") F(symlink, "ss:d") F(symlinkat, "sfs:d")    \
	F(readlink, "spu:d") F(readlinkat, "fspu:d") F(chmod, "so:d") F(fchmod, "fo:d") F(fchmodat, "fso:d")                   \
	F(chown, "sdd:d") F(lchown, "sdd:d") F(fchown, "fdd:d") F(fchownat, "fsddx:d") F(utimensat, "fspx:d")                  \
	F(pipe, "p:d") F(pipe2, "px:d") F(poll, "pud:d") F(ppoll, "puppu:d") F(select, "dpppp:d") F(pselect6, "dppppp:d")      \
	F(epoll_create, "d:d") F(epoll_create1, "x:d") F(epoll_ctl, "fdfp:d") F(epoll_wait, "fpdd:d")                          \
	F(epoll_pwait, "fpddpu:d") F(epoll_pwait2, "fpdppu:d") F(eventfd, "u:d") F(eventfd2, "ux:d")                           \
	F(timerfd_create, "dx:d") F(timerfd_settime, "fxpp:d") F(timerfd_gettime, "fp:d") F(memfd_create, "sx:d")              \
	F(mmap, "puPMfx:x") F(mknod, "sox:d") F(mknodat, "fsox:d") F(fchmodat2, "fsox:d") F(syncfs, "f:d")                     \
	F(sync_file_range, "fddx:d") F(readahead, "fdu:d") F(splice, "fpfpux:d") F(tee, "ffux:d")                              \
	F(utime, "sp:d") F(utimes, "sp:d") F(futimesat, "fsp:d") F(chroot, "s:d")                                              \
	F(setxattr, "sspux:d") F(lsetxattr, "sspux:d") F(fsetxattr, "fspux:d") F(getxattr, "sspu:d") F(lgetxattr, "sspu:d")    \
	F(fgetxattr, "fspu:d") F(listxattr, "spu:d") F(llistxattr, "spu:d") F(flistxattr, "fpu:d") F(removexattr, "ss:d")      \
	F(lremovexattr, "ss:d") F(fremovexattr, "fs:d")                                                                        \
	/* sockets: pairs only; the network is Python's */                                                                     \
	F(socket, "dxd:d") F(socketpair, "dxdp:d") F(sendto, "fbuxpu:d") F(recvfrom, "fbuxpp:d") F(sendmsg, "fpx:d")           \
	F(recvmsg, "fpx:d") F(shutdown, "fd:d") F(getsockname, "fpp:d") F(getpeername, "fpp:d") F(setsockopt, "fddpu:d")       \
	F(getsockopt, "fddpp:d") F(bind, "fpu:d") F(connect, "fpu:d") F(listen, "fd:d") F(accept, "fpp:d")                     \
	F(accept4, "fppx:d")                                                                                                   \
	/* who and where */                                                                                                    \
	F(uname, "p:d") F(sysinfo, "p:d") F(getrlimit, "dp:d") F(setrlimit, "dp:d") F(prlimit64, "ddpp:d")                     \
	F(getuid, ":d") F(geteuid, ":d") F(getgid, ":d") F(getegid, ":d") F(getresuid, "ppp:d") F(getresgid, "ppp:d")          \
	F(setuid, "d:d") F(setgid, "d:d") F(setreuid, "dd:d") F(setregid, "dd:d") F(setresuid, "ddd:d")                        \
	F(setresgid, "ddd:d") F(getgroups, "dp:d") F(setgroups, "dp:d") F(personality, "x:d") F(sethostname, "su:d")           \
	/* threads, signals, time */                                                                                           \
	T(clone, "xpppx:d") T(exit, "d:d") T(exit_group, "d:d") T(set_tid_address, "p:d") T(set_robust_list, "pu:d")           \
	T(get_robust_list, "dpp:d") T(futex, "pxupxu:d") T(gettid, ":d") T(getpid, ":d") T(getppid, ":d") T(getpgrp, ":d")     \
	T(getpgid, "d:d") T(setpgid, "dd:d") T(getsid, "d:d") T(setsid, ":d") T(wait4, "dpxp:d") T(waitid, "ddpxp:d")          \
	T(sched_yield, ":d") T(sched_getaffinity, "dup:d") T(sched_setaffinity, "dup:d") T(sched_getscheduler, "d:d")          \
	T(sched_setscheduler, "ddp:d") T(sched_getparam, "dp:d") T(sched_setparam, "dp:d")                                     \
	T(sched_get_priority_max, "d:d") T(sched_get_priority_min, "d:d") T(sched_rr_get_interval, "dp:d")                     \
	T(getpriority, "dd:d") T(setpriority, "ddd:d") T(getcpu, "ppp:d") T(membarrier, "dxd:d") T(prctl, "dxxxx:d")           \
	T(rt_sigaction, "dppu:d") T(rt_sigprocmask, "dppu:d") T(rt_sigreturn, ":d") T(rt_sigpending, "pu:d")                   \
	T(rt_sigsuspend, "pu:d") T(rt_sigtimedwait, "pppu:d") T(rt_sigqueueinfo, "ddp:d") T(rt_tgsigqueueinfo, "dddp:d")       \
	T(sigaltstack, "pp:d") T(kill, "dd:d") T(tkill, "dd:d") T(tgkill, "ddd:d") T(pause, ":d")                              \
	T(nanosleep, "pp:d") T(clock_nanosleep, "dxpp:d") T(clock_gettime, "dp:d") T(clock_getres, "dp:d")                     \
	T(clock_settime, "dp:d") T(gettimeofday, "pp:d") T(time, "p:d") T(times, "p:d") T(getrusage, "dp:d")                   \
	T(getitimer, "dp:d") T(setitimer, "dpp:d") T(alarm, "u:d") T(timer_create, "dpp:d") T(timer_settime, "dxpp:d")         \
	T(timer_gettime, "dp:d") T(timer_getoverrun, "d:d") T(timer_delete, "d:d") T(restart_syscall, ":d")                    \
	/* memory, entropy, architecture */                                                                                    \
	M(munmap, "xu:d") M(mprotect, "xuP:d") M(mremap, "xuuxx:x") M(brk, "x:x") M(madvise, "xud:d") M(msync, "xux:d")        \
	M(mincore, "xup:d") M(mlock, "xu:d") M(munlock, "xu:d") M(mlockall, "x:d") M(munlockall, ":d")                         \
	M(getrandom, "pux:d") M(arch_prctl, "xx:d")

#define SYSTEM_CALL_DECLARE(name, format) int64_t sys_##name(const uint64_t *argument);
SYSTEM_CALLS(SYSTEM_CALL_DECLARE, SYSTEM_CALL_DECLARE, SYSTEM_CALL_DECLARE)
#undef SYSTEM_CALL_DECLARE

#endif
