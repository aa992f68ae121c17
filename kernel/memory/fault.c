/* What is behind a mapping: page-table entries made on demand, copied on write, protected, moved and taken away. */
#include <asm/signal.h>
#include <asm/siginfo.h>
#include <linux/mman.h>

#include "memory/memory.h"
#include "pvm/pvm.h"

#define LARGEST_THREAD_GUARD 0x100000
/* Under PVM a fault takes 6 us of the hypervisor's time, and a page more or less half of one: what is promised anyway is given by so many at once. */
#define AROUND_PAGES 16
#define AROUND_PAGES_MORE 64 /* where the page before is there already: allocators and relocations go on where they were */
#define AROUND_THERE 32 /* to both sides, of what is in memory anyway: a piece of a compressed image, and its neighbours */
#define FLUSH_ALL_FROM 32 /* pages: more invlpg than a reload of cr3 is worth */

uint64_t resident_pages, page_faults;
static uint64_t zero_frame; /* what untouched memory reads as */

static uint64_t entry_flags(const struct mapping *m, uint64_t kept)
{
	if (m->protection == PROT_NONE)
		return kept; /* not present, but the frame stays ours */
	uint64_t flags = PTE_PRESENT | PTE_USER | PTE_USED | kept;
	if ((m->protection & PROT_EXEC) == 0)
		flags |= PTE_NX;
	if ((m->protection & PROT_WRITE) != 0 && (kept & PTE_OWNED || m->shared))
		flags |= PTE_WRITE;
	if (m->object != NULL && m->object->uncached)
		flags |= PTE_UNCACHED | PTE_WRITE_THROUGH;
	return flags;
}

/* Calls visit for each entry of [start, end) that is not empty. Returns how many were present, for the flush. */
typedef bool (*visitor)(const struct mapping *m, uint64_t *entry, uint64_t address);
static void visit_entries(const struct mapping *m, uint64_t start, uint64_t end, visitor visit)
{
	uint64_t flushes = 0;
	uint64_t to_flush[FLUSH_ALL_FROM];
	for (uint64_t at = start; (at = user_table_next(at, end)) < end;) {
		uint64_t *entry = user_entry(at, false);
		uint64_t table_end = MIN(end, ROUND_DOWN(at, LARGE_PAGE_SIZE) + LARGE_PAGE_SIZE);
		for (; at < table_end; at += PAGE_SIZE, entry++) {
			if (*entry == 0 || !visit(m, entry, at))
				continue;
			if (flushes < FLUSH_ALL_FROM)
				to_flush[flushes] = at;
			flushes++;
		}
	}
	if (flushes > FLUSH_ALL_FROM)
		flush_all();
	else
		for (uint64_t i = 0; i < flushes; i++)
			flush_page(to_flush[i]);
}

static bool unmap_entry(const struct mapping *m, uint64_t *entry, uint64_t address)
{
	(void)address;
	uint64_t old = *entry;
	*entry = 0;
	if (old & PTE_OWNED) {
		commit_give_back(old & PTE_FRAME, m->charged);
		resident_pages--;
	}
	return old & PTE_PRESENT;
}

void entries_unmap(const struct mapping *m, uint64_t start, uint64_t end)
{
	visit_entries(m, start, end, unmap_entry);
}

static bool protect_entry(const struct mapping *m, uint64_t *entry, uint64_t address)
{
	(void)address;
	uint64_t old = *entry;
	*entry = (old & PTE_FRAME) | entry_flags(m, old & PTE_OWNED);
	if ((*entry & (PTE_PRESENT | PTE_OWNED)) == 0)
		*entry = 0; /* nothing of ours: found again by the next fault */
	return old & PTE_PRESENT;
}

void entries_protect(const struct mapping *m, uint64_t start, uint64_t end)
{
	visit_entries(m, start, end, protect_entry);
}

bool entries_move_prepare(uint64_t from, uint64_t to, uint64_t length)
{
	for (uint64_t at = from; (at = user_table_next(at, from + length)) < from + length;) {
		uint64_t table_end = MIN(from + length, ROUND_DOWN(at, LARGE_PAGE_SIZE) + LARGE_PAGE_SIZE);
		/* What one table holds may come to lie in two. */
		if (user_entry(to + (at - from), true) == NULL || user_entry(to + (table_end - PAGE_SIZE - from), true) == NULL)
			return false;
		at = table_end;
	}
	return true;
}

void entries_move(uint64_t from, uint64_t to, uint64_t length)
{
	for (uint64_t at = from; (at = user_table_next(at, from + length)) < from + length;) {
		uint64_t *old = user_entry(at, false);
		uint64_t table_end = MIN(from + length, ROUND_DOWN(at, LARGE_PAGE_SIZE) + LARGE_PAGE_SIZE);
		for (; at < table_end; at += PAGE_SIZE, old++) {
			if (*old == 0)
				continue;
			*user_entry(to + (at - from), false) = *old;
			*old = 0;
		}
	}
	flush_all();
}

/* A frame for a page that only this mapping sees: promised before, or taken from what is left. */
static uint64_t private_frame(const struct mapping *m, bool zeroed)
{
	uint64_t frame = m->charged ? commit_take(zeroed) : commit_take_uncharged();
	if (frame != 0)
		resident_pages++;
	return frame;
}

static const struct fault_result resolved = {0, 0, NULL};
static const struct fault_result out_of_memory = {SIGBUS, BUS_ADRERR, "out of memory: no frame is left for this page"};

static struct fault_result fault_anonymous(const struct mapping *m, uint64_t *entry, uint64_t page, bool write)
{
	if (!write) {
		if (zero_frame == 0)
			zero_frame = frame_allocate_zeroed();
		if (zero_frame == 0)
			return out_of_memory;
		*entry = zero_frame | PTE_PRESENT | PTE_USER | PTE_USED | PTE_NX;
		return resolved;
	}
	bool was_present = *entry & PTE_PRESENT; /* the zero frame */
	uint64_t frame = private_frame(m, true);
	if (frame == 0)
		return out_of_memory;
	*entry = frame | entry_flags(m, PTE_OWNED);
	if (was_present)
		flush_page(page);
	return resolved;
}

static bool is_there(const struct mapping *m, uint64_t address)
{
	uint64_t offset = m->offset + (address - m->start);
	return offset < m->object->size && (m->object->operations->there == NULL || m->object->operations->there(m->object, offset >> PAGE_SHIFT));
}

static bool map_neighbour(const struct mapping *m, uint64_t *entry, uint64_t page, bool there_or_not)
{
	int error = 0;
	if (*entry == 0 && (there_or_not || is_there(m, page))) {
		uint64_t source = m->object->operations->frame(m->object, (m->offset + (page - m->start)) >> PAGE_SHIFT, &error);
		*entry = source != 0 ? source | entry_flags(m, 0) : 0;
	}
	return *entry != 0;
}

/* The pages before and after one of an in-place object, as far as they have no other content to wait for; and more, where somebody reads on. */
static void map_around(const struct mapping *m, uint64_t *entry, uint64_t page)
{
	uint64_t table = ROUND_DOWN(page, LARGE_PAGE_SIZE), before = (page - MAX(m->start, table)) / PAGE_SIZE;
	uint64_t after = (MIN(m->end, table + LARGE_PAGE_SIZE) - page) / PAGE_SIZE - 1;
	bool goes_on = before > 0 && entry[-1] != 0;
	for (uint64_t i = 1; i <= MIN(before, AROUND_THERE) && map_neighbour(m, entry - i, page - i * PAGE_SIZE, false); i++)
		;
	for (uint64_t i = 1; i <= MIN(after, AROUND_THERE) && map_neighbour(m, entry + i, page + i * PAGE_SIZE, goes_on); i++)
		;
}

static struct fault_result fault_object(const struct mapping *m, uint64_t *entry, uint64_t page, bool write)
{
	const struct mappable_operations *operations = m->object->operations;
	uint64_t offset = m->offset + (page - m->start);
	bool own = write && !m->shared;
	uint64_t source = 0;
	const void *bytes = NULL;
	int error = 0;
	if (own && m->object->in_place && operations->peek != NULL && offset < m->object->size)
		bytes = operations->peek(m->object, offset >> PAGE_SHIFT);
	else if ((source = operations->frame(m->object, offset >> PAGE_SHIFT, &error)) != 0)
		bytes = direct(source);
	if (bytes == NULL) {
		if (error == -ENOMEM)
			return out_of_memory;
		return (struct fault_result){SIGBUS, BUS_ADRERR, "past the end of the mapped file"};
	}
	if (!own) {
		*entry = source | entry_flags(m, 0);
		if (m->object->in_place && operations->there != NULL)
			map_around(m, entry, page);
		return resolved;
	}
	bool was_present = *entry & PTE_PRESENT;
	uint64_t frame = private_frame(m, false);
	if (frame == 0)
		return out_of_memory;
	memcpy(direct(frame), bytes, PAGE_SIZE);
	*entry = frame | entry_flags(m, PTE_OWNED);
	if (was_present)
		flush_page(page);
	return resolved;
}

/* The pages of a mapping that is new. */
static void copy_all(const struct mapping *m)
{
	for (uint64_t at = m->start; at < m->end; at += PAGE_SIZE) {
		uint64_t *entry = user_entry(at, true);
		if (entry == NULL || fault_object(m, entry, at, true).signal != 0)
			return; /* the faults will tell */
	}
}

void entries_populate(const struct mapping *m)
{
	if (m->object == NULL || !m->object->in_place || m->protection == PROT_NONE)
		return;
	if (pvm && !m->shared && (m->protection & PROT_WRITE) != 0) {
		/* Mostly written to, which is cheaper where nothing has to be taken back. An extension module's data is: by ld.so, at once. */
		if (m->charged && m->end - m->start <= AROUND_PAGES * PAGE_SIZE)
			copy_all(m);
		return;
	}
	uint64_t size = ROUND_UP(m->offset == 0 && m->object->eager != 0 ? m->object->eager : m->object->size, PAGE_SIZE);
	uint64_t end = m->start + MIN(m->end - m->start, size - MIN(m->offset, size));
	uint64_t flags = entry_flags(m, 0);
	for (uint64_t at = m->start; at < end;) {
		uint64_t *entry = user_entry(at, true);
		if (entry == NULL)
			return; /* the faults will tell */
		uint64_t table_end = MIN(end, ROUND_DOWN(at, LARGE_PAGE_SIZE) + LARGE_PAGE_SIZE);
		for (; at < table_end; at += PAGE_SIZE, entry++) {
			int error = 0;
			if (!is_there(m, at))
				continue;
			uint64_t frame = m->object->operations->frame(m->object, (m->offset + (at - m->start)) >> PAGE_SHIFT, &error);
			if (frame == 0)
				return;
			*entry = frame | flags;
		}
	}
}

/* Where nothing is mapped or nothing may be touched: is it the guard of a stack? */
static bool is_guard(size_t index)
{
	if (index >= mapping_count())
		return false;
	const struct mapping *m = mapping_at(index);
	if (m->guard)
		return true;
	if (m->protection != PROT_NONE || m->object != NULL || m->end - m->start > LARGEST_THREAD_GUARD || index + 1 == mapping_count())
		return false;
	const struct mapping *above = mapping_at(index + 1);
	return above->start == m->end && above->object == NULL && (above->protection & PROT_WRITE) != 0;
}

/* The pages after one that was just written to, as far as they are this mapping's, in the same table, and nothing is there yet. */
static void resolve_around(const struct mapping *m, uint64_t *entry, uint64_t page)
{
	uint64_t end = MIN(m->end, ROUND_DOWN(page, LARGE_PAGE_SIZE) + LARGE_PAGE_SIZE);
	bool goes_on = page > m->start && page % LARGE_PAGE_SIZE != 0 && entry[-1] != 0;
	unsigned pages = goes_on ? AROUND_PAGES_MORE : AROUND_PAGES;
	for (unsigned i = 1; i < pages && page + i * PAGE_SIZE < end; i++) {
		uint64_t at = page + i * PAGE_SIZE;
		if (entry[i] != 0)
			continue;
		struct fault_result result = m->object == NULL ? fault_anonymous(m, entry + i, at, true) : fault_object(m, entry + i, at, true);
		if (result.signal != 0)
			return; /* that page's own fault will tell */
	}
}

struct fault_result fault_resolve(uint64_t address, bool write, bool execute)
{
	page_faults++;
	uint64_t page = ROUND_DOWN(address, PAGE_SIZE);
	struct mapping *m = mapping_find(address);
	if (m == NULL || address >= USER_END) {
		const char *what = address >= USER_END ? "an address of the kernel" : address < USER_START ? "a null pointer" : "nothing is mapped there";
		return (struct fault_result){SIGSEGV, SEGV_MAPERR, what};
	}
	if (is_guard(mapping_index(address)))
		return (struct fault_result){SIGSEGV, SEGV_ACCERR, "a stack ran over into its guard"};
	if (execute && (m->protection & PROT_EXEC) == 0)
		return (struct fault_result){SIGSEGV, SEGV_ACCERR, "execution of a page that is not code"};
	if (write && (m->protection & PROT_WRITE) == 0)
		return (struct fault_result){SIGSEGV, SEGV_ACCERR, "a write to a read-only page"};
	if (m->protection == PROT_NONE)
		return (struct fault_result){SIGSEGV, SEGV_ACCERR, "a page without access"};

	/* Who only reads in a sparse mapping gets tables of what nobody needs: not those that stacks and promised memory go on with. */
	uint64_t *entry = user_entry(page, write || m->charged || memory_available_pages() > 0);
	if (entry == NULL)
		return out_of_memory;
	if (*entry & PTE_OWNED || (m->shared && *entry & PTE_PRESENT)) {
		*entry = (*entry & PTE_FRAME) | entry_flags(m, *entry & PTE_OWNED);
		flush_page(page);
		return resolved;
	}
	if ((*entry & PTE_PRESENT) != 0 && !write) {
		flush_page(page); /* a stale translation */
		return resolved;
	}
	bool around = pvm && m->charged && !m->shared;
	if (around && (m->protection & PROT_WRITE) != 0)
		write = true; /* who reads untouched memory, or a library's data, mostly writes to it next */
	struct fault_result result = m->object == NULL ? fault_anonymous(m, entry, page, write) : fault_object(m, entry, page, write);
	if (around && write && result.signal == 0)
		resolve_around(m, entry, page);
	return result;
}

void memory_object_truncated(struct mappable *object, uint64_t first_page)
{
	for (size_t i = 0; i < mapping_count(); i++) {
		struct mapping *m = mapping_at(i);
		if (m->object != object)
			continue;
		uint64_t kept = (first_page << PAGE_SHIFT) > m->offset ? (first_page << PAGE_SHIFT) - m->offset : 0;
		if (kept < m->end - m->start)
			entries_unmap(m, m->start + kept, m->end);
	}
}
