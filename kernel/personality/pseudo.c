/* Trees whose files are made up by the kernel. Text is generated when a file is read from its beginning, and kept until then. */
#include "personality/pseudo.h"

/* ---- text ---------------------------------------------------------------------------------------------------------------------------- */

static bool text_room(struct text *t, size_t more)
{
	size_t needed = t->length + more + 1;
	if (t->failed || needed <= t->capacity)
		return !t->failed;
	size_t capacity = MAX(t->capacity * 2, 512);
	while (capacity < needed)
		capacity *= 2;
	char *grown = capacity <= TEXT_MAX ? allocate(capacity) : NULL;
	if (!grown) {
		t->failed = true;
		return false;
	}
	if (t->length)
		memcpy(grown, t->bytes, t->length);
	release(t->bytes);
	t->bytes = grown;
	t->capacity = capacity;
	return true;
}

void text_print(struct text *t, const char *format, ...)
{
	va_list arguments;
	char line[256];
	va_start(arguments, format);
	int length = vsnprintf(line, sizeof line, format, arguments);
	va_end(arguments);
	text_bytes(t, line, MIN((size_t)length, sizeof line - 1));
}

void text_bytes(struct text *t, const void *bytes, size_t length)
{
	if (!length || !text_room(t, length))
		return;
	memcpy(t->bytes + t->length, bytes, length);
	t->length += length;
}

void text_free(struct text *t)
{
	if (t) {
		release(t->bytes);
		release(t);
	}
}

/* ---- inodes ---------------------------------------------------------------------------------------------------------------------------- */

static struct {
	struct pseudo_inode *inodes;
	size_t count;
} trees[PSEUDO_TREES_MAX];
static size_t tree_count;

static const struct inode_operations static_operations, numbered_operations, link_operations, magic_operations;
static const struct inode_operations numbered_link_operations, numbered_magic_operations;

static struct pseudo_inode *pseudo_of(struct inode *inode)
{
	return CONTAINER_OF(inode, struct pseudo_inode, inode);
}

struct inode *pseudo_tree(const struct pseudo *nodes, size_t count, const struct file_system *file_system)
{
	ASSERT(tree_count < PSEUDO_TREES_MAX);
	struct pseudo_inode *inodes = allocate(count * sizeof *inodes);
	if (!inodes)
		panic("no memory for /%s", nodes[0].name);
	for (size_t n = 0; n < count; n++) {
		const struct inode_operations *operations = &static_operations;
		if ((nodes[n].mode & S_IFMT) == S_IFLNK)
			operations = nodes[n].follow ? &magic_operations : &link_operations;
		inodes[n] = (struct pseudo_inode){
			.inode = {operations, file_system, n + 1, 1, nodes[n].mode},
			.node = &nodes[n],
		};
		for (size_t parent = 0; parent < n; parent++)
			if (nodes[n].parent == &nodes[parent])
				inodes[n].directory = &inodes[parent];
	}
	trees[tree_count].inodes = inodes;
	trees[tree_count++].count = count;
	return inode_get(&inodes[0].inode);
}

static void pseudo_free(struct inode *inode)
{
	struct pseudo_inode *i = pseudo_of(inode);
	inode_put(&i->directory->inode);
	release(i);
}

static void pseudo_attributes(struct inode *inode, struct attributes *a)
{
	const struct pseudo_inode *i = pseudo_of(inode);
	a->rdev = i->node->rdev;
	a->access = a->modification = a->change = timestamp_now();
	if (is_directory(inode))
		a->links = 2;
	else if (is_link(inode))
		a->size = i->node->target ? strlen(i->node->target) : 64; /* of magic ones Linux says 64 too */
}

/* The tree that an inode's node is of; dynamic inodes lie in none, but their nodes' children never do either. */
static struct pseudo_inode *tree_end(const struct pseudo_inode *i, struct pseudo_inode **first)
{
	for (size_t n = 0; n < tree_count; n++) {
		*first = trees[n].inodes;
		if (i >= *first && i < *first + trees[n].count)
			return *first + trees[n].count;
	}
	*first = NULL;
	return NULL;
}

static int numbered_child(struct pseudo_inode *directory, const struct name *name, struct inode **found)
{
	const struct pseudo *node = directory->node;
	uint64_t number = 0;
	for (size_t n = 0; n < name->length; n++) {
		char c = name->bytes[n];
		if (c < '0' || c > '9' || (n && name->bytes[0] == '0') || n > 9)
			return -ENOENT;
		number = number * 10 + (uint64_t)(c - '0');
	}
	if (node->next(number) != (int64_t)number)
		return -ENOENT;
	struct pseudo_inode *made = allocate(sizeof *made);
	if (!made)
		return -ENOMEM;
	const struct inode_operations *operations = &numbered_operations;
	if ((node->numbered->mode & S_IFMT) == S_IFLNK)
		operations = node->numbered->follow ? &numbered_magic_operations : &numbered_link_operations;
	*made = (struct pseudo_inode){
		.inode = {operations, directory->inode.file_system, directory->inode.number << 32 | (number + 1), 1, node->numbered->mode},
		.node = node->numbered,
		.key = number,
		.directory = directory,
	};
	inode_get(&directory->inode);
	*found = &made->inode;
	return 0;
}

static int pseudo_lookup(struct inode *inode, const struct name *name, struct inode **found)
{
	struct pseudo_inode *directory = pseudo_of(inode), *first, *end = tree_end(directory, &first);
	if (directory->node->next)
		return numbered_child(directory, name, found);
	for (struct pseudo_inode *i = first; i < end; i++) {
		if (i->directory == directory && strlen(i->node->name) == name->length &&
		    memcmp(i->node->name, name->bytes, name->length) == 0) {
			*found = inode_get(&i->inode);
			return 0;
		}
	}
	return -ENOENT;
}

static int pseudo_locate(struct inode *inode, struct inode **directory, char name[NAME_LENGTH_MAX + 1])
{
	const struct pseudo_inode *i = pseudo_of(inode);
	if (!i->directory)
		return -ENOENT;
	*directory = &i->directory->inode;
	if (i->directory->node->next)
		snprintf(name, NAME_LENGTH_MAX + 1, "%llu", (unsigned long long)i->key);
	else
		snprintf(name, NAME_LENGTH_MAX + 1, "%s", i->node->name);
	return 0;
}

static int64_t pseudo_target(struct inode *inode, char *to, size_t size)
{
	const struct pseudo_inode *i = pseudo_of(inode);
	if (i->node->make_target)
		return i->node->make_target(i->key, to, size);
	size_t length = MIN(strlen(i->node->target), size);
	memcpy(to, i->node->target, length);
	return (int64_t)length;
}

static int pseudo_follow(struct inode *inode, struct inode **found)
{
	const struct pseudo_inode *i = pseudo_of(inode);
	return i->node->follow(i->key, found);
}

/* ---- files -------------------------------------------------------------------------------------------------------------------------------- */

static int64_t text_read(struct file *file, struct transfer *t, int64_t *position)
{
	const struct pseudo_inode *i = pseudo_of(file->inode);
	if (*position < 0)
		return -EINVAL;
	if (!file->text || *position == 0) {
		struct text *text = allocate(sizeof *text);
		if (!text)
			return -ENOMEM;
		i->node->generate(text, i->key);
		if (text->failed) {
			text_free(text);
			return -ENOMEM;
		}
		text_free(file->text);
		file->text = text;
	}
	if ((uint64_t)*position >= file->text->length)
		return 0;
	size_t done = transfer_put(t, file->text->bytes + *position, file->text->length - (size_t)*position);
	*position += (int64_t)done;
	return (int64_t)done;
}

#define STORE_MAX 256 /* settings are words */

static int64_t text_write(struct file *file, struct transfer *t, int64_t *position)
{
	const struct pseudo *node = pseudo_of(file->inode)->node;
	char bytes[STORE_MAX];
	if (!node->store || t->left > sizeof bytes)
		return -EINVAL;
	size_t length = transfer_take(t, bytes, sizeof bytes);
	if (t->fault)
		return -EFAULT;
	int error = node->store(bytes, length);
	if (error)
		return error;
	*position += (int64_t)length;
	return (int64_t)length;
}

static int64_t text_seek(struct file *file, int64_t offset, int whence)
{
	if (whence == SEEK_CUR)
		offset += file->position;
	else if (whence != SEEK_SET)
		return -EINVAL;
	return offset < 0 ? -EINVAL : (file->position = offset);
}

static void text_close(struct file *file)
{
	text_free(file->text);
}

static int64_t directory_list(struct file *file, struct listing *l)
{
	struct pseudo_inode *directory = pseudo_of(file->inode), *first, *end = tree_end(directory, &first);
	struct inode *parent = directory_parent(file->inode);
	uint64_t parent_number = parent->number;
	inode_put(parent);
	if (!listing_dots(l, file, parent_number))
		return 0;
	if (directory->node->next) {
		for (;;) {
			char name[24];
			int64_t number = directory->node->next((uint64_t)file->position - 2);
			if (number < 0)
				return 0;
			int length = snprintf(name, sizeof name, "%lld", (long long)number);
			if (!listing_add(l, name, (size_t)length, directory->inode.number << 32 | (uint64_t)(number + 1),
					 directory->node->numbered->mode, number + 3))
				return 0;
			file->position = number + 3;
		}
	}
	uint64_t count = first ? (uint64_t)(end - first) : 0;
	for (; (uint64_t)file->position - 2 < count; file->position++) {
		const struct pseudo_inode *i = first + (file->position - 2);
		if (i->directory == directory &&
		    !listing_add(l, i->node->name, strlen(i->node->name), i->inode.number, i->inode.mode, file->position + 1))
			return 0;
	}
	return 0;
}

static const struct file_operations text_operations = {.read = text_read, .write = text_write, .seek = text_seek, .close = text_close};
static const struct file_operations directory_operations = {.seek = text_seek, .list = directory_list};

static int pseudo_open(struct inode *inode, struct file *file)
{
	const struct pseudo *node = pseudo_of(inode)->node;
	if (is_directory(inode))
		file->operations = &directory_operations;
	else if (node->operations)
		file->operations = node->operations;
	else if (node->generate)
		file->operations = &text_operations;
	else
		return -ENXIO;
	return 0;
}

#define COMMON .attributes = pseudo_attributes, .open = pseudo_open, .lookup = pseudo_lookup, .locate = pseudo_locate
static const struct inode_operations static_operations = {COMMON};
static const struct inode_operations numbered_operations = {COMMON, .free = pseudo_free};
static const struct inode_operations link_operations = {COMMON, .target = pseudo_target};
static const struct inode_operations numbered_link_operations = {COMMON, .target = pseudo_target, .free = pseudo_free};
static const struct inode_operations magic_operations = {COMMON, .target = pseudo_target, .follow = pseudo_follow};
static const struct inode_operations numbered_magic_operations = {
	COMMON, .target = pseudo_target, .follow = pseudo_follow, .free = pseudo_free,
};
