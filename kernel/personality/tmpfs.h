/* Between the files of the in-memory file system: tmpfs.c (names), tmpfs_file.c (opened files, attributes), tmpfs_data.c (pages). */
#ifndef SARAB_TMPFS_H
#define SARAB_TMPFS_H

#include "personality/files.h"

/* A name in a directory. */
struct entry {
	struct list in_directory; /* in the order of their positions */
	struct list in_bucket;
	struct list in_inode;	/* the names of one inode */
	struct tmpfs_inode *directory, *inode; /* it holds a reference to inode */
	int64_t position;	/* of getdents64: never given twice in a directory */
	uint8_t length;
	char name[];
};

struct tmpfs_inode {
	struct inode inode;
	uint32_t links, user, group;
	struct timestamp access, modification, change, birth;
	struct list names; /* entries that lead here */

	/* A directory. */
	struct list entries;
	int64_t next_position;
	uint64_t entry_count;
	bool is_root;
	/* A symbolic link. */
	char *target;
	/* A FIFO that is or was open. */
	struct pipe *pipe;
	/* A regular file. */
	struct mappable mappable; /* its size is the file's */
	char *path;		  /* of mappable.name, while it is mapped */
	uint32_t mappings, writable_mappings;
	uint64_t *tree;	 /* frames: tables of 512, height levels of them */
	unsigned height;
	uint64_t pages;	 /* frames it has */
	unsigned seals;
	bool linkable;	 /* O_TMPFILE: has no name yet but may get one */
};

static inline struct tmpfs_inode *tmpfs_of(struct inode *inode) { return CONTAINER_OF(inode, struct tmpfs_inode, inode); }
static inline void tmpfs_touch(struct tmpfs_inode *i) { i->modification = i->change = timestamp_now(); }

/* Limits of the pool that all its directories share, in pages and inodes, and what is used of them. */
extern uint64_t tmpfs_pages_limit, tmpfs_pages_used, tmpfs_inodes_limit, tmpfs_inodes_used;

/* tmpfs_data.c */
/* The frame of a page. create: made if it is not there. 0: a hole, or *error = -ENOSPC, -ENOMEM. */
uint64_t tmpfs_page(struct tmpfs_inode *i, uint64_t page, bool create, int *error);
void tmpfs_drop_pages(struct tmpfs_inode *i, uint64_t first, uint64_t end); /* without telling mappings */
uint64_t tmpfs_next_page(struct tmpfs_inode *i, uint64_t from, bool present); /* first page that is, or is not, there; UINT64_MAX: none */
int tmpfs_truncate(struct inode *inode, uint64_t size);
int tmpfs_reserve(struct file *file, int mode, uint64_t offset, uint64_t length);
int64_t tmpfs_read(struct file *file, struct transfer *t, int64_t *position);
int64_t tmpfs_write(struct file *file, struct transfer *t, int64_t *position);
int64_t tmpfs_seek(struct file *file, int64_t offset, int whence);
int tmpfs_map(struct file *file, int flags, struct mappable **mappable);
extern const struct mappable_operations tmpfs_mapping_operations;

/* tmpfs_file.c */
int tmpfs_open(struct inode *inode, struct file *file);
void tmpfs_attributes(struct inode *inode, struct attributes *a);
int tmpfs_change(struct inode *inode, const struct change *change);
int64_t tmpfs_target(struct inode *inode, char *to, size_t size);

#endif
