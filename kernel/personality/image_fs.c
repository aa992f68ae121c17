/* The image's file system: read-only, where it lies in memory. Its format and its checks are image/'s.
 *
 * An inode is made when a node is first found, and kept: there are no more of them than nodes, and a program finds the same files
 * again and again. */
#include "image/elf.h"
#include "memory/memory.h"
#include "personality/files.h"

#define CHUNK 256 /* inodes a table of the second level */

struct image_inode {
	struct inode inode;
	struct mappable mappable;
	uint32_t mappings;
	uint64_t *copies; /* frames of a file that does not begin on a page, while it is mapped */
};

static struct image_inode **chunks[(1u << 20) / CHUNK];

static void space(struct statfs *s)
{
	for (uint32_t number = 0; number < image_node_count(); number++)
		s->f_blocks += (long)(ROUND_UP(image_node(number)->size, PAGE_SIZE) >> PAGE_SHIFT);
	s->f_files = image_node_count();
}

const struct file_system image_file_system = {
	.type = "sarabfs", .source = "image", .mount_options = "ro", .device = 1, .magic = 0x53415242, .read_only = true, .space = space,
};

static const struct inode_operations image_operations;
static const struct mappable_operations mapping_operations;

static uint32_t number_of(const struct inode *inode)
{
	return (uint32_t)inode->number - 1;
}

static const struct image_node *node_of(const struct inode *inode)
{
	return image_node(number_of(inode));
}

struct inode *image_inode(uint32_t number)
{
	ASSERT(number < image_node_count());
	if (number / CHUNK >= ARRAY_LENGTH(chunks))
		return NULL;
	struct image_inode ***chunk = &chunks[number / CHUNK];
	if (!*chunk && !(*chunk = allocate(CHUNK * sizeof **chunk)))
		return NULL;
	struct image_inode **place = &(*chunk)[number % CHUNK];
	if (!*place) {
		struct image_inode *made = allocate(sizeof *made);
		if (!made)
			return NULL;
		const struct image_node *node = image_node(number);
		made->inode = (struct inode){&image_operations, &image_file_system, (uint64_t)number + 1, 1, node->mode};
		made->mappable = (struct mappable){
			.operations = &mapping_operations,
			.size = node->size,
			.in_place = node->flags & IMAGE_PAGE_ALIGNED,
			.inode_number = (uint64_t)number + 1,
		};
		*place = made;
	}
	return inode_get(&(*place)->inode);
}

/* The image has no times (decision 0001). Programs that put files into archives cannot express what is before 1980, in any time zone. */
#define IMAGE_TIME 315619200 /* 1980-01-02 */

static void image_attributes(struct inode *inode, struct attributes *a)
{
	a->size = node_of(inode)->size;
	a->blocks = (a->size + 511) / 512;
	a->access = a->modification = a->change = (struct timestamp){IMAGE_TIME, 0};
	if (is_directory(inode))
		a->links = 2;
}

static int image_find(struct inode *directory, const struct name *name, struct inode **found)
{
	int64_t number = image_child(node_of(directory), name->bytes, name->length);
	if (number < 0)
		return (int)number;
	*found = image_inode((uint32_t)number);
	return *found ? 0 : -ENOMEM;
}

static int image_locate(struct inode *inode, struct inode **directory, char name[NAME_LENGTH_MAX + 1])
{
	const struct image_node *node = node_of(inode);
	struct inode *parent = image_inode(node->parent);
	if (!parent)
		return -ENOMEM;
	inode_put(parent); /* it stays anyway */
	*directory = parent;
	memcpy(name, image_name(node), node->name_length);
	name[node->name_length] = 0;
	return 0;
}

static int64_t image_target(struct inode *inode, char *to, size_t size)
{
	const struct image_node *node = node_of(inode);
	size_t length = MIN(node->size, size);
	memcpy(to, image_data(node, 0, length), length);
	return (int64_t)length;
}

/* ---- files -------------------------------------------------------------------------------------------------------------------------- */

static int64_t image_read(struct file *file, struct transfer *t, int64_t *position)
{
	const struct image_node *node = node_of(file->inode);
	if (*position < 0)
		return -EINVAL;
	if ((uint64_t)*position >= node->size)
		return 0;
	uint64_t length = MIN(t->left, node->size - (uint64_t)*position);
	size_t done = transfer_put(t, image_data(node, (uint64_t)*position, length), length);
	*position += (int64_t)done;
	return (int64_t)done;
}

static int image_map(struct file *file, int flags, struct mappable **mappable)
{
	(void)flags;
	*mappable = &CONTAINER_OF(file->inode, struct image_inode, inode)->mappable;
	return 0;
}

static int64_t image_list(struct file *file, struct listing *l)
{
	const struct image_node *node = node_of(file->inode);
	if (!listing_dots(l, file, (uint64_t)node->parent + 1))
		return 0;
	for (;; file->position++) {
		uint64_t index = (uint64_t)file->position - 2;
		if (index < node->child_count) {
			uint32_t number = node->first_child + (uint32_t)index;
			const struct image_node *child = image_node(number);
			if (!listing_add(l, image_name(child), child->name_length, (uint64_t)number + 1, child->mode, file->position + 1))
				return 0;
			continue;
		}
		/* Then what is mounted here without a directory of the image below it. */
		index -= node->child_count;
		if (index >= mount_count)
			return 0;
		const struct mount *m = &mounts[index];
		if (m->directory != file->inode || image_child(node, m->name, strlen(m->name)) >= 0)
			continue;
		if (!listing_add(l, m->name, strlen(m->name), m->root->number, m->root->mode, file->position + 1))
			return 0;
	}
}

static const struct file_operations image_file_operations = {.read = image_read, .seek = file_seek, .map = image_map};
static const struct file_operations image_directory_operations = {.seek = file_seek, .list = image_list};

static int image_open(struct inode *inode, struct file *file)
{
	if (is_link(inode))
		return -ELOOP;
	file->operations = is_directory(inode) ? &image_directory_operations : &image_file_operations;
	return 0;
}

static const struct inode_operations image_operations = {
	.attributes = image_attributes,
	.open = image_open,
	.lookup = image_find,
	.locate = image_locate,
	.target = image_target,
};

/* ---- mappings ----------------------------------------------------------------------------------------------------------------------- */

static struct image_inode *mapped_inode(struct mappable *m)
{
	return CONTAINER_OF(m, struct image_inode, mappable);
}

static void mapping_get(struct mappable *m)
{
	struct image_inode *i = mapped_inode(m);
	if (!m->name) { /* for /proc/self/maps: kept, as the inode is */
		const struct image_node *node = node_of(&i->inode);
		const Elf64_Ehdr *h = elf_of_image(node, NULL);
		m->eager = h ? elf_first_segment(h, node->size) : 0;
		char *text = path_scratch();
		int64_t length = path_of(&i->inode, text, PATH_LENGTH_MAX);
		char *name = length > 0 ? allocate((size_t)length + 1) : NULL;
		if (name)
			memcpy(name, text, (size_t)length + 1);
		m->name = name;
	}
	i->mappings++;
}

static void mapping_put(struct mappable *m)
{
	struct image_inode *i = mapped_inode(m);
	ASSERT(i->mappings > 0);
	if (--i->mappings || !i->copies)
		return;
	for (uint64_t page = 0; page < ROUND_UP(m->size, PAGE_SIZE) >> PAGE_SHIFT; page++)
		if (i->copies[page])
			page_give(i->copies[page]);
	release(i->copies);
	i->copies = NULL;
}

static uint64_t mapping_frame(struct mappable *m, uint64_t page, int *error)
{
	struct image_inode *i = mapped_inode(m);
	uint64_t pages = ROUND_UP(m->size, PAGE_SIZE) >> PAGE_SHIFT;
	if (page >= pages) {
		*error = -EFAULT;
		return 0;
	}
	uint64_t offset = page << PAGE_SHIFT, length = MIN(PAGE_SIZE, m->size - offset);
	const void *data = image_data(node_of(&i->inode), offset, length);
	if (m->in_place)
		return (uint64_t)(uintptr_t)data - DIRECT_BASE;
	*error = -ENOMEM;
	if (!i->copies && !(i->copies = allocate(pages * sizeof *i->copies)))
		return 0;
	if (!i->copies[page] && (i->copies[page] = page_take()))
		memcpy(direct(i->copies[page]), data, length);
	return i->copies[page];
}

static bool mapping_executable(struct mappable *m, uint64_t offset, uint64_t length)
{
	return image_executable(number_of(&mapped_inode(m)->inode), offset, length);
}

static bool mapping_there(struct mappable *m, uint64_t page)
{
	return image_there(node_of(&mapped_inode(m)->inode), page << PAGE_SHIFT);
}

static const void *mapping_peek(struct mappable *m, uint64_t page)
{
	return image_peek(node_of(&mapped_inode(m)->inode), page << PAGE_SHIFT);
}

static const struct mappable_operations mapping_operations = {
	.get = mapping_get, .put = mapping_put, .frame = mapping_frame, .executable = mapping_executable,
	.there = mapping_there, .peek = mapping_peek,
};

struct mappable *image_mappable(uint32_t node)
{
	struct inode *inode = image_inode(node);
	if (!inode)
		return NULL;
	inode_put(inode);
	if (!is_regular(inode))
		return NULL;
	struct mappable *m = &CONTAINER_OF(inode, struct image_inode, inode)->mappable;
	mapping_get(m);
	return m;
}
