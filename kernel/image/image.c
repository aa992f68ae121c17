/* The image's read-only file system (decision 0001). It is checked whole before anything of it is used; after that its numbers can be trusted. */
#include <linux/stat.h>

#include "image/image.h"

#define NODE_LIMIT (1u << 20)

_Static_assert(sizeof(struct superblock) == 64, "decision 0001");
_Static_assert(sizeof(struct image_node) == 48, "decision 0001");

static const char *base;
static const struct superblock *superblock;
static const struct image_node *nodes;
static const char *names;

uint32_t image_crc32(const uint8_t *bytes, size_t length)
{
	static uint32_t table[256];
	if (table[1] == 0)
		for (uint32_t i = 0; i < 256; i++) {
			uint32_t c = i;
			for (unsigned k = 0; k < 8; k++)
				c = c & 1 ? 0xedb88320 ^ c >> 1 : c >> 1;
			table[i] = c;
		}
	uint32_t c = 0xffffffff;
	for (size_t i = 0; i < length; i++)
		c = table[(c ^ bytes[i]) & 0xff] ^ c >> 8;
	return ~c;
}

static int compare(const char *a, size_t a_length, const char *b, size_t b_length)
{
	int order = memcmp(a, b, MIN(a_length, b_length));
	return order != 0 ? order : a_length < b_length ? -1 : a_length > b_length;
}

static const char *check_name(const struct superblock *s, const struct image_node *all, const char *all_names, uint32_t number)
{
	const struct image_node *n = &all[number];

	if (n->name_offset > s->names_size || n->name_length > s->names_size - n->name_offset)
		return "a name lies outside the table of names";
	const char *name = all_names + n->name_offset;
	if ((number == 0) != (n->name_length == 0) || n->name_length > 255)
		return "a name has an impossible length";
	for (uint16_t i = 0; i < n->name_length; i++)
		if (name[i] == '/' || name[i] == 0)
			return "a name holds a slash or a NUL";
	if ((n->name_length == 1 && name[0] == '.') || (n->name_length == 2 && name[0] == '.' && name[1] == '.'))
		return "a name is . or ..";
	return NULL;
}

/* All names have been checked. */
static const char *check_node(const struct superblock *s, const struct image_node *all, const char *all_names, uint32_t number)
{
	const struct image_node *n = &all[number];

	if (number == 0 ? n->parent != 0 || !S_ISDIR(n->mode) : n->parent >= number || !S_ISDIR(all[n->parent].mode))
		return "a node has an impossible parent";

	if (S_ISDIR(n->mode)) {
		if (n->child_count == 0)
			return NULL;
		if (n->first_child <= number || n->first_child > s->node_count || n->child_count > s->node_count - n->first_child)
			return "a directory's children lie outside the nodes";
		for (uint32_t i = 0; i < n->child_count; i++) {
			const struct image_node *child = &all[n->first_child + i], *previous = child - 1;
			if (child->parent != number)
				return "a directory's child names another parent";
			if (i > 0 && compare(all_names + previous->name_offset, previous->name_length, all_names + child->name_offset,
					     child->name_length) >= 0)
				return "a directory's children are not sorted";
		}
		return NULL;
	}
	if (!S_ISREG(n->mode) && !S_ISLNK(n->mode))
		return "a node is no file, directory or symbolic link";
	if (n->data_offset < s->data_offset || n->data_offset > s->total_size || n->size > s->total_size - n->data_offset)
		return "a file's data lies outside the image";
	if ((n->flags & IMAGE_PAGE_ALIGNED) &&
	    (n->data_offset % PAGE_SIZE != 0 || ROUND_UP(n->size, PAGE_SIZE) > s->total_size - n->data_offset))
		return "a file that should lie on pages does not";
	if (S_ISLNK(n->mode) && (n->size == 0 || n->size >= 4096))
		return "a symbolic link has an impossible length";
	return NULL;
}

const char *image_check(const void *start, uint64_t available)
{
	const struct superblock *s = start;

	if (available < sizeof *s || memcmp(s->magic, SUPERBLOCK_MAGIC, 8) != 0)
		return "it has no file system";
	if (s->total_size > available || s->total_size % PAGE_SIZE != 0)
		return "its size is not what its header says: the file was cut short";
	if (s->node_count == 0 || s->node_count > NODE_LIMIT || s->nodes_offset != sizeof *s ||
	    s->data_offset % PAGE_SIZE != 0 || s->data_offset < sizeof *s || s->data_offset > s->total_size ||
	    s->node_count > (s->data_offset - sizeof *s) / sizeof(struct image_node) ||
	    s->names_offset < sizeof *s + (uint64_t)s->node_count * sizeof(struct image_node) || s->names_offset > s->data_offset ||
	    s->names_size > s->data_offset - s->names_offset)
		return "its header is damaged";
	if (image_crc32((const uint8_t *)start + sizeof *s, s->data_offset - sizeof *s) != s->metadata_crc)
		return "its table of files is damaged (checksum)";
	const struct image_node *all = (const void *)((const char *)start + s->nodes_offset);
	const char *all_names = (const char *)start + s->names_offset, *wrong = NULL;
	for (uint32_t i = 0; i < s->node_count && wrong == NULL; i++)
		wrong = check_name(s, all, all_names, i);
	for (uint32_t i = 0; i < s->node_count && wrong == NULL; i++)
		wrong = check_node(s, all, all_names, i);
	return wrong != NULL ? wrong : pieces_check(s, available);
}

void image_init(void)
{
	const char *wrong = image_check(direct(image_range.start), image_range.end - image_range.start);
	if (wrong != NULL)
		panic("this image cannot be booted: %s; build it again with 'sarab build'", wrong);
	base = direct(image_range.start);
	superblock = (const void *)base;
	nodes = (const void *)(base + superblock->nodes_offset);
	names = base + superblock->names_offset;
	pieces_init(superblock);
}

const struct image_node *image_node(uint32_t number)
{
	return &nodes[number];
}

uint32_t image_node_count(void)
{
	return superblock->node_count;
}

const char *image_name(const struct image_node *node)
{
	return names + node->name_offset;
}

const void *image_data(const struct image_node *node, uint64_t offset, uint64_t length)
{
	pieces_need(node->data_offset + offset, length);
	return base + node->data_offset + offset;
}

const void *image_peek(const struct image_node *node, uint64_t offset)
{
	const void *page = pieces_peek(node->data_offset + offset);
	return page != NULL ? page : image_data(node, offset, 1);
}

bool image_there(const struct image_node *node, uint64_t offset)
{
	return pieces_there(node->data_offset + offset);
}

int64_t image_child(const struct image_node *directory, const char *name, size_t length)
{
	uint32_t low = 0, high = directory->child_count;
	while (low < high) {
		uint32_t middle = (low + high) / 2;
		const struct image_node *child = &nodes[directory->first_child + middle];
		int order = compare(names + child->name_offset, child->name_length, name, length);
		if (order == 0)
			return directory->first_child + middle;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return -ENOENT;
}

int64_t image_lookup(const char *path)
{
	int64_t number = 0;
	while (*path != 0 && number >= 0) {
		while (*path == '/')
			path++;
		size_t length = 0;
		while (path[length] != 0 && path[length] != '/')
			length++;
		if (length == 0)
			break;
		if (!S_ISDIR(nodes[number].mode))
			return -ENOENT;
		number = image_child(&nodes[number], path, length);
		path += length;
	}
	return number;
}
