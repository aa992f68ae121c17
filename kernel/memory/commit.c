/* Strict commit accounting. What a mapping may write to is promised when it is made, so running out is ENOMEM (a MemoryError), not a kill.
 *
 *   promised   charged pages that have no frame yet
 *   a charge   succeeds while free frames >= promised + what the kernel keeps for page tables and objects + what stacks may still grow into
 *
 * Nothing can tell a thread that its stack cannot grow, so stacks go on growing for a while when all else is refused already.
 */
#include "memory/memory.h"

static uint64_t promised;

static uint64_t reserve(void)
{
	return 48 + frames_total_count() / 128;
}

static uint64_t for_stacks(void)
{
	return 64 + frames_total_count() / 256;
}

bool memory_charge(uint64_t pages)
{
	if (pages > frames_free_count() || frames_free_count() - pages < promised + reserve() + for_stacks())
		return false;
	promised += pages;
	return true;
}

void memory_uncharge(uint64_t pages)
{
	ASSERT(pages <= promised);
	promised -= pages;
}

/* Objects leave the tables of what was promised their part of the reserve: a sparse mapping must not take anybody's frames, nor must a program
 * that fills the kernel with names and sockets. */
bool commit_table_may_take(void)
{
	return frames_free_count() > promised + reserve() / 4;
}

bool commit_kernel_may_take(uint64_t pages)
{
	return frames_free_count() >= promised + reserve() / 2 + pages;
}

uint64_t commit_take(bool zeroed)
{
	uint64_t frame = zeroed ? frame_allocate_zeroed() : frame_allocate();
	if (frame != 0)
		promised--;
	return frame;
}

uint64_t commit_take_uncharged(void)
{
	return frames_free_count() > promised + reserve() ? frame_allocate_zeroed() : 0;
}

void commit_give_back(uint64_t frame, bool charged)
{
	frame_free(frame);
	if (charged)
		promised++;
}

uint64_t memory_available_pages(void)
{
	uint64_t kept = promised + reserve() + for_stacks();
	return frames_free_count() > kept ? frames_free_count() - kept : 0;
}
