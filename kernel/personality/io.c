/* read, write and their kin; lseek, sync, truncate, fallocate. */
#include <linux/fadvise.h>
#include <linux/falloc.h>
#include <linux/fs.h>

#include <linux/resource.h>

#include "personality/files.h"
#include "personality/socket.h"
#include "personality/syscalls.h"
#include "thread/thread.h"

void signal_current(int signal)
{
	const uint64_t argument[6] = {PROCESS_ID, (uint64_t)current->tid, (uint64_t)signal};
	sys_tgkill(argument);
}

/* RLIMIT_FSIZE: how much may be written at a position. -EFBIG with SIGXFSZ when nothing. */
static int limit_size(const struct file *file, struct transfer *t, int64_t position)
{
	uint64_t limit = limit_soft(RLIMIT_FSIZE);
	if (limit == RLIM_INFINITY || !is_regular(file->inode))
		return 0;
	if (t->append) {
		struct attributes a;
		inode_attributes(file->inode, &a);
		position = (int64_t)a.size;
	}
	if (position >= 0 && (uint64_t)position >= limit) {
		signal_current(SIGXFSZ);
		return -EFBIG;
	}
	t->left = MIN(t->left, limit - (uint64_t)position);
	return 0;
}

int64_t file_read(struct file *file, struct transfer *t, int64_t *position)
{
	if (is_directory(file->inode))
		return -EISDIR;
	if (!file->operations->read)
		return -EINVAL;
	if (!t->left && is_regular(file->inode))
		return 0;
	t->nonblocking |= (file->flags & O_NONBLOCK) != 0;
	int64_t done = file->operations->read(file, t, position);
	return done == 0 && t->fault ? -EFAULT : done;
}

int64_t file_write(struct file *file, struct transfer *t, int64_t *position)
{
	if (!file->operations->write)
		return -EINVAL;
	if (!t->left && is_regular(file->inode))
		return 0;
	t->nonblocking |= (file->flags & O_NONBLOCK) != 0;
	t->append |= (file->flags & O_APPEND) != 0;
	int error = limit_size(file, t, *position);
	if (error)
		return error;
	int64_t done = file->operations->write(file, t, position);
	return done == 0 && t->fault ? -EFAULT : done;
}

/* A buffer that does not lie in the application's half at all is refused before anything is read. */
static bool range_possible(uint64_t address, uint64_t length)
{
	return length <= USER_END && address <= USER_END - length;
}

int vectors_get(uint64_t address, uint64_t count, struct iovec *small, struct iovec **vectors, struct transfer *t)
{
	*vectors = NULL;
	if (count > VECTORS_MAX)
		return -EINVAL;
	struct iovec *v = small;
	if (count > VECTORS_SMALL) {
		v = *vectors = allocate(count * sizeof *v);
		if (!v)
			return -ENOMEM;
	}
	int error = copy_from_user(v, address, count * sizeof *v);
	uint64_t total = 0;
	for (size_t i = 0; !error && i < count; i++) {
		if ((int64_t)v[i].iov_len < 0)
			error = -EINVAL;
		else if (!range_possible((uintptr_t)v[i].iov_base, v[i].iov_len))
			error = -EFAULT;
		v[i].iov_len = MIN(v[i].iov_len, TRANSFER_MAX - total);
		total += v[i].iov_len;
	}
	if (error) {
		release(*vectors);
		*vectors = NULL;
		return error;
	}
	*t = (struct transfer){.vector = v, .count = count, .left = total};
	if (!count)
		t->vector = NULL;
	return 0;
}

enum { READING, WRITING };

/* The heart of all of them. positioned: at *position, else at the file's own. */
static int64_t transfer_file(int direction, uint64_t descriptor, struct transfer *t, bool positioned, int64_t position)
{
	struct file *file = descriptor_file((uint32_t)descriptor);
	if (!file)
		return -EBADF;
	int64_t result;
	if (!(direction == READING ? file_readable(file) : file_writable(file)))
		result = -EBADF;
	else if (positioned && !file->operations->seek)
		result = -ESPIPE;
	else if (!t->vector && !range_possible((uintptr_t)t->one.iov_base, t->one.iov_len))
		result = -EFAULT;
	else if (direction == READING)
		result = file_read(file, t, positioned ? &position : &file->position);
	else
		result = file_write(file, t, positioned ? &position : &file->position);
	file_put(file);
	return result;
}

static int64_t transfer_one(int direction, const uint64_t *argument, bool positioned)
{
	struct transfer t;
	transfer_init(&t, argument[1], argument[2]);
	if (positioned && (int64_t)argument[3] < 0)
		return -EINVAL;
	if ((int64_t)argument[2] < 0) { /* Linux looks at the descriptor first */
		struct file *file = descriptor_file((uint32_t)argument[0]);
		bool good = file && (direction == READING ? file_readable(file) : file_writable(file));
		file_put(file);
		return good ? -EINVAL : -EBADF;
	}
	return transfer_file(direction, argument[0], &t, positioned, (int64_t)argument[3]);
}

static int64_t transfer_vectors(int direction, const uint64_t *argument, bool positioned, int64_t position, uint64_t flags)
{
	struct iovec small[VECTORS_SMALL], *vectors;
	struct transfer t;
	struct file *file = descriptor_file((uint32_t)argument[0]);
	bool good = file && (direction == READING ? file_readable(file) : file_writable(file));
	file_put(file);
	if (!good)
		return -EBADF;
	int error = vectors_get(argument[1], argument[2], small, &vectors, &t);
	if (error)
		return error;
	t.nonblocking = (flags & RWF_NOWAIT) != 0;
	t.append = (flags & RWF_APPEND) != 0;
	int64_t result = transfer_file(direction, argument[0], &t, positioned, position);
	release(vectors);
	return result;
}

int64_t sys_read(const uint64_t *argument)
{
	return transfer_one(READING, argument, false);
}

int64_t sys_write(const uint64_t *argument)
{
	return transfer_one(WRITING, argument, false);
}

int64_t sys_pread64(const uint64_t *argument)
{
	return transfer_one(READING, argument, true);
}

int64_t sys_pwrite64(const uint64_t *argument)
{
	return transfer_one(WRITING, argument, true);
}

int64_t sys_readv(const uint64_t *argument)
{
	return transfer_vectors(READING, argument, false, 0, 0);
}

int64_t sys_writev(const uint64_t *argument)
{
	return transfer_vectors(WRITING, argument, false, 0, 0);
}

int64_t sys_preadv(const uint64_t *argument)
{
	if ((int64_t)argument[3] < 0)
		return -EINVAL;
	return transfer_vectors(READING, argument, true, (int64_t)argument[3], 0);
}

int64_t sys_pwritev(const uint64_t *argument)
{
	if ((int64_t)argument[3] < 0)
		return -EINVAL;
	return transfer_vectors(WRITING, argument, true, (int64_t)argument[3], 0);
}

/* Position -1: the file's own. argument[4] is the high half of the position on 32-bit machines. */
static int64_t transfer_vectors2(int direction, const uint64_t *argument)
{
	int64_t position = (int64_t)argument[3];
	uint64_t flags = (uint32_t)argument[5];
	if (flags & ~(uint64_t)(RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_NOWAIT | RWF_APPEND) ||
	    (flags & RWF_APPEND && direction == READING))
		return -EOPNOTSUPP;
	if (position < -1)
		return -EINVAL;
	return transfer_vectors(direction, argument, position != -1, position, flags);
}

int64_t sys_preadv2(const uint64_t *argument)
{
	return transfer_vectors2(READING, argument);
}

int64_t sys_pwritev2(const uint64_t *argument)
{
	return transfer_vectors2(WRITING, argument);
}

/* ---- positions ----------------------------------------------------------------------------------------------------------------------- */

int64_t file_seek(struct file *file, int64_t offset, int whence)
{
	struct attributes a;
	inode_attributes(file->inode, &a);
	int64_t base = 0, size = (int64_t)a.size;
	switch (whence) {
	case SEEK_SET:
		break;
	case SEEK_CUR:
		base = file->position;
		break;
	case SEEK_END:
		base = size;
		break;
	case SEEK_DATA: /* a file without holes */
		if (offset < 0 || offset >= size)
			return -ENXIO;
		break;
	case SEEK_HOLE:
		if (offset < 0 || offset >= size)
			return -ENXIO;
		offset = size;
		break;
	default:
		return -EINVAL;
	}
	if (__builtin_add_overflow(base, offset, &base) || base < 0)
		return -EINVAL;
	return file->position = base;
}

int64_t sys_lseek(const uint64_t *argument)
{
	struct file *file = descriptor_file((uint32_t)argument[0]);
	if (!file)
		return -EBADF;
	int64_t result = -ESPIPE;
	if (argument[2] > SEEK_MAX)
		result = -EINVAL;
	else if (file->operations->seek)
		result = file->operations->seek(file, (int64_t)argument[1], (int)argument[2]);
	file_put(file);
	return result;
}

/* ---- size, again bounded by RLIMIT_FSIZE ------------------------------------------------------------------------------------------------------------------------------ */

static int truncate_inode(struct inode *inode, uint64_t size)
{
	if (!inode->operations->truncate)
		return -EINVAL;
	struct attributes a;
	inode_attributes(inode, &a);
	if (size > a.size && size > limit_soft(RLIMIT_FSIZE)) {
		signal_current(SIGXFSZ);
		return -EFBIG;
	}
	return inode->operations->truncate(inode, size);
}

int64_t sys_truncate(const uint64_t *argument)
{
	struct inode *inode;
	if ((int64_t)argument[1] < 0)
		return -EINVAL;
	int error = path_inode(AT_FDCWD, argument[0], WALK_FOLLOW, &inode);
	if (error)
		return error;
	if (is_directory(inode))
		error = -EISDIR;
	else if (!is_regular(inode))
		error = -EINVAL;
	else if (inode->file_system->read_only)
		error = -EROFS;
	else
		error = inode_permission(inode, MAY_WRITE);
	if (!error)
		error = truncate_inode(inode, argument[1]);
	inode_put(inode);
	return error;
}

int64_t sys_ftruncate(const uint64_t *argument)
{
	if ((int64_t)argument[1] < 0)
		return -EINVAL;
	struct file *file = descriptor_file((uint32_t)argument[0]);
	if (!file)
		return -EBADF;
	int error = -EINVAL;
	if (is_regular(file->inode) && file_writable(file))
		error = truncate_inode(file->inode, argument[1]);
	file_put(file);
	return error;
}

int64_t sys_fallocate(const uint64_t *argument)
{
	int mode = (int)argument[1];
	int64_t offset = (int64_t)argument[2], length = (int64_t)argument[3], end;
	struct file *file = descriptor_file((uint32_t)argument[0]);
	if (!file)
		return -EBADF;
	int error;
	if (offset < 0 || length <= 0)
		error = -EINVAL;
	else if (!file_writable(file))
		error = -EBADF;
	else if ((file->inode->mode & S_IFMT) == S_IFIFO)
		error = -ESPIPE;
	else if (is_directory(file->inode))
		error = -EISDIR;
	else if (!is_regular(file->inode))
		error = -ENODEV;
	else if (__builtin_add_overflow(offset, length, &end))
		error = -EFBIG;
	else if (!file->operations->reserve)
		error = -EOPNOTSUPP;
	else
		error = file->operations->reserve(file, mode, (uint64_t)offset, (uint64_t)length);
	file_put(file);
	return error;
}

/* ---- what memory does not need ------------------------------------------------------------------------------------------------------------ */

static int64_t synchronize(uint64_t descriptor)
{
	struct file *file = descriptor_file((uint32_t)descriptor);
	if (!file)
		return -EBADF;
	bool good = is_regular(file->inode) || is_directory(file->inode);
	file_put(file);
	return good ? 0 : -EINVAL;
}

int64_t sys_fsync(const uint64_t *argument)
{
	return synchronize(argument[0]);
}

int64_t sys_fdatasync(const uint64_t *argument)
{
	return synchronize(argument[0]);
}

int64_t sys_syncfs(const uint64_t *argument)
{
	struct file *file = descriptor_file((uint32_t)argument[0]);
	file_put(file);
	return file ? 0 : -EBADF;
}

int64_t sys_sync(const uint64_t *argument)
{
	(void)argument;
	return 0;
}

int64_t sys_sync_file_range(const uint64_t *argument)
{
	int64_t end;
	struct file *file = descriptor_file((uint32_t)argument[0]);
	if (!file)
		return -EBADF;
	bool seekable = file->operations->seek != NULL;
	file_put(file);
	if (argument[3] > 7 || (int64_t)argument[1] < 0 || __builtin_add_overflow((int64_t)argument[1], (int64_t)argument[2], &end) ||
	    end < (int64_t)argument[1])
		return -EINVAL;
	return seekable ? 0 : -ESPIPE;
}

int64_t sys_fadvise64(const uint64_t *argument)
{
	struct file *file = descriptor_file((uint32_t)argument[0]);
	if (!file)
		return -EBADF;
	int error = 0;
	if ((file->inode->mode & S_IFMT) == S_IFIFO)
		error = -ESPIPE;
	else if ((int64_t)argument[2] < 0 || argument[3] > POSIX_FADV_NOREUSE)
		error = -EINVAL;
	file_put(file);
	return error;
}

int64_t sys_readahead(const uint64_t *argument)
{
	struct file *file = descriptor_file((uint32_t)argument[0]);
	if (!file)
		return -EBADF;
	int error = !file_readable(file) ? -EBADF : is_regular(file->inode) ? 0 : -EINVAL;
	file_put(file);
	return error;
}
