/* /proc/self: what the process is. */
#include <linux/resource.h>

#include "personality/proc.h"
#include "thread/thread.h"
#include "time/clock.h"

struct process_description process_description;

static void *copy_of(const void *bytes, size_t length)
{
	void *copy = allocate(length + 1);
	if (!copy)
		panic("no memory for the program's arguments");
	memcpy(copy, bytes, length);
	return copy;
}

void process_describe(const char *exe, const char *arguments, size_t arguments_length, const char *environment,
		      size_t environment_length, const uint64_t *auxv, size_t auxv_length)
{
	process_description = (struct process_description){
		.exe = copy_of(exe, strlen(exe)),
		.arguments = copy_of(arguments, arguments_length),
		.arguments_length = arguments_length,
		.environment = copy_of(environment, environment_length),
		.environment_length = environment_length,
		.auxv = copy_of(auxv, auxv_length),
		.auxv_length = auxv_length,
	};
}

/* ---- links ------------------------------------------------------------------------------------------------------------------------------ */

static int64_t put_text(const char *text, char *to, size_t size)
{
	size_t length = MIN(strlen(text), size);
	memcpy(to, text, length);
	return (int64_t)length;
}

int64_t proc_thread_self(uint64_t key, char *to, size_t size)
{
	char text[32];
	(void)key;
	snprintf(text, sizeof text, "1/task/%d", current->tid);
	return put_text(text, to, size);
}

int64_t proc_exe(uint64_t key, char *to, size_t size)
{
	(void)key;
	return process_description.exe ? put_text(process_description.exe, to, size) : -ENOENT;
}

int proc_exe_follow(uint64_t key, struct inode **found)
{
	(void)key;
	int64_t node = process_description.exe ? image_lookup(process_description.exe) : -ENOENT;
	if (node < 0)
		return -ENOENT;
	*found = image_inode((uint32_t)node);
	return *found ? 0 : -ENOMEM;
}

int64_t proc_cwd(uint64_t key, char *to, size_t size)
{
	(void)key;
	return path_of(working_directory, to, size);
}

int proc_cwd_follow(uint64_t key, struct inode **found)
{
	(void)key;
	*found = inode_get(working_directory);
	return 0;
}

int64_t proc_root_target(uint64_t key, char *to, size_t size)
{
	(void)key;
	return put_text("/", to, size);
}

int proc_root_follow(uint64_t key, struct inode **found)
{
	(void)key;
	*found = inode_get(root_directory);
	return 0;
}

int64_t proc_descriptor(uint64_t key, char *to, size_t size)
{
	struct file *file = descriptor_file_any(key);
	if (!file)
		return -ENOENT;
	int64_t length = path_of_file(file, to, size);
	file_put(file);
	return length;
}

int proc_descriptor_follow(uint64_t key, struct inode **found)
{
	struct file *file = descriptor_file_any(key);
	if (!file)
		return -ENOENT;
	*found = inode_get(file->inode);
	file_put(file);
	return 0;
}

int64_t proc_next_task(uint64_t from)
{
	int64_t lowest = -1;
	LIST_FOR_EACH(node, &threads) {
		int64_t tid = THREAD_OF(node)->tid;
		if (tid >= (int64_t)from && (lowest < 0 || tid < lowest))
			lowest = tid;
	}
	return lowest;
}

/* ---- files ------------------------------------------------------------------------------------------------------------------------------ */

void proc_descriptor_info(struct text *t, uint64_t key)
{
	char more[512] = "";
	struct file *file = descriptor_file_any(key);
	if (!file)
		return;
	uint32_t flags = file->flags | (descriptor_close_on_exec(key) ? O_CLOEXEC : 0);
	char octal[12];
	size_t n = sizeof octal;
	octal[--n] = 0;
	do {
		octal[--n] = (char)('0' + (flags & 7));
		flags >>= 3;
	} while (flags);
	text_print(t, "pos:\t%lld\nflags:\t0%s\nmnt_id:\t%u\nino:\t%llu\n", (long long)file->position, octal + n,
		   file->inode->file_system->device, (unsigned long long)file->inode->number);
	if (file->operations->describe)
		file->operations->describe(file, more, sizeof more);
	text_bytes(t, more, strlen(more));
	file_put(file);
}

void proc_maps(struct text *t, uint64_t key)
{
	uint64_t cursor = 0;
	(void)key;
	char *line = path_scratch();
	size_t length;
	while ((length = memory_describe(&cursor, line, PATH_LENGTH_MAX)) != 0)
		text_bytes(t, line, MIN(length, PATH_LENGTH_MAX - 1));
}

static unsigned long long kilobytes(uint64_t pages)
{
	return pages * (PAGE_SIZE / 1024);
}

void proc_status(struct text *t, uint64_t key)
{
	uint64_t pending = 0, blocked = current->signal_mask, voluntary = 0, involuntary = 0;
	(void)key;
	LIST_FOR_EACH(node, &threads) {
		voluntary += THREAD_OF(node)->voluntary_switches;
		involuntary += THREAD_OF(node)->involuntary_switches;
		pending |= THREAD_OF(node)->pending.set;
	}
	text_print(t, "Name:\t%s\nUmask:\t0%u%u%u\nState:\tR (running)\nTgid:\t%d\nNgid:\t0\nPid:\t%d\nPPid:\t0\nTracerPid:\t0\n",
		   current->name, file_creation_mask >> 6 & 7, file_creation_mask >> 3 & 7, file_creation_mask & 7, PROCESS_ID, PROCESS_ID);
	text_print(t, "Uid:\t%u\t%u\t%u\t%u\nGid:\t%u\t%u\t%u\t%u\n", identity.user, identity.effective_user, identity.saved_user,
		   identity.file_user, identity.group, identity.effective_group, identity.saved_group, identity.file_group);
	text_print(t, "FDSize:\t%llu\nGroups:\t", (unsigned long long)limit_soft(RLIMIT_NOFILE));
	for (size_t i = 0; i < identity.group_count; i++)
		text_print(t, "%u ", identity.groups[i]);
	text_print(t, "\nVmPeak:\t%8llu kB\nVmSize:\t%8llu kB\nVmLck:\t       0 kB\nVmHWM:\t%8llu kB\nVmRSS:\t%8llu kB\n",
		   kilobytes(memory_virtual_pages()), kilobytes(memory_virtual_pages()), kilobytes(memory_resident_pages()),
		   kilobytes(memory_resident_pages()));
	text_print(t, "VmSwap:\t       0 kB\nThreads:\t%u\nSigQ:\t0/1024\nSigPnd:\t%016llx\nSigBlk:\t%016llx\n", thread_count,
		   (unsigned long long)pending, (unsigned long long)blocked);
	/* What libffi asks before it writes closures: page protection, and its trampolines made for it (cpu/trampoline.c). */
	text_print(t, "PaX:\tPEMRs\n");
	text_print(t, "NoNewPrivs:\t1\nSeccomp:\t0\nCpus_allowed:\t1\nCpus_allowed_list:\t0\nMems_allowed:\t1\nMems_allowed_list:\t0\n");
	text_print(t, "voluntary_ctxt_switches:\t%llu\nnonvoluntary_ctxt_switches:\t%llu\n", (unsigned long long)voluntary,
		   (unsigned long long)involuntary);
}

static unsigned long long ticks(int64_t nanoseconds)
{
	return (unsigned long long)nanoseconds / (NANOSECONDS / CLOCK_TICKS);
}

void proc_process_stat(struct text *t, uint64_t key)
{
	struct cpu_time used = process_cpu_time();
	(void)key;
	/* pid comm state ppid pgrp session tty tpgid flags minflt cminflt majflt cmajflt utime stime cutime cstime prio nice threads
	 * itrealvalue starttime vsize rss rsslim, and 27 more that say nothing here. */
	text_print(t, "%d (%s) R 0 1 1 0 -1 4194560 0 0 0 0 %llu %llu 0 0 20 0 %u 0 0 %llu %llu 18446744073709551615", PROCESS_ID,
		   current->name, ticks(used.user), ticks(used.system), thread_count, (unsigned long long)memory_virtual_pages() * PAGE_SIZE,
		   (unsigned long long)memory_resident_pages());
	text_print(t, " 0 0 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n");
}

void proc_statm(struct text *t, uint64_t key)
{
	(void)key;
	text_print(t, "%llu %llu 0 0 0 %llu 0\n", (unsigned long long)memory_virtual_pages(), (unsigned long long)memory_resident_pages(),
		   (unsigned long long)memory_resident_pages());
}

void proc_arguments(struct text *t, uint64_t key)
{
	(void)key;
	text_bytes(t, process_description.arguments, process_description.arguments_length);
}

void proc_environment(struct text *t, uint64_t key)
{
	(void)key;
	text_bytes(t, process_description.environment, process_description.environment_length);
}

void proc_auxv(struct text *t, uint64_t key)
{
	(void)key;
	text_bytes(t, process_description.auxv, process_description.auxv_length);
}

void proc_comm(struct text *t, uint64_t key)
{
	(void)key;
	text_print(t, "%s\n", current->name);
}

int proc_comm_set(const char *bytes, size_t length)
{
	memset(current->name, 0, THREAD_NAME_SIZE);
	memcpy(current->name, bytes, MIN(strnlen(bytes, length), THREAD_NAME_SIZE - 1));
	return 0;
}

static void put_limit(struct text *t, uint64_t value)
{
	if (value == RLIM64_INFINITY)
		text_print(t, "%-21s", "unlimited");
	else
		text_print(t, "%-21llu", (unsigned long long)value);
}

void proc_limits(struct text *t, uint64_t key)
{
	static const struct {
		unsigned resource;
		const char *name, *unit;
	} rows[] = {
		{RLIMIT_CPU, "Max cpu time", "seconds"},	   {RLIMIT_FSIZE, "Max file size", "bytes"},
		{RLIMIT_DATA, "Max data size", "bytes"},	   {RLIMIT_STACK, "Max stack size", "bytes"},
		{RLIMIT_CORE, "Max core file size", "bytes"},	   {RLIMIT_RSS, "Max resident set", "bytes"},
		{RLIMIT_NPROC, "Max processes", "processes"},	   {RLIMIT_NOFILE, "Max open files", "files"},
		{RLIMIT_MEMLOCK, "Max locked memory", "bytes"},	   {RLIMIT_AS, "Max address space", "bytes"},
		{RLIMIT_LOCKS, "Max file locks", "locks"},	   {RLIMIT_SIGPENDING, "Max pending signals", "signals"},
		{RLIMIT_MSGQUEUE, "Max msgqueue size", "bytes"},   {RLIMIT_NICE, "Max nice priority", ""},
		{RLIMIT_RTPRIO, "Max realtime priority", ""},	   {RLIMIT_RTTIME, "Max realtime timeout", "us"},
	};
	(void)key;
	text_print(t, "%-26s%-21s%-21s%-10s\n", "Limit", "Soft Limit", "Hard Limit", "Units");
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		text_print(t, "%-26s", rows[i].name);
		put_limit(t, limit_soft(rows[i].resource));
		put_limit(t, limit_hard(rows[i].resource));
		text_print(t, "%-10s\n", rows[i].unit);
	}
}

static const char *mount_path(const struct mount *m)
{
	char *path = path_scratch();
	return path_of(m->root, path, PATH_LENGTH_MAX) > 0 ? path : "/";
}

void proc_mounts(struct text *t, uint64_t key)
{
	(void)key;
	text_print(t, "image / %s ro 0 0\n", root_directory->file_system->type);
	for (size_t i = 0; i < mount_count; i++) {
		const struct file_system *fs = mounts[i].root->file_system;
		text_print(t, "%s %s %s %s 0 0\n", fs->source, mount_path(&mounts[i]), fs->type, fs->mount_options);
	}
}

void proc_mountinfo(struct text *t, uint64_t key)
{
	(void)key;
	text_print(t, "1 0 0:%u / / ro - %s image ro\n", root_directory->file_system->device, root_directory->file_system->type);
	for (size_t i = 0; i < mount_count; i++) {
		const struct file_system *fs = mounts[i].root->file_system;
		text_print(t, "%zu 1 0:%u / %s %s - %s %s %s\n", i + 2, fs->device, mount_path(&mounts[i]), fs->mount_options, fs->type,
			   fs->source, fs->mount_options);
	}
}

void proc_cgroup(struct text *t, uint64_t key)
{
	(void)key;
	text_print(t, "0::/\n");
}

void proc_io(struct text *t, uint64_t key)
{
	(void)key;
	text_print(t, "rchar: 0\nwchar: 0\nsyscr: 0\nsyscw: 0\nread_bytes: 0\nwrite_bytes: 0\ncancelled_write_bytes: 0\n");
}
