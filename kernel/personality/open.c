/* Opening files. */
#include "personality/files.h"
#include "personality/syscalls.h"

#define TEMPORARY (O_TMPFILE & ~O_DIRECTORY) /* the bit of O_TMPFILE that is its own */

/* An O_PATH file has no operations of its own: it only stands for its inode. */
static const struct file_operations path_operations = {0};

int file_open(struct inode *inode, uint32_t flags, struct file **opened)
{
	struct file *file = file_new(inode, NULL, flags & ~(uint32_t)(O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_CLOEXEC));
	if (!file)
		return -ENOMEM;
	int error = 0;
	if (flags & O_PATH)
		file->operations = &path_operations;
	else if (inode->operations->open)
		error = inode->operations->open(inode, file);
	else
		error = is_link(inode) ? -ELOOP : -ENXIO;
	if (error) {
		file_put(file);
		return error;
	}
	*opened = file;
	return 0;
}

/* What the flags ask of an inode that exists. */
static int may_open(struct inode *inode, uint32_t flags)
{
	static const uint8_t masks[] = {MAY_READ, MAY_WRITE, MAY_READ | MAY_WRITE, MAY_READ | MAY_WRITE};
	unsigned mask = masks[flags & O_ACCMODE] | (flags & O_TRUNC ? MAY_WRITE : 0);

	if (flags & O_DIRECTORY && !is_directory(inode))
		return -ENOTDIR;
	if (flags & O_PATH)
		return 0;
	if (is_link(inode))
		return -ELOOP;
	if (is_directory(inode) && (mask & MAY_WRITE || flags & O_CREAT))
		return -EISDIR;
	int error = inode_permission(inode, mask);
	if (error)
		return error;
	if (mask & MAY_WRITE && inode->file_system->read_only && is_regular(inode))
		return -EROFS;
	return 0;
}

static int open_temporary(int64_t directory, uint64_t path, uint32_t flags, uint32_t mode, struct file **file)
{
	struct inode *parent, *made;
	int error = path_inode(directory, path, flags & O_NOFOLLOW ? 0 : WALK_FOLLOW, &parent);
	if (error)
		return error;
	if (!is_directory(parent))
		error = -ENOTDIR;
	else if (parent->file_system->read_only)
		error = -EROFS;
	else if (!parent->operations->anonymous)
		error = -EOPNOTSUPP;
	else
		error = inode_permission(parent, MAY_WRITE | MAY_EXECUTE);
	if (!error)
		error = parent->operations->anonymous(parent, mode, &made);
	inode_put(parent);
	if (error)
		return error;
	error = file_open(made, flags, file);
	inode_put(made);
	return error;
}

static int open_path(int64_t directory, uint64_t path, uint32_t flags, uint32_t mode, struct file **file)
{
	struct walk w;
	unsigned walk_flags = 0;
	bool created = false;
	if (!(flags & O_NOFOLLOW) && (flags & (O_CREAT | O_EXCL)) != (O_CREAT | O_EXCL))
		walk_flags |= WALK_FOLLOW;
	if (flags & O_CREAT)
		walk_flags |= WALK_CREATE;

	int error = path_walk(directory, path, walk_flags, &w);
	if (error)
		return error;
	if (w.inode && (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
		error = -EEXIST;
	else if (w.inode)
		error = may_open(w.inode, flags);
	else if (w.directory->file_system->read_only)
		error = -EROFS;
	else if (!w.directory->operations->create)
		error = -EACCES;
	else {
		error = inode_permission(w.directory, MAY_WRITE | MAY_EXECUTE);
		if (!error)
			error = w.directory->operations->create(w.directory, &w.name, S_IFREG | mode, 0, NULL, &w.inode);
		created = !error;
	}
	struct inode *inode = error ? NULL : inode_get(w.inode);
	walk_done(&w);
	if (error)
		return error;
	if (flags & O_TRUNC && !created && is_regular(inode) && inode->operations->truncate)
		error = inode->operations->truncate(inode, 0);
	if (!error)
		error = file_open(inode, flags, file);
	inode_put(inode);
	return error;
}

static int64_t open_at(int64_t directory, uint64_t path, uint64_t asked, uint64_t asked_mode)
{
	uint32_t flags = (uint32_t)asked, mode = 0;
	struct file *file;
	int error;

	if (flags & (O_CREAT | TEMPORARY))
		mode = (uint32_t)asked_mode & 07777 & ~file_creation_mask;
	if (flags & O_PATH)
		flags &= O_DIRECTORY | O_NOFOLLOW | O_PATH | O_CLOEXEC;
	else
		flags |= O_LARGEFILE;
	if ((flags & (O_CREAT | O_DIRECTORY)) == (O_CREAT | O_DIRECTORY))
		return -EINVAL;
	if (flags & TEMPORARY) {
		if ((flags & O_TMPFILE) != O_TMPFILE || (flags & O_ACCMODE) == O_RDONLY)
			return -EINVAL;
		error = open_temporary(directory, path, flags & ~(uint32_t)O_TMPFILE, mode, &file);
	} else {
		error = open_path(directory, path, flags, mode, &file);
	}
	if (error)
		return error;
	return descriptor_install(file, 0, flags & O_CLOEXEC);
}

int64_t sys_open(const uint64_t *argument)
{
	return open_at(AT_FDCWD, argument[0], argument[1], argument[2]);
}

int64_t sys_openat(const uint64_t *argument)
{
	return open_at((int64_t)argument[0], argument[1], argument[2], argument[3]);
}

int64_t sys_creat(const uint64_t *argument)
{
	return open_at(AT_FDCWD, argument[0], O_CREAT | O_WRONLY | O_TRUNC, argument[1]);
}
