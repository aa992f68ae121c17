/* /proc and /sys: the tree. What its files say is in proc_self.c (the process) and proc_system.c (the machine). */
#include "personality/proc.h"

#include "thread/thread.h"

const struct file_system proc_file_system = {
	.type = "proc", .source = "proc", .mount_options = "rw", .device = 6, .magic = PROC_SUPER_MAGIC,
};
const struct file_system sys_file_system = {
	.type = "sysfs", .source = "sysfs", .mount_options = "ro", .device = 7, .magic = SYSFS_MAGIC, .read_only = true,
};

/* Positions of directories in the table, which the rows below name as parents. */
enum { TOP, PROCESS, TASKS, DESCRIPTORS, DESCRIPTOR_INFO, SYSCTL, SYSCTL_KERNEL, SYSCTL_RANDOM, SYSCTL_VM, SYSCTL_FS, SYSCTL_PIPE, OWN, FIRST_FILE };

static const struct pseudo one_task, one_descriptor, one_descriptor_info;
static const struct pseudo nodes[];
#define IN(directory) .parent = (struct pseudo *)(uintptr_t)&nodes[directory]
#define DIRECTORY .mode = S_IFDIR | 0555
#define FILE_OF(function) .mode = S_IFREG | 0444, .generate = function
#define PRIVATE_FILE_OF(function) .mode = S_IFREG | 0400, .generate = function
#define SETTING_OF(function, setter) .mode = S_IFREG | 0644, .generate = function, .store = setter

static const struct pseudo nodes[] = {
	[TOP] = {.name = "proc", DIRECTORY},
	[PROCESS] = {.name = "1", IN(TOP), DIRECTORY},
	[TASKS] = {.name = "task", IN(PROCESS), DIRECTORY, .next = proc_next_task, .numbered = &one_task},
	[DESCRIPTORS] = {.name = "fd", IN(PROCESS), .mode = S_IFDIR | 0500, .next = descriptor_next, .numbered = &one_descriptor},
	[DESCRIPTOR_INFO] = {.name = "fdinfo", IN(PROCESS), DIRECTORY, .next = descriptor_next, .numbered = &one_descriptor_info},
	[SYSCTL] = {.name = "sys", IN(TOP), DIRECTORY},
	[SYSCTL_KERNEL] = {.name = "kernel", IN(SYSCTL), DIRECTORY},
	[SYSCTL_RANDOM] = {.name = "random", IN(SYSCTL_KERNEL), DIRECTORY},
	[SYSCTL_VM] = {.name = "vm", IN(SYSCTL), DIRECTORY},
	[SYSCTL_FS] = {.name = "fs", IN(SYSCTL), DIRECTORY},
	[SYSCTL_PIPE] = {.name = "pipe-max-size", IN(SYSCTL_FS), FILE_OF(proc_pipe_max_size)},
	[OWN] = {.name = "sarab", IN(TOP), FILE_OF(proc_sarab)},

	{.name = "self", IN(TOP), .mode = S_IFLNK | 0777, .target = "1"},
	{.name = "thread-self", IN(TOP), .mode = S_IFLNK | 0777, .make_target = proc_thread_self},
	{.name = "mounts", IN(TOP), .mode = S_IFLNK | 0777, .target = "self/mounts"},
	{.name = "cpuinfo", IN(TOP), FILE_OF(proc_cpuinfo)},
	{.name = "meminfo", IN(TOP), FILE_OF(proc_meminfo)},
	{.name = "uptime", IN(TOP), FILE_OF(proc_uptime)},
	{.name = "loadavg", IN(TOP), FILE_OF(proc_loadavg)},
	{.name = "stat", IN(TOP), FILE_OF(proc_stat)},
	{.name = "version", IN(TOP), FILE_OF(proc_version)},
	{.name = "filesystems", IN(TOP), FILE_OF(proc_filesystems)},
	{.name = "cmdline", IN(TOP), FILE_OF(proc_boot_line)},

	{.name = "exe", IN(PROCESS), .mode = S_IFLNK | 0777, .make_target = proc_exe, .follow = proc_exe_follow},
	{.name = "cwd", IN(PROCESS), .mode = S_IFLNK | 0777, .make_target = proc_cwd, .follow = proc_cwd_follow},
	{.name = "root", IN(PROCESS), .mode = S_IFLNK | 0777, .make_target = proc_root_target, .follow = proc_root_follow},
	{.name = "maps", IN(PROCESS), FILE_OF(proc_maps)},
	{.name = "status", IN(PROCESS), FILE_OF(proc_status)},
	{.name = "stat", IN(PROCESS), FILE_OF(proc_process_stat)},
	{.name = "statm", IN(PROCESS), FILE_OF(proc_statm)},
	{.name = "cmdline", IN(PROCESS), FILE_OF(proc_arguments)},
	{.name = "environ", IN(PROCESS), PRIVATE_FILE_OF(proc_environment)},
	{.name = "auxv", IN(PROCESS), PRIVATE_FILE_OF(proc_auxv)},
	{.name = "comm", IN(PROCESS), SETTING_OF(proc_comm, proc_comm_set)},
	{.name = "limits", IN(PROCESS), FILE_OF(proc_limits)},
	{.name = "mounts", IN(PROCESS), FILE_OF(proc_mounts)},
	{.name = "mountinfo", IN(PROCESS), FILE_OF(proc_mountinfo)},
	{.name = "cgroup", IN(PROCESS), FILE_OF(proc_cgroup)},
	{.name = "io", IN(PROCESS), PRIVATE_FILE_OF(proc_io)},
	{.name = "oom_score", IN(PROCESS), FILE_OF(proc_zero)},
	{.name = "oom_score_adj", IN(PROCESS), FILE_OF(proc_zero)},

	{.name = "osrelease", IN(SYSCTL_KERNEL), FILE_OF(proc_os_release)},
	{.name = "ostype", IN(SYSCTL_KERNEL), FILE_OF(proc_os_type)},
	{.name = "version", IN(SYSCTL_KERNEL), FILE_OF(proc_os_version)},
	{.name = "hostname", IN(SYSCTL_KERNEL), FILE_OF(proc_hostname)},
	{.name = "pid_max", IN(SYSCTL_KERNEL), FILE_OF(proc_pid_max)},
	{.name = "threads-max", IN(SYSCTL_KERNEL), FILE_OF(proc_threads_max)},
	{.name = "ngroups_max", IN(SYSCTL_KERNEL), FILE_OF(proc_groups_max)},
	{.name = "cap_last_cap", IN(SYSCTL_KERNEL), FILE_OF(proc_last_capability)},
	{.name = "boot_id", IN(SYSCTL_RANDOM), FILE_OF(proc_boot_id)},
	{.name = "uuid", IN(SYSCTL_RANDOM), FILE_OF(proc_uuid)},
	{.name = "entropy_avail", IN(SYSCTL_RANDOM), FILE_OF(proc_entropy)},
	{.name = "overcommit_memory", IN(SYSCTL_VM), FILE_OF(proc_overcommit)},
	{.name = "max_map_count", IN(SYSCTL_VM), FILE_OF(proc_map_count)},
	{.name = "file-max", IN(SYSCTL_FS), FILE_OF(proc_file_max)},
	{.name = "nr_open", IN(SYSCTL_FS), FILE_OF(proc_file_max)},
};

/* /proc/1/task/N: a directory would be a tree for each thread; its one file that is read is stat, so the threads are told there. */
static const struct pseudo one_task = {DIRECTORY};
static const struct pseudo one_descriptor = {.mode = S_IFLNK | 0700, .make_target = proc_descriptor, .follow = proc_descriptor_follow};
static const struct pseudo one_descriptor_info = {FILE_OF(proc_descriptor_info)};

struct inode *proc_root(void)
{
	return pseudo_tree(nodes, ARRAY_LENGTH(nodes), &proc_file_system);
}

enum { SYS_TOP, SYS_DEVICES, SYS_SYSTEM, SYS_CPU, SYS_NODE, SYS_KERNEL, SYS_MM, SYS_HUGE };
static const struct pseudo sys_nodes[];
#define SYS_IN(directory) .parent = (struct pseudo *)(uintptr_t)&sys_nodes[directory]
static const struct pseudo sys_nodes[] = {
	[SYS_TOP] = {.name = "sys", DIRECTORY},
	[SYS_DEVICES] = {.name = "devices", SYS_IN(SYS_TOP), DIRECTORY},
	[SYS_SYSTEM] = {.name = "system", SYS_IN(SYS_DEVICES), DIRECTORY},
	[SYS_CPU] = {.name = "cpu", SYS_IN(SYS_SYSTEM), DIRECTORY},
	[SYS_NODE] = {.name = "node", SYS_IN(SYS_SYSTEM), DIRECTORY},
	[SYS_KERNEL] = {.name = "kernel", SYS_IN(SYS_TOP), DIRECTORY},
	[SYS_MM] = {.name = "mm", SYS_IN(SYS_KERNEL), DIRECTORY},
	[SYS_HUGE] = {.name = "transparent_hugepage", SYS_IN(SYS_MM), DIRECTORY},
	{.name = "online", SYS_IN(SYS_CPU), FILE_OF(proc_zero)},
	{.name = "possible", SYS_IN(SYS_CPU), FILE_OF(proc_zero)},
	{.name = "present", SYS_IN(SYS_CPU), FILE_OF(proc_zero)},
	{.name = "cpu0", SYS_IN(SYS_CPU), DIRECTORY},
	{.name = "online", SYS_IN(SYS_NODE), FILE_OF(proc_zero)},
	{.name = "enabled", SYS_IN(SYS_HUGE), FILE_OF(sys_huge_pages)},
};

struct inode *sys_root(void)
{
	return pseudo_tree(sys_nodes, ARRAY_LENGTH(sys_nodes), &sys_file_system);
}
