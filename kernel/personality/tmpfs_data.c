/* The contents of /tmp's files: frames in a tree of tables, so that a hole costs nothing. */
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/mman.h>

#include "memory/memory.h"
#include "personality/tmpfs.h"

#define TABLE_BITS 9
#define TABLE_ENTRIES (1u << TABLE_BITS)
#define HEIGHT_MAX 6 /* 54 bits of page number: more than INT64_MAX bytes need */

uint64_t page_take(void)
{
	return commit_take_uncharged();
}

void page_give(uint64_t physical)
{
	frame_free(physical);
}

/* Tables are pages too and count as such, so that a sparse file cannot eat the kernel's memory. */
static uint64_t *table_take(int *error)
{
	*error = -ENOSPC;
	if (tmpfs_pages_used >= tmpfs_pages_limit)
		return NULL;
	*error = -ENOMEM;
	uint64_t physical = page_take();
	if (!physical)
		return NULL;
	tmpfs_pages_used++;
	return direct(physical);
}

static void table_give(uint64_t *table)
{
	page_give((uint64_t)(uintptr_t)table - DIRECT_BASE);
	tmpfs_pages_used--;
}

static bool covers(unsigned height, uint64_t page)
{
	return height >= HEIGHT_MAX || page >> (height * TABLE_BITS) == 0;
}

static unsigned slot_of(uint64_t page, unsigned level)
{
	return page >> (level * TABLE_BITS) & (TABLE_ENTRIES - 1);
}

static bool table_empty(const uint64_t *table)
{
	for (unsigned n = 0; n < TABLE_ENTRIES; n++)
		if (table[n])
			return false;
	return true;
}

/* Frees the tables on the way to a page that hold nothing, from the lowest up. */
static void prune(struct tmpfs_inode *i, uint64_t page)
{
	uint64_t *path[HEIGHT_MAX] = {0};
	if (!i->height)
		return;
	path[i->height - 1] = i->tree;
	for (unsigned level = i->height - 1; level > 0 && path[level]; level--)
		path[level - 1] = (uint64_t *)(uintptr_t)path[level][slot_of(page, level)];
	for (unsigned level = 0; level < i->height; level++) {
		if (!path[level])
			continue;
		if (!table_empty(path[level]))
			return;
		table_give(path[level]);
		if (level + 1 < i->height)
			path[level + 1][slot_of(page, level + 1)] = 0;
	}
	i->tree = NULL;
	i->height = 0;
}

/* Makes the tree high enough to hold a page. */
static bool grow(struct tmpfs_inode *i, uint64_t page, int *error)
{
	while (!i->height || !covers(i->height, page)) {
		uint64_t *table = table_take(error);
		if (!table)
			return false;
		if (i->height) {
			table[0] = (uint64_t)(uintptr_t)i->tree;
			i->height++;
		} else {
			while (!covers(++i->height, page))
				;
		}
		i->tree = table;
	}
	return true;
}

uint64_t tmpfs_page(struct tmpfs_inode *i, uint64_t page, bool create, int *error)
{
	*error = 0;
	if (create ? !grow(i, page, error) : !i->height || !covers(i->height, page))
		return 0;
	uint64_t *table = i->tree;
	for (unsigned level = i->height - 1; level > 0; level--) {
		uint64_t *slot = &table[slot_of(page, level)];
		if (!*slot) {
			uint64_t *made = create ? table_take(error) : NULL;
			if (!made) {
				if (create)
					prune(i, page);
				return 0;
			}
			*slot = (uint64_t)(uintptr_t)made;
		}
		table = (uint64_t *)(uintptr_t)*slot;
	}
	uint64_t *slot = &table[slot_of(page, 0)];
	if (*slot || !create)
		return *slot;
	uint64_t *fresh = table_take(error);
	if (!fresh) {
		prune(i, page);
		return 0;
	}
	i->pages++;
	return *slot = (uint64_t)(uintptr_t)fresh - DIRECT_BASE;
}

/* Pages below one slot of a level. */
static uint64_t slot_span(unsigned level)
{
	return 1ull << (level * TABLE_BITS);
}

uint64_t tmpfs_next_page(struct tmpfs_inode *i, uint64_t from, bool present)
{
	uint64_t page = from;
	while (i->height && covers(i->height, page)) {
		uint64_t *table = i->tree;
		unsigned level = i->height - 1;
		while (level > 0 && table[slot_of(page, level)]) {
			table = (uint64_t *)(uintptr_t)table[slot_of(page, level)];
			level--;
		}
		bool there = level == 0 && table[slot_of(page, 0)];
		if (there == present)
			return page;
		uint64_t next = (page & ~(slot_span(level) - 1)) + slot_span(level);
		if (next <= page)
			break;
		page = next;
	}
	return present ? UINT64_MAX : page;
}

/* Frees pages of one lowest table. */
static void drop_in_table(struct tmpfs_inode *i, uint64_t first, uint64_t end)
{
	uint64_t *table = i->tree;
	for (unsigned level = i->height - 1; level > 0; level--)
		table = (uint64_t *)(uintptr_t)table[slot_of(first, level)];
	for (uint64_t page = first; page < end; page++) {
		uint64_t *slot = &table[slot_of(page, 0)];
		if (*slot) {
			page_give(*slot);
			tmpfs_pages_used--;
			i->pages--;
			*slot = 0;
		}
	}
	prune(i, first);
}

void tmpfs_drop_pages(struct tmpfs_inode *i, uint64_t first, uint64_t end)
{
	for (;;) {
		uint64_t page = tmpfs_next_page(i, first, true);
		if (page >= end)
			return;
		uint64_t stop = MIN(end, (page & ~(uint64_t)(TABLE_ENTRIES - 1)) + TABLE_ENTRIES);
		drop_in_table(i, page, stop);
		first = stop;
	}
}

static void clear_range(struct tmpfs_inode *i, uint64_t page, size_t from, size_t to)
{
	int error;
	uint64_t frame = tmpfs_page(i, page, false, &error);
	if (frame)
		memset((char *)direct(frame) + from, 0, to - from);
}

int tmpfs_truncate(struct inode *inode, uint64_t size)
{
	struct tmpfs_inode *i = tmpfs_of(inode);
	if (size > FILE_SIZE_MAX)
		return -EFBIG;
	if ((size < i->mappable.size && i->seals & F_SEAL_SHRINK) || (size > i->mappable.size && i->seals & F_SEAL_GROW))
		return -EPERM;
	if (size < i->mappable.size) {
		uint64_t first = ROUND_UP(size, PAGE_SIZE) >> PAGE_SHIFT;
		i->mappable.size = size;
		memory_object_truncated(&i->mappable, first);
		tmpfs_drop_pages(i, first, UINT64_MAX >> PAGE_SHIFT);
		if (size % PAGE_SIZE)
			clear_range(i, size >> PAGE_SHIFT, size % PAGE_SIZE, PAGE_SIZE);
	}
	i->mappable.size = size;
	tmpfs_touch(i);
	return 0;
}

static int punch(struct tmpfs_inode *i, uint64_t offset, uint64_t end)
{
	uint64_t first = ROUND_UP(offset, PAGE_SIZE) >> PAGE_SHIFT, last = end >> PAGE_SHIFT;
	if (i->seals & F_SEAL_WRITE)
		return -EPERM;
	if (first > last) { /* within one page */
		clear_range(i, last, offset % PAGE_SIZE, end % PAGE_SIZE);
		return 0;
	}
	if (offset % PAGE_SIZE)
		clear_range(i, offset >> PAGE_SHIFT, offset % PAGE_SIZE, PAGE_SIZE);
	if (end % PAGE_SIZE)
		clear_range(i, last, 0, end % PAGE_SIZE);
	/* Mappings forget everything from here on and find again what is still there. */
	memory_object_truncated(&i->mappable, first);
	tmpfs_drop_pages(i, first, last);
	return 0;
}

int tmpfs_reserve(struct file *file, int mode, uint64_t offset, uint64_t length)
{
	struct tmpfs_inode *i = tmpfs_of(file->inode);
	uint64_t end = offset + length;
	if (mode == (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)) {
		int error = punch(i, offset, end);
		if (!error)
			tmpfs_touch(i);
		return error;
	}
	if (mode & ~FALLOC_FL_KEEP_SIZE)
		return -EOPNOTSUPP;
	if (!(mode & FALLOC_FL_KEEP_SIZE) && end > i->mappable.size && i->seals & F_SEAL_GROW)
		return -EPERM;
	if ((length >> PAGE_SHIFT) > tmpfs_pages_limit)
		return -ENOSPC;
	uint64_t last = ROUND_UP(end, PAGE_SIZE) >> PAGE_SHIFT;
	for (uint64_t page = tmpfs_next_page(i, offset >> PAGE_SHIFT, false); page < last; page = tmpfs_next_page(i, page, false)) {
		int error;
		if (!tmpfs_page(i, page, true, &error)) {
			/* What lies beyond the end of the file is of no use to anybody. */
			tmpfs_drop_pages(i, ROUND_UP(i->mappable.size, PAGE_SIZE) >> PAGE_SHIFT, UINT64_MAX >> PAGE_SHIFT);
			return error;
		}
	}
	if (!(mode & FALLOC_FL_KEEP_SIZE) && end > i->mappable.size) {
		i->mappable.size = end;
		tmpfs_touch(i);
	} else {
		i->change = timestamp_now();
	}
	return 0;
}

/* ---- reading and writing ------------------------------------------------------------------------------------------------------------ */

/* As Linux's relatime: access times are kept where they tell something. */
static void touch_access(struct tmpfs_inode *i)
{
	struct timestamp now = timestamp_now(), *a = &i->access, *m = &i->modification, *c = &i->change;
	bool before_change = a->seconds < m->seconds || (a->seconds == m->seconds && a->nanoseconds <= m->nanoseconds) ||
			     a->seconds < c->seconds || (a->seconds == c->seconds && a->nanoseconds <= c->nanoseconds);
	if (before_change || now.seconds - a->seconds >= 24 * 60 * 60)
		*a = now;
}

int64_t tmpfs_read(struct file *file, struct transfer *t, int64_t *position)
{
	struct tmpfs_inode *i = tmpfs_of(file->inode);
	int64_t done = 0;
	if (*position < 0)
		return -EINVAL;
	if (!(file->flags & O_NOATIME))
		touch_access(i);
	while (t->left && (uint64_t)*position < i->mappable.size) {
		uint64_t at = (uint64_t)*position;
		size_t within = at % PAGE_SIZE;
		size_t n = MIN(MIN(PAGE_SIZE - within, t->left), i->mappable.size - at);
		int error;
		uint64_t frame = tmpfs_page(i, at >> PAGE_SHIFT, false, &error);
		size_t moved = frame ? transfer_put(t, (char *)direct(frame) + within, n) : transfer_put_zeros(t, n);
		*position += (int64_t)moved;
		done += (int64_t)moved;
		if (moved < n)
			break;
	}
	return done;
}

int64_t tmpfs_write(struct file *file, struct transfer *t, int64_t *position)
{
	struct tmpfs_inode *i = tmpfs_of(file->inode);
	int64_t done = 0;
	if (t->append)
		*position = (int64_t)i->mappable.size;
	if (*position < 0)
		return -EINVAL;
	uint64_t room = (uint64_t)FILE_SIZE_MAX - (uint64_t)*position;
	if (!room && t->left)
		return -EFBIG;
	if (i->seals & F_SEAL_WRITE || (i->seals & F_SEAL_GROW && (uint64_t)*position + MIN(t->left, room) > i->mappable.size))
		return -EPERM;
	t->left = MIN(t->left, room);
	while (t->left) {
		uint64_t at = (uint64_t)*position;
		size_t within = at % PAGE_SIZE, n = MIN(PAGE_SIZE - within, t->left);
		int error;
		/* A page made for bytes that turn out to be unreachable stays in the file if it lies within, else it goes again. */
		uint64_t frame = tmpfs_page(i, at >> PAGE_SHIFT, true, &error);
		if (!frame) {
			if (!done)
				done = error;
			break;
		}
		size_t moved = transfer_take(t, (char *)direct(frame) + within, n);
		*position += (int64_t)moved;
		done += (int64_t)moved;
		if ((uint64_t)*position > i->mappable.size)
			i->mappable.size = (uint64_t)*position;
		if (moved < n)
			break;
	}
	if (done > 0)
		tmpfs_touch(i);
	else
		tmpfs_drop_pages(i, ROUND_UP(i->mappable.size, PAGE_SIZE) >> PAGE_SHIFT, UINT64_MAX >> PAGE_SHIFT);
	return done;
}

int64_t tmpfs_seek(struct file *file, int64_t offset, int whence)
{
	struct tmpfs_inode *i = tmpfs_of(file->inode);
	if (whence != SEEK_DATA && whence != SEEK_HOLE)
		return file_seek(file, offset, whence);
	uint64_t size = i->mappable.size, at = (uint64_t)offset;
	if (offset < 0 || at >= size)
		return -ENXIO;
	uint64_t page = tmpfs_next_page(i, at >> PAGE_SHIFT, whence == SEEK_DATA);
	uint64_t found = page > (uint64_t)FILE_SIZE_MAX >> PAGE_SHIFT ? size : page << PAGE_SHIFT;
	found = MAX(found, at);
	if (found >= size) {
		if (whence == SEEK_DATA)
			return -ENXIO;
		found = size;
	}
	return file->position = (int64_t)found;
}

/* ---- mappings ------------------------------------------------------------------------------------------------------------------------- */

int tmpfs_map(struct file *file, int flags, struct mappable **mappable)
{
	struct tmpfs_inode *i = tmpfs_of(file->inode);
	(void)flags;
	*mappable = &i->mappable;
	return 0;
}

static struct tmpfs_inode *mapped_inode(struct mappable *m)
{
	return CONTAINER_OF(m, struct tmpfs_inode, mappable);
}

static void mapping_get(struct mappable *m)
{
	struct tmpfs_inode *i = mapped_inode(m);
	inode_get(&i->inode);
	if (i->mappings++)
		return;
	char *text = path_scratch();
	int64_t length = path_of(&i->inode, text, PATH_LENGTH_MAX);
	if (length > 0 && (i->path = allocate((size_t)length + 1)))
		memcpy(i->path, text, (size_t)length + 1);
	m->name = i->path ? i->path : "/tmp/ (deleted)";
}

static void mapping_put(struct mappable *m)
{
	struct tmpfs_inode *i = mapped_inode(m);
	ASSERT(i->mappings > 0);
	if (--i->mappings == 0) {
		release(i->path);
		i->path = NULL;
		m->name = NULL;
	}
	inode_put(&i->inode);
}

static uint64_t mapping_frame(struct mappable *m, uint64_t page, int *error)
{
	struct tmpfs_inode *i = mapped_inode(m);
	*error = -EFAULT;
	if (page >= ROUND_UP(m->size, PAGE_SIZE) >> PAGE_SHIFT)
		return 0;
	uint64_t frame = tmpfs_page(i, page, true, error);
	if (!frame && *error == -ENOSPC)
		*error = -EFAULT; /* Linux too: SIGBUS when the file system is full */
	return frame;
}

const struct mappable_operations tmpfs_mapping_operations = {.get = mapping_get, .put = mapping_put, .frame = mapping_frame};
