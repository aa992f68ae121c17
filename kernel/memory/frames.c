/* Physical frames: a buddy allocator. One byte a frame says what starts there; free blocks are linked through themselves.
 *
 * Memory that nobody has needed yet is not touched: it waits in a list of ranges, from which the allocator takes a block of the largest
 * size when it has nothing else. To the host a page that was never touched costs no memory and no time. */
#include "memory/memory.h"

#define ORDERS 11 /* blocks of 4 KiB .. 4 MiB */
#define FREE_BLOCK 0x80u
#define LARGEST_BLOCK (1ull << (ORDERS - 1)) /* frames */

static struct list free_blocks[ORDERS];
static uint8_t *state; /* FREE_BLOCK | order at the head of a free block, else 0 */
static uint64_t frame_limit, free_count, total_count;
static struct memory_range untouched[ARRAY_LENGTH(boot_information.range) + FRAMES_USED_RANGES_MAX]; /* in frames */
static size_t untouched_first, untouched_end;

uint64_t frames_metadata_size(void)
{
	return boot_information.range[boot_information.range_count - 1].end >> PAGE_SHIFT;
}

static void give(uint64_t frame, unsigned order)
{
	for (; order + 1 < ORDERS; order++) {
		uint64_t buddy = frame ^ 1ull << order;
		if (buddy >= frame_limit || state[buddy] != (FREE_BLOCK | order))
			break;
		list_remove(direct(buddy << PAGE_SHIFT));
		state[buddy] = 0;
		frame &= ~(1ull << order);
	}
	state[frame] = (uint8_t)(FREE_BLOCK | order);
	list_insert_before(free_blocks[order].next, direct(frame << PAGE_SHIFT)); /* the warmest first */
}

static void give_range(uint64_t start, uint64_t end)
{
	while (start < end) {
		unsigned order = 0;
		while (order + 1 < ORDERS && (start & (1ull << order)) == 0 && start + (2ull << order) <= end)
			order++;
		give(start, order);
		start += 1ull << order;
	}
}

static void keep_range(uint64_t start, uint64_t end)
{
	ASSERT(untouched_end < ARRAY_LENGTH(untouched));
	total_count += end - start;
	free_count += end - start;
	untouched[untouched_end++] = (struct memory_range){start, end};
}

/* Up to the next multiple of the largest block, from the lowest range. False: there is none left. */
static bool give_untouched(void)
{
	if (untouched_first == untouched_end)
		return false;
	struct memory_range *range = &untouched[untouched_first];
	uint64_t end = MIN(range->end, ROUND_DOWN(range->start, LARGEST_BLOCK) + LARGEST_BLOCK);
	give_range(range->start, end);
	range->start = end;
	if (range->start == range->end)
		untouched_first++;
	return true;
}

void frames_init(uint64_t metadata, const struct memory_range *used, size_t used_count)
{
	state = direct(metadata);
	frame_limit = frames_metadata_size();
	memset(state, 0, frame_limit);
	for (unsigned i = 0; i < ORDERS; i++)
		list_init(&free_blocks[i]);
	for (size_t i = 0; i < boot_information.range_count; i++) {
		uint64_t start = boot_information.range[i].start, end = boot_information.range[i].end;
		for (size_t k = 0; k < used_count && start < end; k++) {
			if (used[k].end <= start || used[k].start >= end)
				continue;
			if (used[k].start > start)
				keep_range(start >> PAGE_SHIFT, used[k].start >> PAGE_SHIFT);
			start = used[k].end;
		}
		if (start < end)
			keep_range(start >> PAGE_SHIFT, end >> PAGE_SHIFT);
	}
}

uint64_t frames_allocate_contiguous(unsigned order)
{
	unsigned found;
	do {
		found = order;
		while (found < ORDERS && list_empty(&free_blocks[found]))
			found++;
	} while (found >= ORDERS && give_untouched());
	if (found >= ORDERS)
		return 0;
	struct list *block = free_blocks[found].next;
	list_remove(block);
	uint64_t frame = ((uint64_t)block - DIRECT_BASE) >> PAGE_SHIFT;
	state[frame] = 0;
	while (found > order) {
		found--;
		uint64_t upper = frame + (1ull << found);
		state[upper] = (uint8_t)(FREE_BLOCK | found);
		list_insert_before(free_blocks[found].next, direct(upper << PAGE_SHIFT));
	}
	free_count -= 1ull << order;
	return frame << PAGE_SHIFT;
}

void frames_free_contiguous(uint64_t physical, unsigned order)
{
	uint64_t frame = physical >> PAGE_SHIFT;
	ASSERT(frame != 0 && frame < frame_limit && (state[frame] & FREE_BLOCK) == 0);
	free_count += 1ull << order;
	give(frame, order);
}

uint64_t frame_allocate(void)
{
	return frames_allocate_contiguous(0);
}

uint64_t frame_allocate_zeroed(void)
{
	uint64_t physical = frame_allocate();
	if (physical != 0)
		memset(direct(physical), 0, PAGE_SIZE);
	return physical;
}

void frame_free(uint64_t physical)
{
	frames_free_contiguous(physical, 0);
}

uint64_t frames_free_count(void)
{
	return free_count;
}

uint64_t frames_total_count(void)
{
	return total_count;
}
