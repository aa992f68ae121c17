/* /tmp: files in memory, bounded by the option tmp=SIZE. Names and inodes. /var/tmp, /dev/shm and memfds share its pool. */
#include <linux/fs.h>

#include "personality/tmpfs.h"

#define DEFAULT_SIZE (16ull << 20)
#define INODES_MINIMUM 1024 /* an inode and its name are 1 KiB: at two inodes a page half of the bound at most */
#define SHORT_TARGET 128    /* a symbolic link's text: a longer one counts as a page of data, which it takes */

uint64_t tmpfs_pages_limit, tmpfs_pages_used, tmpfs_inodes_limit, tmpfs_inodes_used;
static struct list *buckets; /* every entry, by directory and name */
static size_t bucket_count;	/* a power of two */
static uint64_t next_number = 1;

static void space(struct statfs *s)
{
	s->f_blocks = (long)tmpfs_pages_limit;
	s->f_bfree = s->f_bavail = (long)(tmpfs_pages_limit - tmpfs_pages_used);
	s->f_files = (long)tmpfs_inodes_limit;
	s->f_ffree = (long)(tmpfs_inodes_limit - tmpfs_inodes_used);
}

const struct file_system tmpfs_file_system = {
	.type = "tmpfs", .source = "tmpfs", .mount_options = "rw", .device = 2, .magic = TMPFS_MAGIC, .space = space,
};
static const struct inode_operations operations;

void tmpfs_init(void)
{
	uint64_t size = options.tmp_size ? options.tmp_size : DEFAULT_SIZE;
	tmpfs_pages_limit = MAX(size >> PAGE_SHIFT, 1);
	tmpfs_inodes_limit = MAX(tmpfs_pages_limit * 2, INODES_MINIMUM);
	bucket_count = 256;
	while (bucket_count < tmpfs_inodes_limit / 8 && bucket_count < 32768)
		bucket_count *= 2;
	buckets = allocate(bucket_count * sizeof *buckets);
	if (!buckets)
		panic("no memory for /tmp");
	for (size_t n = 0; n < bucket_count; n++)
		list_init(&buckets[n]);
}

bool tmpfs_holds(const struct inode *inode)
{
	return inode->file_system == &tmpfs_file_system;
}

/* ---- inodes --------------------------------------------------------------------------------------------------------------------------- */

static struct tmpfs_inode *make(uint32_t mode, const struct tmpfs_inode *directory, int *error)
{
	*error = -ENOSPC;
	if (tmpfs_inodes_used >= tmpfs_inodes_limit)
		return NULL;
	struct tmpfs_inode *i = allocate(sizeof *i);
	*error = -ENOMEM;
	if (!i)
		return NULL;
	tmpfs_inodes_used++;
	i->inode = (struct inode){&operations, &tmpfs_file_system, next_number++, 1, mode};
	i->user = identity.file_user;
	i->group = identity.file_group;
	if (directory && directory->inode.mode & 02000) {
		i->group = directory->group;
		if (is_directory(&i->inode))
			i->inode.mode |= 02000;
	}
	i->access = i->modification = i->change = i->birth = timestamp_now();
	list_init(&i->names);
	list_init(&i->entries);
	i->next_position = 2;
	i->seals = F_SEAL_SEAL; /* only memfds may be sealed */
	i->mappable.operations = &tmpfs_mapping_operations;
	i->mappable.writable = true;
	i->mappable.inode_number = i->inode.number;
	return i;
}

static void inode_free(struct inode *inode)
{
	struct tmpfs_inode *i = tmpfs_of(inode);
	ASSERT(list_empty(&i->entries));
	tmpfs_drop_pages(i, 0, UINT64_MAX >> PAGE_SHIFT);
	if (i->pipe)
		pipe_free(i->pipe);
	if (i->target && strlen(i->target) > SHORT_TARGET)
		tmpfs_pages_used--;
	release(i->target);
	release(i->path);
	release(i);
	tmpfs_inodes_used--;
}

struct inode *tmpfs_root(void)
{
	int error;
	struct tmpfs_inode *i = make(S_IFDIR | 01777, NULL, &error);
	if (!i)
		return NULL;
	i->links = 2;
	i->is_root = true;
	return &i->inode;
}

struct inode *tmpfs_file(uint32_t mode)
{
	int error;
	struct tmpfs_inode *i = make(S_IFREG | mode, NULL, &error);
	return i ? &i->inode : NULL;
}

/* ---- entries ---------------------------------------------------------------------------------------------------------------------------- */

static struct list *bucket(const struct tmpfs_inode *directory, const char *name, size_t length)
{
	uint64_t hash = directory->inode.number * 0x9e3779b97f4a7c15ull; /* FNV-1a, started with the directory */
	for (size_t n = 0; n < length; n++)
		hash = (hash ^ (uint8_t)name[n]) * 0x100000001b3ull;
	return &buckets[(hash ^ hash >> 32) & (bucket_count - 1)];
}

static struct entry *find(const struct tmpfs_inode *directory, const struct name *name)
{
	LIST_FOR_EACH(node, bucket(directory, name->bytes, name->length)) {
		struct entry *e = CONTAINER_OF(node, struct entry, in_bucket);
		if (e->directory == directory && e->length == name->length && memcmp(e->name, name->bytes, name->length) == 0)
			return e;
	}
	return NULL;
}

static struct entry *entry_new(const struct name *name)
{
	struct entry *e = allocate(sizeof *e + name->length + 1);
	if (!e)
		return NULL;
	e->length = (uint8_t)name->length;
	memcpy(e->name, name->bytes, name->length);
	list_init(&e->in_directory);
	list_init(&e->in_bucket);
	list_init(&e->in_inode);
	return e;
}

/* Gives the inode a name. The entry takes a reference. Directories' links are counted by the caller. */
static void entry_attach(struct entry *e, struct tmpfs_inode *directory, struct tmpfs_inode *i)
{
	e->directory = directory;
	e->inode = i;
	e->position = directory->next_position++;
	inode_get(&i->inode);
	list_insert_before(&directory->entries, &e->in_directory);
	list_insert_before(bucket(directory, e->name, e->length), &e->in_bucket);
	list_insert_before(&i->names, &e->in_inode);
	directory->entry_count++;
	if (is_directory(&i->inode))
		directory->links++; /* its ".." */
	tmpfs_touch(directory);
}

/* Takes the name away; the entry's reference goes to the caller, who must drop it. */
static struct tmpfs_inode *entry_detach(struct entry *e)
{
	struct tmpfs_inode *i = e->inode;
	list_remove(&e->in_directory);
	list_remove(&e->in_bucket);
	list_remove(&e->in_inode);
	e->directory->entry_count--;
	if (is_directory(&i->inode))
		e->directory->links--;
	tmpfs_touch(e->directory);
	return i;
}

/* ---- operations on directories ------------------------------------------------------------------------------------------------------------ */

static int lookup(struct inode *directory, const struct name *name, struct inode **found)
{
	struct entry *e = find(tmpfs_of(directory), name);
	if (!e)
		return -ENOENT;
	*found = inode_get(&e->inode->inode);
	return 0;
}

static int create(struct inode *parent, const struct name *name, uint32_t mode, uint64_t rdev, const char *target, struct inode **made)
{
	struct tmpfs_inode *directory = tmpfs_of(parent);
	int error;
	(void)rdev;
	if (!directory->links)
		return -ENOENT; /* removed while somebody was in it */
	struct tmpfs_inode *i = make(mode, directory, &error);
	if (!i)
		return error;
	struct entry *e = entry_new(name);
	bool long_target = target && strlen(target) > SHORT_TARGET;
	if (long_target && tmpfs_pages_used >= tmpfs_pages_limit) {
		release(e);
		inode_put(&i->inode);
		return -ENOSPC;
	}
	if (target && (i->target = allocate(strlen(target) + 1))) {
		memcpy(i->target, target, strlen(target) + 1);
		tmpfs_pages_used += long_target;
	}
	if (!e || (target && !i->target)) {
		release(e);
		inode_put(&i->inode);
		return -ENOMEM;
	}
	i->links = is_directory(&i->inode) ? 2 : 1;
	entry_attach(e, directory, i);
	*made = &i->inode;
	return 0;
}

static int anonymous(struct inode *directory, uint32_t mode, struct inode **made)
{
	int error;
	struct tmpfs_inode *i = make(S_IFREG | mode, tmpfs_of(directory), &error);
	if (!i)
		return error;
	i->linkable = true;
	*made = &i->inode;
	return 0;
}

static int add_link(struct inode *directory, const struct name *name, struct inode *inode)
{
	struct tmpfs_inode *i = tmpfs_of(inode);
	if (!tmpfs_of(directory)->links || (!i->links && !i->linkable))
		return -ENOENT;
	/* Every name but the first counts as an inode, as in Linux: it stays in memory as one does. */
	if (i->links && tmpfs_inodes_used >= tmpfs_inodes_limit)
		return -ENOSPC;
	struct entry *e = entry_new(name);
	if (!e)
		return -ENOMEM;
	tmpfs_inodes_used += i->links != 0;
	entry_attach(e, tmpfs_of(directory), i);
	i->links++;
	i->change = timestamp_now();
	return 0;
}

/* What is left of an inode when it has lost a name. */
static void unlinked(struct tmpfs_inode *i)
{
	if (!is_directory(&i->inode) && i->links > 1)
		tmpfs_inodes_used--;
	i->links = is_directory(&i->inode) ? 0 : i->links - 1;
	if (!i->links)
		i->linkable = false;
	i->change = timestamp_now();
	inode_put(&i->inode);
}

static int remove_entry(struct inode *directory, const struct name *name, struct inode *inode)
{
	struct entry *e = find(tmpfs_of(directory), name);
	if (!e || &e->inode->inode != inode)
		return -ENOENT;
	if (is_directory(inode) && e->inode->entry_count)
		return -ENOTEMPTY;
	struct tmpfs_inode *i = entry_detach(e);
	release(e);
	unlinked(i);
	return 0;
}

/* Replaces e's name and place; the entry is a new one, so that positions stay in order. */
static void entry_move(struct entry *from, struct entry *to, struct tmpfs_inode *directory)
{
	struct tmpfs_inode *i = entry_detach(from);
	entry_attach(to, directory, i);
	i->change = timestamp_now();
	inode_put(&i->inode); /* the old entry's reference */
	release(from);
}

static int move(struct inode *old_directory, const struct name *old, struct inode *new_directory, const struct name *new, unsigned flags)
{
	struct tmpfs_inode *target = tmpfs_of(new_directory);
	struct entry *from = find(tmpfs_of(old_directory), old), *victim = find(target, new);
	if (!from || !target->links)
		return -ENOENT;
	if (victim && !(flags & RENAME_EXCHANGE) && is_directory(&victim->inode->inode) && victim->inode->entry_count)
		return -ENOTEMPTY;
	struct entry *to = entry_new(new);
	if (!to)
		return -ENOMEM;
	if (flags & RENAME_EXCHANGE) {
		struct entry *back = entry_new(old);
		if (!back) {
			release(to);
			return -ENOMEM;
		}
		entry_move(victim, back, tmpfs_of(old_directory));
	} else if (victim) {
		struct tmpfs_inode *i = entry_detach(victim);
		release(victim);
		unlinked(i);
	}
	entry_move(from, to, target);
	return 0;
}

static int locate(struct inode *inode, struct inode **directory, char name[NAME_LENGTH_MAX + 1])
{
	struct tmpfs_inode *i = tmpfs_of(inode);
	if (list_empty(&i->names))
		return -ENOENT;
	const struct entry *e = CONTAINER_OF(i->names.next, struct entry, in_inode);
	*directory = &e->directory->inode;
	memcpy(name, e->name, e->length + 1u);
	return 0;
}

static const struct inode_operations operations = {
	.free = inode_free,
	.attributes = tmpfs_attributes,
	.change = tmpfs_change,
	.truncate = tmpfs_truncate,
	.open = tmpfs_open,
	.lookup = lookup,
	.create = create,
	.anonymous = anonymous,
	.link = add_link,
	.remove = remove_entry,
	.rename = move,
	.locate = locate,
	.target = tmpfs_target,
};
