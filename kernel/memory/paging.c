/* Page tables: the kernel's own map, W^X on every page of it, and the lowest-level access to the application's half. */
#include "image/image.h"
#include "memory/memory.h"
#include "pvm/pvm.h"

extern char kernel_text_start[], kernel_text_end[], kernel_constants_start[], kernel_constants_end[], kernel_data_start[], kernel_end[];

#define PHYSICAL(symbol) ((uint64_t)(symbol) - KERNEL_BASE)
#define EARLY_LIMIT (1ull << 30) /* what boot's own tables map */
#define TABLE_FLAGS (PTE_PRESENT | PTE_WRITE | PTE_USER | PTE_USED)
#define STACK_SLOTS 8192

uint64_t kernel_pml4;
struct memory_range image_range;
static uint64_t early_next; /* 0: frames.c serves */
static uint64_t devices_next = DEVICES_BASE;
static uint64_t stack_slot_used[STACK_SLOTS / 64];

/* Under PVM the kernel, too, is user code to the processor; its half of the address space is missing from the tables that the
 * hypervisor loads for the application, which are the page after kernel_pml4. */
static uint64_t kernel_flags(uint64_t flags)
{
	return flags | PTE_USED | (pvm ? PTE_USER : 0);
}

/* The application's half of the highest table has changed. */
static void mirror(uint64_t virtual, uint64_t entry)
{
	if (pvm && virtual < USER_END)
		((uint64_t *)direct(kernel_pml4 + PAGE_SIZE))[virtual >> 39] = entry;
}

static uint64_t early_allocate(uint64_t size)
{
	uint64_t at = early_next;
	early_next += ROUND_UP(size, PAGE_SIZE);
	for (size_t i = 0; i < boot_information.range_count; i++) {
		const struct memory_range *r = &boot_information.range[i];
		if (at >= r->start && early_next <= MIN(r->end, EARLY_LIMIT)) {
			memset(direct(at), 0, early_next - at);
			return at;
		}
	}
	panic("the machine's memory is too small: the kernel and the image end at %lu MiB; give the machine more", at >> 20);
}

static uint64_t table_allocate(void)
{
	return early_next != 0 ? early_allocate(PAGE_SIZE) : frame_allocate_zeroed();
}

/* The entry for an address at a level (1: 4 KiB pages, 2: 2 MiB); tables on the way are made if create says so. */
static uint64_t *entry_at(uint64_t virtual, unsigned level, bool create)
{
	uint64_t *table = direct(kernel_pml4);
	for (unsigned l = 4;; l--) {
		uint64_t *entry = &table[virtual >> (PAGE_SHIFT + 9 * (l - 1)) & 511];
		if (l == level)
			return entry;
		if ((*entry & PTE_PRESENT) == 0) {
			bool may = create && (virtual >= USER_END || early_next != 0 || commit_table_may_take());
			uint64_t next = may ? table_allocate() : 0;
			if (next == 0)
				return NULL;
			*entry = next | TABLE_FLAGS;
			if (l == 4)
				mirror(virtual, *entry);
		}
		ASSERT((*entry & PTE_LARGE) == 0);
		table = direct(*entry & PTE_FRAME);
	}
}

static void map_range(uint64_t virtual, uint64_t physical, uint64_t end, uint64_t flags)
{
	while (physical < end) {
		bool large = physical % LARGE_PAGE_SIZE == 0 && virtual % LARGE_PAGE_SIZE == 0 && end - physical >= LARGE_PAGE_SIZE;
		uint64_t *entry = entry_at(virtual, large ? 2 : 1, true);
		ASSERT(entry != NULL && *entry == 0);
		*entry = physical | kernel_flags(flags) | (large ? PTE_LARGE : 0);
		uint64_t step = large ? LARGE_PAGE_SIZE : PAGE_SIZE;
		virtual += step;
		physical += step;
	}
}

void kernel_map_page(uint64_t virtual, uint64_t physical, uint64_t flags)
{
	uint64_t *entry = entry_at(virtual, 1, true);
	if (entry == NULL)
		panic("out of memory for the kernel's page tables");
	*entry = physical | kernel_flags(flags);
}

uint64_t kernel_unmap_page(uint64_t virtual)
{
	uint64_t *entry = entry_at(virtual, 1, false);
	ASSERT(entry != NULL && (*entry & PTE_PRESENT) != 0);
	uint64_t physical = *entry & PTE_FRAME;
	*entry = 0;
	flush_page(virtual);
	return physical;
}

static void *map_device(uint64_t physical, uint64_t length, uint64_t flags)
{
	uint64_t first = ROUND_DOWN(physical, PAGE_SIZE), end = ROUND_UP(physical + length, PAGE_SIZE);
	uint64_t virtual = devices_next;
	if (end - first > DEVICES_BASE + DEVICES_SIZE - devices_next)
		panic("the window for device registers is full");
	for (uint64_t at = first; at < end; at += PAGE_SIZE, devices_next += PAGE_SIZE)
		kernel_map_page(devices_next, at, flags | PTE_PRESENT | PTE_WRITE | PTE_WRITE_THROUGH | PTE_UNCACHED | PTE_NX);
	return (void *)(virtual + (physical - first));
}

void *device_map(uint64_t physical, uint64_t length)
{
	return map_device(physical, length, 0);
}

void *device_map_open(uint64_t physical, uint64_t length)
{
	return map_device(physical, length, PTE_OPEN);
}

bool device_is_kernels(uint64_t page)
{
	for (uint64_t at = DEVICES_BASE; at < devices_next; at += PAGE_SIZE)
		if ((*entry_at(at, 1, false) & (PTE_FRAME | PTE_OPEN)) == page)
			return true;
	return false;
}

/* ---- kernel stacks ------------------------------------------------------------------------------------------------------------- */

uint64_t kernel_stack_allocate(void)
{
	size_t slot = 0;
	while (slot < STACK_SLOTS && (stack_slot_used[slot / 64] >> slot % 64 & 1) != 0)
		slot = stack_slot_used[slot / 64] == UINT64_MAX ? ROUND_DOWN(slot, 64) + 64 : slot + 1;
	if (slot >= STACK_SLOTS || !commit_kernel_may_take(KERNEL_STACK_SIZE / PAGE_SIZE + 2))
		return 0;
	uint64_t top = STACKS_BASE + (slot + 1) * KERNEL_STACK_SLOT;
	for (uint64_t at = top - KERNEL_STACK_SIZE; at < top; at += PAGE_SIZE) {
		uint64_t frame = frame_allocate_zeroed();
		ASSERT(frame != 0);
		kernel_map_page(at, frame, PTE_PRESENT | PTE_WRITE | PTE_NX);
	}
	stack_slot_used[slot / 64] |= 1ull << slot % 64;
	return top;
}

void kernel_stack_free(uint64_t top)
{
	size_t slot = (top - STACKS_BASE) / KERNEL_STACK_SLOT - 1;
	for (uint64_t at = top - KERNEL_STACK_SIZE; at < top; at += PAGE_SIZE)
		frame_free(kernel_unmap_page(at));
	stack_slot_used[slot / 64] &= ~(1ull << slot % 64);
}

/* ---- the application's half ------------------------------------------------------------------------------------------------------ */

uint64_t *user_entry(uint64_t virtual, bool create)
{
	return entry_at(virtual, 1, create);
}

/* The first address in [at, end) whose entry of a level is there. Skips what has no tables: a mapping may be larger than all time. */
static uint64_t next_present(uint64_t at, uint64_t end, unsigned level)
{
	while (at < end) {
		const uint64_t *table = direct(kernel_pml4);
		unsigned l = 4;
		for (; (table[at >> (PAGE_SHIFT + 9 * (l - 1)) & 511] & PTE_PRESENT) != 0; l--) {
			if (l == level)
				return at;
			table = direct(table[at >> (PAGE_SHIFT + 9 * (l - 1)) & 511] & PTE_FRAME);
		}
		uint64_t span = 1ull << (PAGE_SHIFT + 9 * (l - 1));
		at = ROUND_DOWN(at, span) + span;
	}
	return end;
}

uint64_t user_table_next(uint64_t at, uint64_t end)
{
	return next_present(at, end, 2);
}

static bool table_empty(const uint64_t *table)
{
	for (unsigned i = 0; i < 512; i++)
		if (table[i] != 0)
			return false;
	return true;
}

void user_tables_free(uint64_t start, uint64_t end, uint64_t below, uint64_t above)
{
	bool freed = false;
	for (unsigned level = 2; level <= 4; level++) {
		uint64_t span = 1ull << (PAGE_SHIFT + 9 * (level - 1));
		for (uint64_t at = ROUND_DOWN(start, span); (at = next_present(at, end, level)) < end; at += span) {
			if (at < below || at + span > above)
				continue;
			uint64_t *entry = entry_at(at, level, false);
			if (!table_empty(direct(*entry & PTE_FRAME)))
				continue;
			frame_free(*entry & PTE_FRAME);
			*entry = 0;
			if (level == 4)
				mirror(at, 0);
			freed = true;
		}
	}
	if (freed)
		flush_all(); /* the CPU caches upper levels too */
}

void flush_page(uint64_t virtual)
{
	if (pvm) {
		pvm_call(PVM_FLUSH_PAGE, virtual, 0);
		return;
	}
	__asm__ volatile("invlpg (%0)" : : "r"(virtual) : "memory");
}

void flush_all(void)
{
	if (pvm) {
		pvm_call(PVM_LOAD_TABLES, kernel_pml4, 0);
		return;
	}
	__asm__ volatile("mov %0, %%cr3" : : "r"(kernel_pml4) : "memory");
}

/* ---- boot -------------------------------------------------------------------------------------------------------------------------- */

/* The end of the range of RAM, as far as boot's own tables map it, that holds an address; 0: none does. */
static uint64_t ram_end(uint64_t physical)
{
	for (size_t i = 0; i < boot_information.range_count; i++)
		if (physical >= boot_information.range[i].start && physical < boot_information.range[i].end)
			return MIN(boot_information.range[i].end, EARLY_LIMIT);
	return 0;
}

static _Noreturn void too_small(uint64_t bytes)
{
	panic("the machine's memory is too small: the image alone has %lu MiB; give the machine more", bytes >> 20);
}

/* Finds the image's file system (decision 0001) and its pieces behind the kernel. What is found is checked by image_init(). */
static struct memory_range find_image(uint64_t base)
{
	const struct superblock *header = direct(base);
	uint64_t end = ram_end(base), room = end - base;

	if (end == 0 || room < PAGE_SIZE)
		too_small(0);
	if (memcmp(header->magic, SUPERBLOCK_MAGIC, 8) != 0)
		return (struct memory_range){base, base};
	uint64_t size = header->total_size;
	if (size > room)
		too_small(size);
	if ((header->flags & SUPERBLOCK_PIECES) != 0 && room - size >= sizeof(struct pieces)) {
		const struct pieces *pieces = direct(base + size);
		if (pieces->total_size > room - size)
			too_small(size + pieces->total_size);
		size += pieces->total_size;
	}
	return (struct memory_range){base, base + ROUND_UP(size, PAGE_SIZE)};
}

void memory_init(void)
{
	uint64_t text = PHYSICAL(kernel_text_start), constants = PHYSICAL(kernel_constants_start), data = PHYSICAL(kernel_data_start);
	uint64_t end = PHYSICAL(kernel_end);
	const uint64_t read_only = PTE_PRESENT | PTE_NX, read_write = PTE_PRESENT | PTE_WRITE | PTE_NX;

	image_range = find_image(ROUND_UP(end, LARGE_PAGE_SIZE));
	early_next = image_range.end;
	uint64_t metadata = early_allocate(frames_metadata_size());
	early_next = ROUND_UP(early_next, 2 * PAGE_SIZE);
	kernel_pml4 = early_allocate(2 * PAGE_SIZE); /* the second is PVM's, and must be the next page */

	map_range(KERNEL_BASE + text, text, PHYSICAL(kernel_text_end), PTE_PRESENT);
	map_range(KERNEL_BASE + constants, constants, PHYSICAL(kernel_constants_end), read_only);
	map_range(KERNEL_BASE + data, data, end, read_write);
	map_range(DIRECT_BASE, 0, 0x100000, read_only); /* the firmware's tables */
	for (size_t i = 0; i < boot_information.range_count; i++) {
		/* Code, constants and image are read-only in the direct map too; the kernel's data is not in it at all. */
		uint64_t cuts[] = {boot_information.range[i].start, KERNEL_PHYSICAL, data, end, image_range.start, image_range.end,
				   boot_information.range[i].end};
		for (size_t k = 0; k + 1 < ARRAY_LENGTH(cuts); k++) {
			uint64_t from = MAX(cuts[k], boot_information.range[i].start), to = MIN(cuts[k + 1], boot_information.range[i].end);
			bool kernel_data = k == 2, constant = k == 1 || k == 4;
			if (from < to && !kernel_data)
				map_range(DIRECT_BASE + from, from, to, constant ? read_only : read_write);
		}
	}
	const struct superblock *image = direct(image_range.start);
	if (image_range.end > image_range.start && (image->flags & SUPERBLOCK_PIECES) != 0)
		map_range(IMAGE_BASE + image_range.start, image_range.start, image_range.start + image->total_size, read_write);
	/* What lies between the kernel and the image is free: padding. */
	struct memory_range used[] = {{KERNEL_PHYSICAL, end}, {image_range.start, early_next}};
	early_next = 0;
	flush_all();
	frames_init(metadata, used, ARRAY_LENGTH(used));
	objects_init();
}
