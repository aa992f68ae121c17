/* Kernel objects. Small ones come from pages cut into equal slots, with a header at the page's start; so a small object's address is never
 * page-aligned, and a large one's (whole frames, its order noted in a table) always is. */
#include "memory/memory.h"

#define SMALLEST 32
#define CLASSES 6 /* 32 .. 1024 */
#define LARGEST_SMALL (SMALLEST << (CLASSES - 1))
#define LARGE_LIMIT (1ull << 20)
#define SLAB_MAGIC 0x62616c73u

struct slab {
	struct list node; /* in its class's list while it has a free slot */
	uint32_t magic;
	uint16_t class, used;
	void *free; /* singly linked through the slots */
};
_Static_assert(sizeof(struct slab) % 16 == 0, "slots are 16-byte aligned");

struct large { /* of live large objects: address and order, open addressing would be faster, a list is enough for the few there are */
	struct list node;
	uint64_t address;
	unsigned order;
};

static struct list slabs[CLASSES];
static struct list large_objects[64];

void objects_init(void)
{
	for (unsigned i = 0; i < CLASSES; i++)
		list_init(&slabs[i]);
	for (unsigned i = 0; i < ARRAY_LENGTH(large_objects); i++)
		list_init(&large_objects[i]);
}

static struct list *large_bucket(uint64_t address)
{
	return &large_objects[address >> PAGE_SHIFT & (ARRAY_LENGTH(large_objects) - 1)];
}

static void *allocate_large(size_t size)
{
	unsigned order = 0;
	while ((uint64_t)PAGE_SIZE << order < size)
		order++;
	if (!commit_kernel_may_take(1ull << order))
		return NULL;
	struct large *note = allocate(sizeof *note);
	uint64_t physical = note != NULL ? frames_allocate_contiguous(order) : 0;
	if (physical == 0) {
		release(note);
		return NULL;
	}
	note->address = (uint64_t)direct(physical);
	note->order = order;
	list_insert_before(large_bucket(note->address), &note->node);
	memset(direct(physical), 0, (size_t)PAGE_SIZE << order);
	return direct(physical);
}

static struct slab *new_slab(unsigned class)
{
	uint64_t physical = commit_kernel_may_take(1) ? frame_allocate() : 0;
	if (physical == 0)
		return NULL;
	struct slab *slab = direct(physical);
	size_t size = (size_t)SMALLEST << class;
	*slab = (struct slab){.magic = SLAB_MAGIC, .class = (uint16_t)class};
	for (size_t at = sizeof *slab; at + size <= PAGE_SIZE; at += size) {
		void **slot = (void **)(void *)((char *)slab + at);
		*slot = slab->free;
		slab->free = slot;
	}
	list_insert_before(&slabs[class], &slab->node);
	return slab;
}

void *allocate(size_t size)
{
	if (size > LARGE_LIMIT)
		return NULL;
	if (size > LARGEST_SMALL)
		return allocate_large(size);
	unsigned class = 0;
	while ((size_t)SMALLEST << class < size)
		class++;
	struct slab *slab = list_empty(&slabs[class]) ? new_slab(class) : CONTAINER_OF(slabs[class].next, struct slab, node);
	if (slab == NULL)
		return NULL;
	void **slot = slab->free;
	slab->free = *slot;
	slab->used++;
	if (slab->free == NULL)
		list_remove(&slab->node);
	memset(slot, 0, (size_t)SMALLEST << class);
	return slot;
}

static void release_large(void *object)
{
	LIST_FOR_EACH(node, large_bucket((uint64_t)object)) {
		struct large *note = CONTAINER_OF(node, struct large, node);
		if (note->address != (uint64_t)object)
			continue;
		list_remove(&note->node);
		frames_free_contiguous((uint64_t)object - DIRECT_BASE, note->order);
		release(note);
		return;
	}
	panic("release of %p, which was not allocated", object);
}

void release(void *object)
{
	if (object == NULL)
		return;
	if ((uint64_t)object % PAGE_SIZE == 0) {
		release_large(object);
		return;
	}
	struct slab *slab = (struct slab *)(void *)((char *)object - (uint64_t)object % PAGE_SIZE);
	if (slab->magic != SLAB_MAGIC || slab->used == 0)
		panic("release of %p, which was not allocated", object);
	if (slab->free == NULL)
		list_insert_before(&slabs[slab->class], &slab->node);
	memset(object, 0x5a, (size_t)SMALLEST << slab->class); /* so that a use after release shows */
	*(void **)object = slab->free;
	slab->free = object;
	if (--slab->used > 0)
		return;
	list_remove(&slab->node);
	slab->magic = 0;
	frame_free((uint64_t)slab - DIRECT_BASE);
}
