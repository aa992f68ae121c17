/* Where one tree begins inside another. */
#include "personality/files.h"

struct mount mounts[MOUNTS_MAX];
size_t mount_count;
struct inode *root_directory, *working_directory;

void mount_add(struct inode *directory, const char *name, struct inode *root)
{
	ASSERT(mount_count < MOUNTS_MAX);
	mounts[mount_count++] = (struct mount){directory, name, root};
}

struct inode *mount_on(const struct inode *directory, const struct name *name)
{
	for (size_t i = 0; i < mount_count; i++) {
		const struct mount *m = &mounts[i];
		if (m->directory == directory && strlen(m->name) == name->length && memcmp(m->name, name->bytes, name->length) == 0)
			return m->root;
	}
	return NULL;
}

const struct mount *mount_of(const struct inode *root)
{
	for (size_t i = 0; i < mount_count; i++)
		if (mounts[i].root == root)
			return &mounts[i];
	return NULL;
}

struct inode *directory_parent(struct inode *directory)
{
	if (directory == root_directory)
		return inode_get(directory);
	const struct mount *m = mount_of(directory);
	if (m)
		return inode_get(m->directory);
	struct inode *parent;
	char name[NAME_LENGTH_MAX + 1];
	/* A directory that was removed while somebody is in it has only itself. */
	if (!directory->operations->locate || directory->operations->locate(directory, &parent, name) < 0)
		return inode_get(directory);
	return inode_get(parent);
}

void files_init(void)
{
	root_directory = image_inode(0);
	if (!root_directory)
		panic("no memory for the root directory");
	tmpfs_init();
	struct inode *devices = device_root(), *shared = tmpfs_root(), *temporary = tmpfs_root(), *var = NULL;
	if (!shared || !temporary)
		panic("no memory for /tmp");
	mount_add(root_directory, "dev", devices);
	mount_add(devices, "shm", shared);
	mount_add(root_directory, "proc", proc_root());
	mount_add(root_directory, "sys", sys_root());
	mount_add(root_directory, "tmp", temporary);
	if (root_directory->operations->lookup(root_directory, &(struct name){"var", 3}, &var) < 0 || !is_directory(var)) {
		var = var_root();
		mount_add(root_directory, "var", var);
	}
	struct inode *var_tmp = tmpfs_root();
	if (!var_tmp)
		panic("no memory for /var/tmp");
	mount_add(var, "tmp", var_tmp);

	working_directory = inode_get(root_directory);
	for (int descriptor = 0; descriptor < 3; descriptor++) {
		struct file *file;
		if (file_open(console_inode, O_RDWR, &file) < 0 || descriptor_install(file, 0, false) != descriptor)
			panic("no memory for the console's descriptors");
	}
}
