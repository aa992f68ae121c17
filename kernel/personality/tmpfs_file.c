/* /tmp's inodes as things with attributes, and what is opened of them. */
#include "personality/tmpfs.h"

static int64_t directory_list(struct file *file, struct listing *l)
{
	struct tmpfs_inode *i = tmpfs_of(file->inode);
	if (!i->links)
		return -ENOENT; /* removed */
	struct inode *parent = directory_parent(file->inode);
	uint64_t parent_number = parent->number;
	inode_put(parent);
	if (!listing_dots(l, file, parent_number))
		return 0;
	LIST_FOR_EACH(node, &i->entries) {
		const struct entry *e = CONTAINER_OF(node, struct entry, in_directory);
		if (e->position < file->position)
			continue;
		if (!listing_add(l, e->name, e->length, e->inode->inode.number, e->inode->inode.mode, e->position + 1))
			return 0;
		file->position = e->position + 1;
	}
	return 0;
}

static int64_t directory_seek(struct file *file, int64_t offset, int whence)
{
	if (whence == 1)
		offset += file->position;
	else if (whence == 2)
		offset += tmpfs_of(file->inode)->next_position;
	else if (whence != 0)
		return -EINVAL;
	return offset < 0 ? -EINVAL : (file->position = offset);
}

static const struct file_operations regular_operations = {
	.read = tmpfs_read, .write = tmpfs_write, .seek = tmpfs_seek, .map = tmpfs_map, .reserve = tmpfs_reserve,
};
static const struct file_operations directory_operations = {.seek = directory_seek, .list = directory_list};

int tmpfs_open(struct inode *inode, struct file *file)
{
	struct tmpfs_inode *i = tmpfs_of(inode);
	switch (inode->mode & S_IFMT) {
	case S_IFREG:
		file->operations = &regular_operations;
		return 0;
	case S_IFDIR:
		file->operations = &directory_operations;
		return 0;
	case S_IFIFO:
		if (!i->pipe && !(i->pipe = pipe_new()))
			return -ENOMEM;
		return pipe_open(i->pipe, file);
	case S_IFLNK:
		return -ELOOP;
	default:
		return -ENXIO;
	}
}

void tmpfs_attributes(struct inode *inode, struct attributes *a)
{
	struct tmpfs_inode *i = tmpfs_of(inode);
	a->links = i->links;
	a->user = i->user;
	a->group = i->group;
	a->access = i->access;
	a->modification = i->modification;
	a->change = i->change;
	a->birth = i->birth;
	switch (inode->mode & S_IFMT) {
	case S_IFREG:
		a->size = i->mappable.size;
		a->blocks = i->pages * (PAGE_SIZE / 512);
		break;
	case S_IFLNK:
		a->size = strlen(i->target);
		break;
	case S_IFDIR:
		a->size = (i->entry_count + 2) * 20; /* as Linux's tmpfs counts */
		break;
	}
}

int tmpfs_change(struct inode *inode, const struct change *change)
{
	struct tmpfs_inode *i = tmpfs_of(inode);
	if (change->what & CHANGE_USER)
		i->user = change->user;
	if (change->what & CHANGE_GROUP)
		i->group = change->group;
	if (change->what & CHANGE_MODE)
		inode->mode = (inode->mode & S_IFMT) | change->mode;
	if (change->what & CHANGE_ACCESS)
		i->access = change->access;
	if (change->what & CHANGE_MODIFICATION)
		i->modification = change->modification;
	i->change = timestamp_now();
	return 0;
}

int64_t tmpfs_target(struct inode *inode, char *to, size_t size)
{
	const char *target = tmpfs_of(inode)->target;
	size_t length = MIN(strlen(target), size);
	memcpy(to, target, length);
	return (int64_t)length;
}

/* ---- seals of memfd_create -------------------------------------------------------------------------------------------------------------- */

void tmpfs_allow_seals(struct inode *inode)
{
	tmpfs_of(inode)->seals = 0;
}

int tmpfs_seals_get(struct inode *inode)
{
	return tmpfs_holds(inode) && is_regular(inode) ? (int)tmpfs_of(inode)->seals : -EINVAL;
}

int tmpfs_seals_add(struct inode *inode, unsigned seals)
{
	if (!tmpfs_holds(inode) || !is_regular(inode))
		return -EINVAL;
	struct tmpfs_inode *i = tmpfs_of(inode);
	if (seals & ~(unsigned)(F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE))
		return -EINVAL;
	if (i->seals & F_SEAL_SEAL)
		return -EPERM;
	if (seals & F_SEAL_WRITE && !(i->seals & F_SEAL_WRITE) && i->mappings)
		return -EBUSY;
	i->seals |= seals;
	return 0;
}
