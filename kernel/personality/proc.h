/* What the files of /proc and /sys say. */
#ifndef SARAB_PROC_H
#define SARAB_PROC_H

#include "personality/pseudo.h"

/* proc_self.c; key is the number of a numbered directory's child */
int64_t proc_next_task(uint64_t from);
int64_t proc_thread_self(uint64_t key, char *to, size_t size);
int64_t proc_exe(uint64_t key, char *to, size_t size);
int64_t proc_cwd(uint64_t key, char *to, size_t size);
int64_t proc_root_target(uint64_t key, char *to, size_t size);
int64_t proc_descriptor(uint64_t key, char *to, size_t size);
int proc_exe_follow(uint64_t key, struct inode **found);
int proc_cwd_follow(uint64_t key, struct inode **found);
int proc_root_follow(uint64_t key, struct inode **found);
int proc_descriptor_follow(uint64_t key, struct inode **found);
int proc_comm_set(const char *bytes, size_t length);

#define GENERATORS(X)                                                                                                                     \
	/* proc_self.c */                                                                                                                 \
	X(proc_maps) X(proc_status) X(proc_process_stat) X(proc_statm) X(proc_arguments) X(proc_environment) X(proc_auxv)                 \
	X(proc_comm) X(proc_limits) X(proc_mounts) X(proc_mountinfo) X(proc_cgroup) X(proc_io) X(proc_descriptor_info)                    \
	/* proc_system.c */                                                                                                               \
	X(proc_sarab) X(proc_cpuinfo) X(proc_meminfo) X(proc_uptime) X(proc_loadavg) X(proc_stat) X(proc_version)                         \
	X(proc_filesystems) X(proc_boot_line) X(proc_zero) X(proc_os_release) X(proc_os_type) X(proc_os_version)                          \
	X(proc_hostname) X(proc_pid_max) X(proc_threads_max) X(proc_groups_max) X(proc_last_capability) X(proc_boot_id)                   \
	X(proc_uuid) X(proc_entropy) X(proc_overcommit) X(proc_map_count) X(proc_file_max) X(proc_pipe_max_size)                          \
	X(sys_huge_pages)
#define GENERATOR_DECLARE(name) void name(struct text *t, uint64_t key);
GENERATORS(GENERATOR_DECLARE)
#undef GENERATOR_DECLARE

#define CLOCK_TICKS 100 /* a second: USER_HZ, in which /proc tells CPU time */

#endif
