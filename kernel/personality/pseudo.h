/* Trees whose files are made up by the kernel: /dev, /proc, /sys, /var. */
#ifndef SARAB_PSEUDO_H
#define SARAB_PSEUDO_H

#include "personality/files.h"

/* Text that grows as it is written, up to TEXT_MAX. */
#define TEXT_MAX (1u << 20)
struct text {
	char *bytes;
	size_t length, capacity;
	bool failed; /* no memory, or too long */
};
void text_print(struct text *t, const char *format, ...) PRINTF_LIKE(2, 3);
void text_bytes(struct text *t, const void *bytes, size_t length);
void text_free(struct text *t);

struct pseudo {
	const char *name;
	struct pseudo *parent; /* NULL: the root of its tree */
	uint32_t mode;
	uint64_t rdev;
	const struct file_operations *operations; /* of a device, or a file of its own kind */
	void (*generate)(struct text *, uint64_t key);
	int (*store)(const char *bytes, size_t length); /* what is written to it; NULL: EACCES by its mode, EINVAL for root */
	const char *target;				/* of a symbolic link */
	int64_t (*make_target)(uint64_t key, char *to, size_t size);
	int (*follow)(uint64_t key, struct inode **found);
	/* A directory whose children come and go: numbered ones. next: the lowest number at or above from, or -1. */
	int64_t (*next)(uint64_t from);
	const struct pseudo *numbered; /* what each of them is like */
};

/* A node of a static tree as an inode. Trees are arrays; a node's children are those whose parent it is. */
struct pseudo_inode {
	struct inode inode;
	const struct pseudo *node;
	uint64_t key; /* number of the child of a directory with next */
	struct pseudo_inode *directory;
};

#define PSEUDO_TREES_MAX 4
/* Registers a tree; its root is nodes[0]. Panics without memory: this is at boot. */
struct inode *pseudo_tree(const struct pseudo *nodes, size_t count, const struct file_system *file_system);

#endif
