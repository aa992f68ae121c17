/* Changing attributes: chmod, chown, utimensat; and extended attributes, which no file here has. */
#include <linux/time.h>

#include "personality/files.h"
#include "personality/syscalls.h"

#define UTIME_NOW 0x3fffffff /* not in the uapi headers */
#define UTIME_OMIT 0x3ffffffe

/* Is the caller the owner, or root? */
static bool owns(struct inode *inode)
{
	struct attributes a;
	if (identity.file_user == 0)
		return true;
	inode_attributes(inode, &a);
	return a.user == identity.file_user;
}

static int change_inode(struct inode *inode, const struct change *change)
{
	if (inode->file_system->read_only)
		return -EROFS;
	if (!inode->operations->change)
		return -EPERM;
	return inode->operations->change(inode, change);
}

/* Takes over the reference. */
static int64_t change_mode(struct inode *inode, uint64_t mode)
{
	const struct change change = {.what = CHANGE_MODE, .mode = (uint32_t)mode & 07777};
	int error;
	if (inode->file_system->read_only)
		error = -EROFS;
	else if (is_link(inode))
		error = -EOPNOTSUPP;
	else if (!owns(inode))
		error = -EPERM;
	else
		error = change_inode(inode, &change);
	inode_put(inode);
	return error;
}

static int64_t change_owner(struct inode *inode, uint64_t user, uint64_t group)
{
	struct change change = {.user = (uint32_t)user, .group = (uint32_t)group};
	struct attributes a;
	int error = 0;
	inode_attributes(inode, &a);
	if ((int32_t)user != -1)
		change.what |= CHANGE_USER;
	if ((int32_t)group != -1)
		change.what |= CHANGE_GROUP;
	if (identity.file_user != 0) {
		bool same_user = !(change.what & CHANGE_USER) || change.user == a.user;
		bool own_group = !(change.what & CHANGE_GROUP) || change.group == a.group || change.group == identity.file_group;
		if (a.user != identity.file_user || !same_user || !own_group)
			error = inode->file_system->read_only ? -EROFS : -EPERM;
	}
	if (!error && change.what && !is_directory(inode) && a.mode & 06000) {
		change.what |= CHANGE_MODE;
		change.mode = a.mode & 07777 & ~(a.mode & 010 ? 06000u : 04000u);
	}
	if (!error)
		error = change_inode(inode, &change);
	inode_put(inode);
	return error;
}

static int64_t change_mode_at(int64_t directory, uint64_t path, uint64_t mode, uint64_t flags)
{
	struct inode *inode;
	if (flags & ~(uint64_t)(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	int error = path_inode(directory, path, walk_flags_at(flags), &inode);
	return error ? error : change_mode(inode, mode);
}

static int64_t change_owner_at(int64_t directory, uint64_t path, uint64_t user, uint64_t group, uint64_t flags)
{
	struct inode *inode;
	if (flags & ~(uint64_t)(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	int error = path_inode(directory, path, walk_flags_at(flags), &inode);
	return error ? error : change_owner(inode, user, group);
}

int64_t sys_chmod(const uint64_t *argument)
{
	return change_mode_at(AT_FDCWD, argument[0], argument[1], 0);
}

int64_t sys_fchmodat(const uint64_t *argument)
{
	return change_mode_at((int64_t)argument[0], argument[1], argument[2], 0);
}

int64_t sys_fchmodat2(const uint64_t *argument)
{
	return change_mode_at((int64_t)argument[0], argument[1], argument[2], (uint32_t)argument[3]);
}

int64_t sys_fchmod(const uint64_t *argument)
{
	struct file *file = descriptor_file((uint32_t)argument[0]);
	if (!file)
		return -EBADF;
	int64_t result = change_mode(inode_get(file->inode), argument[1]);
	file_put(file);
	return result;
}

int64_t sys_chown(const uint64_t *argument)
{
	return change_owner_at(AT_FDCWD, argument[0], argument[1], argument[2], 0);
}

int64_t sys_lchown(const uint64_t *argument)
{
	return change_owner_at(AT_FDCWD, argument[0], argument[1], argument[2], AT_SYMLINK_NOFOLLOW);
}

int64_t sys_fchownat(const uint64_t *argument)
{
	return change_owner_at((int64_t)argument[0], argument[1], argument[2], argument[3], (uint32_t)argument[4]);
}

int64_t sys_fchown(const uint64_t *argument)
{
	struct file *file = descriptor_file((uint32_t)argument[0]);
	if (!file)
		return -EBADF;
	int64_t result = change_owner(inode_get(file->inode), argument[1], argument[2]);
	file_put(file);
	return result;
}

/* ---- times ------------------------------------------------------------------------------------------------------------------------------ */

/* Takes over the reference. now: both are the current time because no times were given. */
static int64_t change_times(struct inode *inode, const struct change *change, bool now)
{
	int error = 0;
	if (inode->file_system->read_only)
		error = -EROFS;
	else if (!owns(inode))
		error = now ? inode_permission(inode, MAY_WRITE) : -EPERM;
	if (!error)
		error = change_inode(inode, change);
	inode_put(inode);
	return error;
}

static int64_t change_times_at(int64_t directory, uint64_t path, unsigned walk_flags, const struct change *change, bool now)
{
	struct inode *inode;
	int error = path_inode(directory, path, walk_flags, &inode);
	return error ? error : change_times(inode, change, now);
}

static struct change times_now(void)
{
	struct timestamp now = timestamp_now();
	return (struct change){.what = CHANGE_ACCESS | CHANGE_MODIFICATION, .access = now, .modification = now};
}

static int one_time(int64_t seconds, int64_t nanoseconds, struct timestamp *time, unsigned *what, unsigned bit)
{
	if (nanoseconds == UTIME_OMIT)
		return 0;
	*what |= bit;
	if (nanoseconds == UTIME_NOW)
		*time = timestamp_now();
	else if (nanoseconds < 0 || nanoseconds >= (int64_t)NANOSECONDS)
		return -EINVAL;
	else
		*time = (struct timestamp){seconds, (uint32_t)nanoseconds};
	return 0;
}

int64_t sys_utimensat(const uint64_t *argument)
{
	uint64_t flags = (uint32_t)argument[3];
	struct change change = times_now();
	bool now = !argument[2];
	if (!now) {
		struct timespec times[2];
		if (GET_USER(times, argument[2]))
			return -EFAULT;
		change.what = 0;
		int error = one_time(times[0].tv_sec, times[0].tv_nsec, &change.access, &change.what, CHANGE_ACCESS);
		if (!error)
			error = one_time(times[1].tv_sec, times[1].tv_nsec, &change.modification, &change.what, CHANGE_MODIFICATION);
		if (error)
			return error;
		if (!change.what)
			return 0;
		now = times[0].tv_nsec == UTIME_NOW && times[1].tv_nsec == UTIME_NOW;
	}
	if (flags & ~(uint64_t)(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	if (argument[1] || (int32_t)argument[0] == AT_FDCWD)
		return change_times_at((int64_t)argument[0], argument[1], walk_flags_at(flags), &change, now);

	/* futimens(): the descriptor itself. */
	if (flags)
		return -EINVAL;
	struct file *file = descriptor_file((uint32_t)argument[0]);
	if (!file)
		return -EBADF;
	int64_t result = change_times(inode_get(file->inode), &change, now);
	file_put(file);
	return result;
}

static int64_t change_times_microseconds(int64_t directory, uint64_t path, uint64_t address)
{
	struct change change = times_now();
	if (address) {
		struct timeval times[2];
		if (GET_USER(times, address))
			return -EFAULT;
		for (int i = 0; i < 2; i++)
			if (times[i].tv_usec < 0 || times[i].tv_usec >= 1000000)
				return -EINVAL;
		change.access = (struct timestamp){times[0].tv_sec, (uint32_t)times[0].tv_usec * 1000};
		change.modification = (struct timestamp){times[1].tv_sec, (uint32_t)times[1].tv_usec * 1000};
	}
	return change_times_at(directory, path, WALK_FOLLOW, &change, !address);
}

int64_t sys_utimes(const uint64_t *argument)
{
	return change_times_microseconds(AT_FDCWD, argument[0], argument[1]);
}

int64_t sys_futimesat(const uint64_t *argument)
{
	return change_times_microseconds((int64_t)argument[0], argument[1], argument[2]);
}

int64_t sys_utime(const uint64_t *argument)
{
	struct change change = times_now();
	if (argument[1]) {
		int64_t times[2];
		if (GET_USER(times, argument[1]))
			return -EFAULT;
		change.access = (struct timestamp){times[0], 0};
		change.modification = (struct timestamp){times[1], 0};
	}
	return change_times_at(AT_FDCWD, argument[0], WALK_FOLLOW, &change, !argument[1]);
}

/* ---- extended attributes: the path and the descriptor are checked, then there are none -------------------------------------------------- */

static int64_t extended_path(uint64_t path, unsigned flags)
{
	struct inode *inode;
	int error = path_inode(AT_FDCWD, path, flags, &inode);
	if (error)
		return error;
	inode_put(inode);
	return -EOPNOTSUPP;
}

static int64_t extended_descriptor(uint64_t descriptor)
{
	struct file *file = descriptor_file((uint32_t)descriptor);
	file_put(file);
	return file ? -EOPNOTSUPP : -EBADF;
}

#define EXTENDED_CALLS(name)                                                                                                              \
	int64_t sys_##name##xattr(const uint64_t *argument) { return extended_path(argument[0], WALK_FOLLOW); }                           \
	int64_t sys_l##name##xattr(const uint64_t *argument) { return extended_path(argument[0], 0); }                                    \
	int64_t sys_f##name##xattr(const uint64_t *argument) { return extended_descriptor(argument[0]); }
EXTENDED_CALLS(get)
EXTENDED_CALLS(set)
EXTENDED_CALLS(list)
EXTENDED_CALLS(remove)
