/* Listing directories; the working directory. */
#include "personality/files.h"
#include "personality/syscalls.h"

struct entry64 { /* struct linux_dirent64 */
	uint64_t number;
	int64_t next;
	uint16_t length;
	uint8_t type;
	char name[NAME_LENGTH_MAX + 1];
} __attribute__((packed));
#define ENTRY_FIXED 19 /* bytes before the name */

bool listing_add(struct listing *l, const char *name, size_t length, uint64_t number, uint32_t mode, int64_t next)
{
	struct entry64 entry;
	size_t size = ROUND_UP(ENTRY_FIXED + length + 1, 8);
	if (size > l->left) {
		if (!l->written)
			l->error = -EINVAL;
		return false;
	}
	memset(&entry, 0, size);
	entry.number = number;
	entry.next = next;
	entry.length = (uint16_t)size;
	entry.type = (uint8_t)((mode & S_IFMT) >> 12);
	memcpy(entry.name, name, length);
	if (copy_to_user(l->address + l->written, &entry, size)) {
		if (!l->written)
			l->error = -EFAULT;
		return false;
	}
	l->written += size;
	l->left -= size;
	return true;
}

bool listing_dots(struct listing *l, struct file *file, uint64_t parent_number)
{
	if (file->position == 0) {
		if (!listing_add(l, ".", 1, file->inode->number, S_IFDIR, 1))
			return false;
		file->position = 1;
	}
	if (file->position == 1) {
		if (!listing_add(l, "..", 2, parent_number, S_IFDIR, 2))
			return false;
		file->position = 2;
	}
	return true;
}

int64_t sys_getdents64(const uint64_t *argument)
{
	struct file *file = descriptor_file((uint32_t)argument[0]);
	if (!file)
		return -EBADF;
	struct listing l = {.address = argument[1], .left = (uint32_t)argument[2]};
	int64_t result = -ENOTDIR;
	if (file->operations->list) {
		result = file->operations->list(file, &l);
		if (!result)
			result = l.written ? (int64_t)l.written : l.error;
	}
	file_put(file);
	return result;
}

int64_t sys_getcwd(const uint64_t *argument)
{
	char *text = path_scratch();
	int64_t length = path_of(working_directory, text, PATH_LENGTH_MAX);
	if (length < 0)
		return length;
	if (argument[1] < (uint64_t)length + 1)
		return -ERANGE;
	if (copy_to_user(argument[0], text, (size_t)length + 1))
		return -EFAULT;
	return length + 1;
}

/* Takes over the reference. */
static int64_t change_directory(struct inode *inode)
{
	int error = is_directory(inode) ? inode_permission(inode, MAY_EXECUTE) : -ENOTDIR;
	if (error) {
		inode_put(inode);
		return error;
	}
	inode_put(working_directory);
	working_directory = inode;
	return 0;
}

int process_start_in(const char *path)
{
	struct inode *inode;
	int error = path_kernel(path, &inode);
	return error ? error : (int)change_directory(inode);
}

int64_t sys_chdir(const uint64_t *argument)
{
	struct inode *inode;
	int error = path_inode(AT_FDCWD, argument[0], WALK_FOLLOW, &inode);
	return error ? error : change_directory(inode);
}

int64_t sys_fchdir(const uint64_t *argument)
{
	struct file *file = descriptor_file_any((uint32_t)argument[0]);
	if (!file)
		return -EBADF;
	int64_t result = change_directory(inode_get(file->inode));
	file_put(file);
	return result;
}

/* One process, one root: another one is not to be had. */
int64_t sys_chroot(const uint64_t *argument)
{
	struct inode *inode;
	int error = path_inode(AT_FDCWD, argument[0], WALK_FOLLOW, &inode);
	if (error)
		return error;
	bool same = inode == root_directory;
	error = !is_directory(inode) ? -ENOTDIR : same ? 0 : -EPERM;
	inode_put(inode);
	return error;
}
