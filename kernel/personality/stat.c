/* Asking about files: stat, statx, statfs, access. */
#include <asm/stat.h>

#include "personality/files.h"
#include "personality/syscalls.h"

#define BLOCK_SIZE_HINT 4096

static int put_stat(uint64_t address, struct inode *inode)
{
	struct attributes a;
	inode_attributes(inode, &a);
	struct stat s = {
		.st_dev = a.device,
		.st_ino = a.number,
		.st_nlink = a.links,
		.st_mode = a.mode,
		.st_uid = a.user,
		.st_gid = a.group,
		.st_rdev = a.rdev,
		.st_size = (int64_t)a.size,
		.st_blksize = BLOCK_SIZE_HINT,
		.st_blocks = (int64_t)a.blocks,
		.st_atime = (uint64_t)a.access.seconds,
		.st_atime_nsec = a.access.nanoseconds,
		.st_mtime = (uint64_t)a.modification.seconds,
		.st_mtime_nsec = a.modification.nanoseconds,
		.st_ctime = (uint64_t)a.change.seconds,
		.st_ctime_nsec = a.change.nanoseconds,
	};
	return PUT_USER(address, s);
}

static int64_t stat_path(int64_t directory, uint64_t path, unsigned flags, uint64_t address)
{
	struct inode *inode;
	int error = path_inode(directory, path, flags, &inode);
	if (error)
		return error;
	error = put_stat(address, inode);
	inode_put(inode);
	return error;
}

int64_t sys_stat(const uint64_t *argument)
{
	return stat_path(AT_FDCWD, argument[0], WALK_FOLLOW, argument[1]);
}

int64_t sys_lstat(const uint64_t *argument)
{
	return stat_path(AT_FDCWD, argument[0], 0, argument[1]);
}

int64_t sys_fstat(const uint64_t *argument)
{
	struct file *file = descriptor_file_any((uint32_t)argument[0]);
	if (!file)
		return -EBADF;
	int error = put_stat(argument[1], file->inode);
	file_put(file);
	return error;
}

int64_t sys_newfstatat(const uint64_t *argument)
{
	uint64_t flags = (uint32_t)argument[3];
	if (flags & ~(uint64_t)(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH))
		return -EINVAL;
	return stat_path((int64_t)argument[0], argument[1], walk_flags_at(flags), argument[2]);
}

static struct statx_timestamp statx_time(struct timestamp t)
{
	return (struct statx_timestamp){.tv_sec = t.seconds, .tv_nsec = t.nanoseconds};
}

int64_t sys_statx(const uint64_t *argument)
{
	uint64_t flags = (uint32_t)argument[2], mask = (uint32_t)argument[3];
	struct inode *inode;
	if (mask & STATX__RESERVED ||
	    flags & ~(uint64_t)(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_SYNC_TYPE) ||
	    (flags & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE)
		return -EINVAL;
	int error = path_inode((int64_t)argument[0], argument[1], walk_flags_at(flags), &inode);
	if (error)
		return error;
	struct attributes a;
	inode_attributes(inode, &a);
	struct statx s = {
		.stx_mask = STATX_BASIC_STATS | (tmpfs_holds(inode) ? STATX_BTIME : 0),
		.stx_blksize = BLOCK_SIZE_HINT,
		.stx_attributes_mask = STATX_ATTR_MOUNT_ROOT,
		.stx_attributes = mount_of(inode) || inode == root_directory ? STATX_ATTR_MOUNT_ROOT : 0,
		.stx_nlink = a.links,
		.stx_uid = a.user,
		.stx_gid = a.group,
		.stx_mode = (uint16_t)a.mode,
		.stx_ino = a.number,
		.stx_size = a.size,
		.stx_blocks = a.blocks,
		.stx_atime = statx_time(a.access),
		.stx_btime = statx_time(a.birth),
		.stx_ctime = statx_time(a.change),
		.stx_mtime = statx_time(a.modification),
		.stx_rdev_major = (uint32_t)(a.rdev >> 8),
		.stx_rdev_minor = (uint32_t)(a.rdev & 0xff),
		.stx_dev_major = (uint32_t)(a.device >> 8),
		.stx_dev_minor = (uint32_t)(a.device & 0xff),
	};
	inode_put(inode);
	return PUT_USER(argument[4], s);
}

/* ---- file systems ------------------------------------------------------------------------------------------------------------------- */

#define ST_RDONLY 1
#define ST_VALID 0x20

static int put_statfs(uint64_t address, const struct inode *inode)
{
	struct statfs s = {
		.f_type = (long)inode->file_system->magic,
		.f_bsize = PAGE_SIZE,
		.f_frsize = PAGE_SIZE,
		.f_namelen = NAME_LENGTH_MAX,
		.f_fsid.val = {(int)inode->file_system->device},
		.f_flags = ST_VALID | (inode->file_system->read_only ? ST_RDONLY : 0),
	};
	if (inode->file_system->space)
		inode->file_system->space(&s);
	return PUT_USER(address, s);
}

int64_t sys_statfs(const uint64_t *argument)
{
	struct inode *inode;
	int error = path_inode(AT_FDCWD, argument[0], WALK_FOLLOW, &inode);
	if (error)
		return error;
	error = put_statfs(argument[1], inode);
	inode_put(inode);
	return error;
}

int64_t sys_fstatfs(const uint64_t *argument)
{
	struct file *file = descriptor_file_any((uint32_t)argument[0]);
	if (!file)
		return -EBADF;
	int error = put_statfs(argument[1], file->inode);
	file_put(file);
	return error;
}

/* ---- access ---------------------------------------------------------------------------------------------------------------------------- */

static int64_t access_at(int64_t directory, uint64_t path, uint64_t mode, uint64_t flags)
{
	struct inode *inode;
	if (mode & ~7ull || flags & ~(uint64_t)(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	/* The real user asks, not the effective one. */
	uint32_t user = identity.file_user, group = identity.file_group;
	if (!(flags & AT_EACCESS)) {
		identity.file_user = identity.user;
		identity.file_group = identity.group;
	}
	int error = path_inode(directory, path, walk_flags_at(flags), &inode);
	if (!error) {
		error = inode_permission(inode, (unsigned)mode);
		bool stored = is_regular(inode) || is_directory(inode) || is_link(inode);
		if (!error && mode & MAY_WRITE && inode->file_system->read_only && stored)
			error = -EROFS;
		inode_put(inode);
	}
	identity.file_user = user;
	identity.file_group = group;
	return error;
}

int64_t sys_access(const uint64_t *argument)
{
	return access_at(AT_FDCWD, argument[0], (uint32_t)argument[1], 0);
}

int64_t sys_faccessat(const uint64_t *argument)
{
	return access_at((int64_t)argument[0], argument[1], (uint32_t)argument[2], 0);
}

int64_t sys_faccessat2(const uint64_t *argument)
{
	return access_at((int64_t)argument[0], argument[1], (uint32_t)argument[2], (uint32_t)argument[3]);
}
