/* Making, removing and renaming names. */
#include <linux/fs.h>

#include "personality/files.h"
#include "personality/syscalls.h"

static int may_change(struct inode *directory)
{
	return inode_permission(directory, MAY_WRITE | MAY_EXECUTE);
}

/* Removing or renaming somebody else's file in a sticky directory takes root. */
static int may_remove(struct inode *directory, struct inode *victim)
{
	int error = may_change(directory);
	if (error || identity.file_user == 0)
		return error;
	struct attributes d, v;
	inode_attributes(directory, &d);
	inode_attributes(victim, &v);
	if (d.mode & 01000 && d.user != identity.file_user && v.user != identity.file_user)
		return -EPERM;
	return 0;
}

/* The place for a new name. On success w is to be dropped by the caller. */
static int new_name_check(bool for_directory, struct walk *w)
{
	int error = 0;
	if (w->last != LAST_NORMAL || w->inode)
		error = -EEXIST;
	else if (w->trailing_slash && !for_directory)
		error = -ENOENT;
	else if (w->directory->file_system->read_only)
		error = -EROFS;
	else
		error = may_change(w->directory);
	if (!error && !w->directory->operations->create)
		error = -EPERM;
	if (error)
		walk_done(w);
	return error;
}

static int new_name(int64_t directory, uint64_t path, bool for_directory, unsigned flags, struct walk *w)
{
	int error = path_walk(directory, path, WALK_PARENT | flags, w);
	return error ? error : new_name_check(for_directory, w);
}

int make_socket_node(const char *path, struct inode **made)
{
	struct walk w;
	int error = path_walk_text(path, WALK_PARENT, &w);
	if (!error)
		error = new_name_check(false, &w);
	if (error)
		return error == -EEXIST ? -EADDRINUSE : error;
	error = w.directory->operations->create(w.directory, &w.name, S_IFSOCK | (0777 & ~file_creation_mask), 0, NULL, &w.inode);
	if (!error)
		*made = inode_get(w.inode);
	walk_done(&w);
	return error;
}

static int64_t create_at(int64_t directory, uint64_t path, uint32_t mode, uint64_t rdev, const char *target)
{
	struct walk w;
	int error = new_name(directory, path, (mode & S_IFMT) == S_IFDIR, 0, &w);
	if (error)
		return error;
	error = w.directory->operations->create(w.directory, &w.name, mode, rdev, target, &w.inode);
	walk_done(&w);
	return error;
}

static int64_t make_directory(int64_t directory, uint64_t path, uint64_t mode)
{
	return create_at(directory, path, S_IFDIR | ((uint32_t)mode & 01777 & ~file_creation_mask), 0, NULL);
}

int64_t sys_mkdir(const uint64_t *argument)
{
	return make_directory(AT_FDCWD, argument[0], argument[1]);
}

int64_t sys_mkdirat(const uint64_t *argument)
{
	return make_directory((int64_t)argument[0], argument[1], argument[2]);
}

static int64_t make_node(int64_t directory, uint64_t path, uint64_t asked, uint64_t rdev)
{
	uint32_t mode = (uint32_t)asked;
	switch (mode & S_IFMT) {
	case 0:
		mode |= S_IFREG;
		break;
	case S_IFREG:
	case S_IFIFO:
	case S_IFSOCK:
		break;
	case S_IFCHR:
	case S_IFBLK: /* devices are the kernel's, in /dev */
	case S_IFDIR:
		return -EPERM;
	default:
		return -EINVAL;
	}
	return create_at(directory, path, (mode & S_IFMT) | (mode & 07777 & ~file_creation_mask), rdev, NULL);
}

int64_t sys_mknod(const uint64_t *argument)
{
	return make_node(AT_FDCWD, argument[0], argument[1], argument[2]);
}

int64_t sys_mknodat(const uint64_t *argument)
{
	return make_node((int64_t)argument[0], argument[1], argument[2], argument[3]);
}

static int64_t make_link(uint64_t target, int64_t directory, uint64_t path)
{
	char *text = path_scratch();
	int64_t length = copy_string_from_user(text, target, PATH_LENGTH_MAX);
	if (length < 0)
		return length;
	if (length == 0)
		return -ENOENT;
	return create_at(directory, path, S_IFLNK | 0777, 0, text);
}

int64_t sys_symlink(const uint64_t *argument)
{
	return make_link(argument[0], AT_FDCWD, argument[1]);
}

int64_t sys_symlinkat(const uint64_t *argument)
{
	return make_link(argument[0], (int64_t)argument[1], argument[2]);
}

static int64_t hard_link(int64_t old_directory, uint64_t old, int64_t new_directory, uint64_t path, uint64_t flags)
{
	struct inode *inode;
	struct walk w;
	if (flags & ~(uint64_t)(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	unsigned walk_flags = (flags & AT_SYMLINK_FOLLOW ? WALK_FOLLOW : 0) | (flags & AT_EMPTY_PATH ? WALK_EMPTY : 0);
	int error = path_inode(old_directory, old, walk_flags, &inode);
	if (error)
		return error;
	error = new_name(new_directory, path, false, WALK_SECOND, &w);
	if (!error) {
		if (w.directory->file_system != inode->file_system)
			error = -EXDEV;
		else if (!w.directory->operations->link || is_directory(inode))
			error = -EPERM;
		else
			error = w.directory->operations->link(w.directory, &w.name, inode);
		walk_done(&w);
	}
	inode_put(inode);
	return error;
}

int64_t sys_link(const uint64_t *argument)
{
	return hard_link(AT_FDCWD, argument[0], AT_FDCWD, argument[1], 0);
}

int64_t sys_linkat(const uint64_t *argument)
{
	return hard_link((int64_t)argument[0], argument[1], (int64_t)argument[2], argument[3], (uint32_t)argument[4]);
}

static int64_t remove_at(int64_t directory, uint64_t path, bool remove_directory)
{
	struct walk w;
	int error = path_walk(directory, path, WALK_PARENT, &w);
	if (error)
		return error;
	if (w.last != LAST_NORMAL && !remove_directory)
		error = -EISDIR;
	else if (w.last == LAST_DOT)
		error = -EINVAL;
	else if (w.last == LAST_DOT_DOT)
		error = -ENOTEMPTY;
	else if (w.last == LAST_ROOT)
		error = -EBUSY;
	else if (!w.inode) /* also in the image: Linux says EROFS, and no program that asks for what is not there expects that */
		error = -ENOENT;
	else if (w.directory->file_system->read_only)
		error = -EROFS;
	else if (!remove_directory && w.trailing_slash)
		error = is_directory(w.inode) ? -EISDIR : -ENOTDIR;
	else
		error = may_remove(w.directory, w.inode);
	if (!error) {
		if (remove_directory != is_directory(w.inode))
			error = remove_directory ? -ENOTDIR : -EISDIR;
		else if (mount_of(w.inode))
			error = -EBUSY;
		else if (!w.directory->operations->remove)
			error = -EPERM;
		else
			error = w.directory->operations->remove(w.directory, &w.name, w.inode);
	}
	walk_done(&w);
	return error;
}

int64_t sys_unlink(const uint64_t *argument)
{
	return remove_at(AT_FDCWD, argument[0], false);
}

int64_t sys_rmdir(const uint64_t *argument)
{
	return remove_at(AT_FDCWD, argument[0], true);
}

int64_t sys_unlinkat(const uint64_t *argument)
{
	if ((uint32_t)argument[2] & ~(uint32_t)AT_REMOVEDIR)
		return -EINVAL;
	return remove_at((int64_t)argument[0], argument[1], argument[2] & AT_REMOVEDIR);
}

/* ---- rename -------------------------------------------------------------------------------------------------------------------------- */

/* Is directory at or below ancestor? */
static bool is_below(struct inode *directory, const struct inode *ancestor)
{
	bool found = false;
	inode_get(directory);
	for (;;) {
		found = directory == ancestor;
		struct inode *parent = found ? NULL : directory_parent(directory);
		bool top = parent == directory;
		inode_put(directory);
		if (!parent)
			return found;
		if (top) {
			inode_put(parent);
			return false;
		}
		directory = parent;
	}
}

/* One end of a rename gives way to the other. */
static int may_replace(struct walk *victim, const struct inode *by)
{
	int error = may_remove(victim->directory, victim->inode);
	if (error)
		return error;
	if (is_directory(by) && !is_directory(victim->inode))
		return -ENOTDIR;
	if (!is_directory(by) && is_directory(victim->inode))
		return -EISDIR;
	return mount_of(victim->inode) ? -EBUSY : 0;
}

static int rename_check(struct walk *from, struct walk *to, unsigned flags)
{
	if (from->last == LAST_NORMAL && to->last == LAST_NORMAL && from->directory->file_system != to->directory->file_system)
		return -EXDEV;
	if (from->last != LAST_NORMAL)
		return -EBUSY;
	if (to->last != LAST_NORMAL)
		return flags & RENAME_NOREPLACE ? -EEXIST : -EBUSY;
	if (!from->inode)
		return -ENOENT;
	if (from->directory->file_system->read_only)
		return -EROFS;
	if (flags & RENAME_NOREPLACE && to->inode)
		return -EEXIST;
	if (flags & RENAME_EXCHANGE) {
		if (!to->inode)
			return -ENOENT;
		if (!is_directory(to->inode) && to->trailing_slash)
			return -ENOTDIR;
	}
	if (!is_directory(from->inode) && (from->trailing_slash || (!(flags & RENAME_EXCHANGE) && to->trailing_slash)))
		return -ENOTDIR;
	if (is_directory(from->inode) && is_below(to->directory, from->inode))
		return -EINVAL;
	if (to->inode && is_directory(to->inode) && is_below(from->directory, to->inode))
		return flags & RENAME_EXCHANGE ? -EINVAL : -ENOTEMPTY;
	if (from->inode == to->inode)
		return 0;
	int error = may_remove(from->directory, from->inode);
	if (!error && mount_of(from->inode))
		error = -EBUSY;
	if (!error && !to->inode)
		error = may_change(to->directory);
	else if (!error && flags & RENAME_EXCHANGE)
		error = may_remove(to->directory, to->inode);
	else if (!error)
		error = may_replace(to, from->inode);
	if (!error && !from->directory->operations->rename)
		error = -EPERM;
	return error;
}

static int64_t rename_at(int64_t old_directory, uint64_t old, int64_t new_directory, uint64_t new, uint64_t asked)
{
	unsigned flags = (unsigned)asked;
	struct walk from, to;
	if (flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE) ||
	    (flags & (RENAME_NOREPLACE | RENAME_EXCHANGE)) == (RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL;
	int error = path_walk(old_directory, old, WALK_PARENT, &from);
	if (error)
		return error;
	error = path_walk(new_directory, new, WALK_PARENT | WALK_SECOND, &to);
	if (!error) {
		error = rename_check(&from, &to, flags);
		if (!error && from.inode != to.inode)
			error = from.directory->operations->rename(from.directory, &from.name, to.directory, &to.name, flags);
		walk_done(&to);
	}
	walk_done(&from);
	return error;
}

int64_t sys_rename(const uint64_t *argument)
{
	return rename_at(AT_FDCWD, argument[0], AT_FDCWD, argument[1], 0);
}

int64_t sys_renameat(const uint64_t *argument)
{
	return rename_at((int64_t)argument[0], argument[1], (int64_t)argument[2], argument[3], 0);
}

int64_t sys_renameat2(const uint64_t *argument)
{
	return rename_at((int64_t)argument[0], argument[1], (int64_t)argument[2], argument[3], (uint32_t)argument[4]);
}

/* ---- reading links ------------------------------------------------------------------------------------------------------------------------ */

static int64_t read_link(int64_t directory, uint64_t path, uint64_t address, uint64_t size)
{
	struct inode *inode;
	if ((int32_t)size <= 0)
		return -EINVAL;
	/* An empty path reads the link that an O_PATH descriptor stands for. */
	int error = path_inode(directory, path, WALK_EMPTY, &inode);
	if (error)
		return error;
	int64_t result = -EINVAL;
	if (is_link(inode)) {
		char *text = path_scratch();
		result = inode->operations->target(inode, text, PATH_LENGTH_MAX);
		if (result > 0) {
			result = MIN(result, (int64_t)(int32_t)size);
			if (copy_to_user(address, text, (size_t)result))
				result = -EFAULT;
		}
	}
	inode_put(inode);
	return result;
}

int64_t sys_readlink(const uint64_t *argument)
{
	return read_link(AT_FDCWD, argument[0], argument[1], argument[2]);
}

int64_t sys_readlinkat(const uint64_t *argument)
{
	return read_link((int64_t)argument[0], argument[1], argument[2], argument[3]);
}
