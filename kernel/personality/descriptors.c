/* Descriptors and the files behind them. */
#include <linux/close_range.h>
#include <linux/resource.h>

#include "personality/files.h"
#include "personality/syscalls.h"

static struct file **files; /* NULL: free */
static uint8_t *close_on_exec_bits; /* a byte each: exec does not exist, F_GETFD does */
static size_t table_size;

struct file *file_new(struct inode *inode, const struct file_operations *operations, uint32_t flags)
{
	struct file *file = allocate(sizeof *file);
	if (!file)
		return NULL;
	file->operations = operations;
	file->inode = inode_get(inode);
	file->flags = flags;
	file->references = 1;
	list_init(&file->watchers);
	list_init(&file->in_locked);
	return file;
}

struct file *file_get(struct file *file)
{
	file->references++;
	return file;
}

void file_put(struct file *file)
{
	if (!file)
		return;
	ASSERT(file->references > 0);
	if (--file->references)
		return;
	epoll_forget(file);
	flock_release(file);
	if (file->operations && file->operations->close)
		file->operations->close(file);
	inode_put(file->inode);
	release(file);
}

struct file *descriptor_file_any(uint64_t descriptor)
{
	if (descriptor >= table_size || !files[descriptor])
		return NULL;
	return file_get(files[descriptor]);
}

struct file *descriptor_file(uint64_t descriptor)
{
	if (descriptor >= table_size || !files[descriptor] || files[descriptor]->flags & O_PATH)
		return NULL;
	return file_get(files[descriptor]);
}

static int table_grow(uint64_t wanted)
{
	if (wanted <= table_size)
		return 0;
	size_t size = MIN(MAX(ROUND_UP(wanted, 64), table_size * 2), DESCRIPTORS_HARD);
	struct file **grown = allocate(size * sizeof *grown);
	uint8_t *bits = allocate(size);
	if (!grown || !bits) {
		release(grown);
		release(bits);
		return -ENOMEM;
	}
	if (table_size) {
		memcpy(grown, files, table_size * sizeof *grown);
		memcpy(bits, close_on_exec_bits, table_size);
	}
	release(files);
	release(close_on_exec_bits);
	files = grown;
	close_on_exec_bits = bits;
	table_size = size;
	return 0;
}

static uint64_t lowest_free(uint64_t from)
{
	while (from < table_size && files[from])
		from++;
	return from;
}

int64_t descriptor_install(struct file *file, uint64_t from, bool close_on_exec)
{
	uint64_t number = lowest_free(from);
	int error = number >= limit_soft(RLIMIT_NOFILE) ? -EMFILE : table_grow(number + 1);
	if (error) {
		file_put(file);
		return error;
	}
	files[number] = file;
	close_on_exec_bits[number] = close_on_exec;
	return (int64_t)number;
}

uint64_t descriptor_table_size(void)
{
	return table_size;
}

int descriptor_reserve_two(void)
{
	uint64_t second = lowest_free(lowest_free(0) + 1);
	if (second >= limit_soft(RLIMIT_NOFILE))
		return -EMFILE;
	return table_grow(second + 1);
}

int descriptor_close(uint64_t descriptor)
{
	if (descriptor >= table_size || !files[descriptor])
		return -EBADF;
	struct file *file = files[descriptor];
	files[descriptor] = NULL;
	close_on_exec_bits[descriptor] = 0;
	file_put(file);
	return 0;
}

int64_t descriptor_next(uint64_t from)
{
	for (; from < table_size; from++)
		if (files[from])
			return (int64_t)from;
	return -1;
}

bool descriptor_close_on_exec(uint64_t descriptor)
{
	return descriptor < table_size && close_on_exec_bits[descriptor];
}

void descriptor_close_on_exec_set(uint64_t descriptor, bool value)
{
	if (descriptor < table_size && files[descriptor])
		close_on_exec_bits[descriptor] = value;
}

int64_t sys_close(const uint64_t *argument)
{
	return descriptor_close((uint32_t)argument[0]);
}

int64_t sys_close_range(const uint64_t *argument)
{
	uint64_t first = (uint32_t)argument[0], last = (uint32_t)argument[1], flags = (uint32_t)argument[2];
	if (first > last || flags & ~(uint64_t)(CLOSE_RANGE_CLOEXEC | CLOSE_RANGE_UNSHARE))
		return -EINVAL;
	for (; first <= last && first < table_size; first++) {
		if (flags & CLOSE_RANGE_CLOEXEC)
			descriptor_close_on_exec_set(first, true);
		else
			descriptor_close(first);
	}
	return 0;
}

int64_t sys_dup(const uint64_t *argument)
{
	struct file *file = descriptor_file_any((uint32_t)argument[0]);
	return file ? descriptor_install(file, 0, false) : -EBADF;
}

static int64_t duplicate_to(uint64_t from, uint64_t to, bool close_on_exec)
{
	struct file *file = descriptor_file_any(from);
	if (!file)
		return -EBADF;
	int error = to >= limit_soft(RLIMIT_NOFILE) ? -EBADF : table_grow(to + 1);
	if (error) {
		file_put(file);
		return error;
	}
	struct file *old = files[to];
	files[to] = file;
	close_on_exec_bits[to] = close_on_exec;
	file_put(old);
	return (int64_t)to;
}

int64_t sys_dup2(const uint64_t *argument)
{
	uint64_t from = (uint32_t)argument[0], to = (uint32_t)argument[1];
	if (from == to)
		return from < table_size && files[from] ? (int64_t)to : -EBADF;
	return duplicate_to(from, to, false);
}

int64_t sys_dup3(const uint64_t *argument)
{
	uint64_t from = (uint32_t)argument[0], to = (uint32_t)argument[1];
	if (argument[2] & ~(uint64_t)O_CLOEXEC || from == to)
		return -EINVAL;
	return duplicate_to(from, to, argument[2] & O_CLOEXEC);
}
