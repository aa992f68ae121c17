/* fcntl, ioctl, flock. */
#include <asm/ioctls.h>
#include <linux/resource.h>

#include "personality/files.h"
#include "personality/syscalls.h"

#define SETTABLE (O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME | FASYNC)
#define DN_MULTISHOT_BIT 0x80000000u

/* Record locks belong to processes: with one of them there is never a conflict. What is left is to check the request. */
static int64_t record_lock(const struct file *file, uint64_t command, uint64_t address)
{
	struct flock lock;
	if (GET_USER(lock, address))
		return -EFAULT;
	bool query = command == F_GETLK || command == F_OFD_GETLK;
	bool by_file = command == F_OFD_GETLK || command == F_OFD_SETLK || command == F_OFD_SETLKW;
	if (lock.l_type != F_RDLCK && lock.l_type != F_WRLCK && (query || lock.l_type != F_UNLCK))
		return -EINVAL;
	if (by_file && lock.l_pid)
		return -EINVAL;
	int64_t start = lock.l_start, end;
	struct attributes a;
	switch (lock.l_whence) {
	case 0:
		break;
	case 1:
		start += file->position;
		break;
	case 2:
		inode_attributes(file->inode, &a);
		start += (int64_t)a.size;
		break;
	default:
		return -EINVAL;
	}
	if (start < 0 || (lock.l_len < 0 && start + lock.l_len < 0))
		return -EINVAL;
	if (lock.l_len > 0 && __builtin_add_overflow(start, lock.l_len - 1, &end))
		return -EOVERFLOW;
	if (query) {
		lock.l_type = F_UNLCK;
		return PUT_USER(address, lock);
	}
	if ((lock.l_type == F_RDLCK && !file_readable(file)) || (lock.l_type == F_WRLCK && !file_writable(file)))
		return -EBADF;
	return 0;
}

static int64_t set_flags(struct file *file, uint64_t flags)
{
	file->flags = (file->flags & ~(uint32_t)SETTABLE) | ((uint32_t)flags & SETTABLE);
	return 0;
}

static int64_t control_file(struct file *file, uint64_t descriptor, uint64_t command, uint64_t value)
{
	bool close_on_exec = command == F_DUPFD_CLOEXEC;
	switch (command) {
	case F_DUPFD:
	case F_DUPFD_CLOEXEC:
		if (value >= limit_soft(RLIMIT_NOFILE))
			return -EINVAL;
		return descriptor_install(file_get(file), value, close_on_exec);
	case F_GETFD:
		return descriptor_close_on_exec(descriptor) ? FD_CLOEXEC : 0;
	case F_SETFD:
		descriptor_close_on_exec_set(descriptor, value & FD_CLOEXEC);
		return 0;
	case F_GETFL:
		return file->flags;
	}
	if (file->flags & O_PATH)
		return -EBADF;
	switch (command) {
	case F_SETFL:
		return set_flags(file, value);
	case F_GETLK:
	case F_SETLK:
	case F_SETLKW:
	case F_OFD_GETLK:
	case F_OFD_SETLK:
	case F_OFD_SETLKW:
		return record_lock(file, command, value);
	case F_GETOWN:
	case F_SETOWN:
	case F_GETSIG:
	case F_SETSIG:
		return 0; /* nobody is told: O_ASYNC has no effect */
	case F_GETLEASE:
		return F_UNLCK;
	case F_NOTIFY: /* only its end: nothing is watched */
		if (!is_directory(file->inode))
			return -ENOTDIR;
		return value & ~(uint64_t)DN_MULTISHOT_BIT ? -EINVAL : 0;
	case F_GETPIPE_SZ:
		return pipe_size(file);
	case F_SETPIPE_SZ:
		return pipe_size_set(file, (uint32_t)value);
	case F_GET_SEALS:
		return tmpfs_seals_get(file->inode);
	case F_ADD_SEALS:
		return file_writable(file) ? tmpfs_seals_add(file->inode, (unsigned)value) : -EPERM;
	default:
		return -EINVAL;
	}
}

int64_t sys_fcntl(const uint64_t *argument)
{
	struct file *file = descriptor_file_any((uint32_t)argument[0]);
	if (!file)
		return -EBADF;
	int64_t result = control_file(file, (uint32_t)argument[0], (uint32_t)argument[1], argument[2]);
	file_put(file);
	return result;
}

/* ---- ioctl -------------------------------------------------------------------------------------------------------------------------- */

static int64_t set_flag(struct file *file, uint64_t address, uint32_t flag)
{
	int on;
	if (GET_USER(on, address))
		return -EFAULT;
	return set_flags(file, on ? file->flags | flag : file->flags & ~flag);
}

static int64_t bytes_left(struct file *file, uint64_t address)
{
	struct attributes a;
	inode_attributes(file->inode, &a);
	int left = (int)((int64_t)a.size - file->position);
	return PUT_USER(address, left);
}

int64_t sys_ioctl(const uint64_t *argument)
{
	uint32_t request = (uint32_t)argument[1];
	struct file *file = descriptor_file((uint32_t)argument[0]);
	if (!file)
		return -EBADF;
	int64_t result = -ENOTTY;
	switch (request) {
	case FIOCLEX:
	case FIONCLEX:
		descriptor_close_on_exec_set((uint32_t)argument[0], request == FIOCLEX);
		result = 0;
		break;
	case FIONBIO:
		result = set_flag(file, argument[2], O_NONBLOCK);
		break;
	case FIOASYNC:
		result = set_flag(file, argument[2], FASYNC);
		break;
	default:
		if (request == FIONREAD && is_regular(file->inode))
			result = bytes_left(file, argument[2]);
		else if (file->operations->control)
			result = file->operations->control(file, request, argument[2]);
	}
	file_put(file);
	return result;
}

/* ---- flock: between open files, so it does conflict within one process ------------------------------------------------------------------- */

static struct list locked_files = LIST_INITIAL(locked_files);
static struct wait_queue unlocked = WAIT_QUEUE_INITIAL(unlocked);

void flock_release(struct file *file)
{
	if (!file->locked)
		return;
	list_remove(&file->in_locked);
	file->locked = 0;
	wake(&unlocked, WAKE_ALL);
}

static bool conflicts(const struct file *file, int kind)
{
	LIST_FOR_EACH(node, &locked_files) {
		const struct file *other = CONTAINER_OF(node, struct file, in_locked);
		if (other != file && other->inode == file->inode && (kind == LOCK_EX || other->locked == LOCK_EX))
			return true;
	}
	return false;
}

static int64_t lock_file(struct file *file, int operation)
{
	int kind = operation & ~LOCK_NB;
	if (kind == LOCK_UN) {
		flock_release(file);
		return 0;
	}
	if (kind != LOCK_SH && kind != LOCK_EX)
		return -EINVAL;
	if (file->locked == kind)
		return 0;
	flock_release(file); /* changing a lock is releasing it first, as in Linux */
	while (conflicts(file, kind)) {
		if (operation & LOCK_NB)
			return -EWOULDBLOCK;
		if (wait_on(&unlocked, FOREVER) < 0)
			return -ERESTARTSYS;
	}
	list_remove(&file->in_locked); /* another thread may have locked the same file meanwhile */
	file->locked = (uint8_t)kind;
	list_insert_before(&locked_files, &file->in_locked);
	return 0;
}

int64_t sys_flock(const uint64_t *argument)
{
	struct file *file = descriptor_file((uint32_t)argument[0]);
	if (!file)
		return -EBADF;
	int64_t result = lock_file(file, (int)argument[1]);
	file_put(file);
	return result;
}
