/* The system calls of memory: mmap's work, munmap, mprotect, mremap, brk, madvise and their small relatives. */
#include <asm/signal.h>
#include <asm/siginfo.h>
#include <linux/mman.h>

#include "memory/memory.h"
#include "personality/syscalls.h"
#include "thread/thread.h"

#define PROTECTIONS (PROT_READ | PROT_WRITE | PROT_EXEC)
#define STACK_BEGINNING (8 * PAGE_SIZE) /* measured: a thread of Python that waits has touched 7 pages */
#define BESIDE_STACK (1024 * 1024 / PAGE_SIZE) /* pages: an arena of Python's. threading.Thread.start() waits for ever for a thread without memory */

static bool sealed;
static uint64_t heap_start, heap_end; /* of brk: any byte */

void memory_seal(void)
{
	sealed = true;
}

static bool range_valid(uint64_t address, uint64_t length)
{
	return address % PAGE_SIZE == 0 && length != 0 && length <= USER_END && address >= USER_START && address <= USER_END - length;
}

/* Decision 0003: what asks for a page that could be written and executed, or for new code, is taken for an attack. */
static int64_t refuse_executable(uint64_t address, const char *what)
{
	signal_fault(current_frame(), SIGSEGV, SEGV_ACCERR, address, what);
	return -EACCES;
}

static const char *executable_refusal(const struct mappable *object, uint64_t offset, uint64_t length, int protection, bool shared)
{
	if (protection & PROT_WRITE)
		return "a mapping that is writable and executable was asked for (W^X)";
	if (sealed)
		return "a new executable mapping was asked for after the address space was sealed";
	if (object == NULL || shared || object->operations->executable == NULL ||
	    !object->operations->executable((struct mappable *)(uintptr_t)object, offset, length))
		return "an executable mapping of something other than the image's code was asked for (W^X)";
	return NULL;
}

/* How much of [offset, offset + length) is the image's code, from its start on. In whole pages. */
static uint64_t executable_length(struct mappable *object, uint64_t offset, uint64_t length)
{
	uint64_t known = 0, limit = length >> PAGE_SHIFT;
	if (object == NULL || object->operations->executable == NULL)
		return 0;
	while (known < limit) {
		uint64_t middle = known + (limit - known + 1) / 2;
		if (object->operations->executable(object, offset, middle << PAGE_SHIFT))
			known = middle;
		else
			limit = middle - 1;
	}
	return known << PAGE_SHIFT;
}

/* Of [start, end), where nothing is mapped. */
static void free_tables(uint64_t start, uint64_t end)
{
	size_t next = mapping_index(start);
	uint64_t below = next > 0 ? mapping_at(next - 1)->end : 0;
	uint64_t above = next < mapping_count() ? mapping_at(next)->start : ROUND_UP(USER_END, LARGE_PAGE_SIZE);
	user_tables_free(start, end, below, above);
}

/* Forgets [start, end): entries, charges, references, table. mapping_isolate() was called for the range. */
static void remove_range(uint64_t start, uint64_t end)
{
	size_t first = mapping_index(start), last = first;
	for (; last < mapping_count() && mapping_at(last)->start < end; last++) {
		struct mapping *m = mapping_at(last);
		entries_unmap(m, m->start, m->end);
		if (m->charged)
			memory_uncharge((m->end - m->start) >> PAGE_SHIFT);
		if (m->object != NULL)
			m->object->operations->put(m->object);
	}
	mapping_remove(first, last - first);
	free_tables(start, end);
}

int memory_unmap(uint64_t address, uint64_t length)
{
	length = ROUND_UP(length, PAGE_SIZE);
	if (!range_valid(address, length))
		return -EINVAL;
	int error = mapping_isolate(address, address + length);
	if (error == 0)
		remove_range(address, address + length);
	return error;
}

int64_t memory_map(uint64_t address, uint64_t length, int protection, int flags, struct mappable *object, uint64_t offset)
{
	if (length == 0 || offset % PAGE_SIZE != 0 || (protection & ~PROTECTIONS) != 0)
		return -EINVAL;
	if (length > USER_END || offset + length < offset)
		return -ENOMEM;
	length = ROUND_UP(length, PAGE_SIZE);
	int type = flags & MAP_TYPE;
	if (type != MAP_PRIVATE && type != MAP_SHARED && type != MAP_SHARED_VALIDATE)
		return -EINVAL;
	bool shared = type != MAP_PRIVATE && object != NULL; /* with one address space, anonymous memory is shared with nobody */
	if (shared && (protection & PROT_WRITE) && !object->writable)
		return -EACCES;
	if (object != NULL && object->closures && (protection & PROT_WRITE) == 0)
		protection &= ~PROT_EXEC;
	if (protection & PROT_EXEC) {
		/* ld.so maps an object whole, as its first segment wants it, and the other segments over that. Where the first is code, only the
		 * code becomes executable. */
		uint64_t code = executable_length(object, offset, length);
		const char *refusal = executable_refusal(object, offset, code != 0 ? code : length, protection, shared);
		if (refusal != NULL)
			return refuse_executable(address, refusal);
		if (code < length) {
			int64_t at = memory_map(address, length, protection & ~PROT_EXEC, flags, object, offset);
			uint64_t argument[] = {(uint64_t)at, code, (uint64_t)protection};
			int64_t error = at < 0 ? at : sys_mprotect(argument);
			return error < 0 ? error : at;
		}
	}

	bool fixed = flags & (MAP_FIXED | MAP_FIXED_NOREPLACE);
	if (fixed) {
		if (address % PAGE_SIZE != 0)
			return -EINVAL;
		if (!range_valid(address, length))
			return address < USER_START ? -EPERM : -ENOMEM;
		size_t i = mapping_index(address);
		if ((flags & MAP_FIXED_NOREPLACE) && i < mapping_count() && mapping_at(i)->start < address + length)
			return -EEXIST;
	} else {
		address = mapping_gap(length, address);
		if (address == 0)
			return -ENOMEM;
	}

	struct mapping m = {
		.start = address,
		.end = address + length,
		.offset = object != NULL ? offset : 0,
		.object = object,
		.protection = (uint8_t)protection,
		.shared = shared,
		.kept = type != MAP_PRIVATE && object == NULL,
		.uncommitted = (flags & (MAP_STACK | MAP_GROWSDOWN)) != 0 || ((flags & MAP_NORESERVE) != 0 && (protection & PROT_WRITE) != 0),
	};
	m.charged = !shared && (protection & PROT_WRITE) != 0 && !m.uncommitted;
	uint64_t pages = length >> PAGE_SHIFT;
	if (m.charged && !memory_charge(pages))
		return -ENOMEM;
	int error = mapping_isolate(address, address + length);
	if (error == 0 && fixed)
		remove_range(address, address + length);
	if (error == 0) {
		if (object != NULL)
			object->operations->get(object);
		error = mapping_insert(&m);
		if (error != 0 && object != NULL)
			object->operations->put(object);
	}
	if (error != 0) {
		if (m.charged)
			memory_uncharge(pages);
		return error;
	}
	entries_populate(&m);
	return (int64_t)address;
}

int64_t sys_munmap(const uint64_t *argument)
{
	return memory_unmap(argument[0], argument[1]);
}

/* ---- mprotect ------------------------------------------------------------------------------------------------------------------------ */

static bool any_owned(uint64_t start, uint64_t end)
{
	for (uint64_t at = start; at < end; at += PAGE_SIZE) {
		const uint64_t *entry = user_entry(at, false);
		if (entry != NULL && (*entry & PTE_OWNED) != 0)
			return true;
	}
	return false;
}

/* The C library maps a thread's stack without access and then opens it. What every thread touches is taken here, so that there is no thread
 * (an error of its maker) rather than one that dies at its first step; and none where it could not allocate anything. */
static int64_t begin_stack(uint64_t start, uint64_t end)
{
	if (memory_available_pages() < BESIDE_STACK)
		return -ENOMEM;
	uint64_t from = end - MIN(end - start, (uint64_t)STACK_BEGINNING);
	for (uint64_t at = end - PAGE_SIZE; at >= from; at -= PAGE_SIZE)
		if (fault_resolve(at, true, false).signal != 0)
			return -ENOMEM;
	return 0;
}

int64_t sys_mprotect(const uint64_t *argument)
{
	uint64_t start = argument[0], length = ROUND_UP(argument[1], PAGE_SIZE), end = start + length;
	int protection = (int)argument[2] & ~(PROT_GROWSDOWN | PROT_GROWSUP);

	if (start % PAGE_SIZE != 0 || (protection & ~PROTECTIONS) != 0)
		return -EINVAL;
	if (length == 0)
		return 0;
	if (!range_valid(start, length))
		return -ENOMEM;

	uint64_t to_charge = 0, covered = start;
	for (size_t i = mapping_index(start); i < mapping_count() && mapping_at(i)->start < end; i++) {
		const struct mapping *m = mapping_at(i);
		uint64_t from = MAX(m->start, start), to = MIN(m->end, end);
		if (from != covered)
			return -ENOMEM;
		covered = to;
		if (m->guard || (m->shared && (protection & PROT_WRITE) != 0 && !m->object->writable))
			return -EACCES;
		if ((protection & PROT_EXEC) != 0) {
			const char *refusal = executable_refusal(m->object, m->offset + (from - m->start), to - from, protection, m->shared);
			if (refusal != NULL && sealed && (m->protection & PROT_EXEC) != 0 && (protection & PROT_WRITE) == 0)
				refusal = NULL; /* it was executable already */
			if (refusal == NULL && any_owned(from, to))
				refusal = "pages that were written were to become executable (W^X)";
			if (refusal != NULL)
				return refuse_executable(from, refusal);
		}
		if ((protection & PROT_WRITE) != 0 && !m->shared && !m->charged && !m->uncommitted)
			to_charge += (to - from) >> PAGE_SHIFT;
	}
	if (covered != end)
		return -ENOMEM;
	if (to_charge != 0 && !memory_charge(to_charge))
		return -ENOMEM;
	int error = mapping_isolate(start, end);
	if (error != 0) {
		memory_uncharge(to_charge);
		return error;
	}
	const struct mapping *last = mapping_at(mapping_index(end - 1));
	bool new_stack = (protection & PROT_WRITE) != 0 && last->uncommitted && last->object == NULL && last->protection == PROT_NONE;
	for (size_t i = mapping_index(start); i < mapping_count() && mapping_at(i)->start < end; i++) {
		struct mapping *m = mapping_at(i);
		if ((protection & PROT_WRITE) != 0 && !m->shared && !m->uncommitted)
			m->charged = true;
		m->protection = (uint8_t)protection;
		entries_protect(m, m->start, m->end);
	}
	mapping_join(start, end);
	return new_stack ? begin_stack(start, end) : 0;
}

/* ---- mremap -------------------------------------------------------------------------------------------------------------------------- */

static int64_t move_mapping(uint64_t old, uint64_t old_length, uint64_t new, uint64_t new_length)
{
	struct mapping m = *mapping_find(old);
	uint64_t grown = new_length - old_length;
	if (mapping_reserve(3) != 0) /* the new one, and two cuts where they are joined */
		return -ENOMEM;
	if (m.charged && grown > 0 && !memory_charge(grown >> PAGE_SHIFT))
		return -ENOMEM;
	if (!entries_move_prepare(old, new, old_length)) {
		free_tables(new, new + new_length);
		if (m.charged)
			memory_uncharge(grown >> PAGE_SHIFT);
		return -ENOMEM;
	}
	m.start = new;
	m.end = new + new_length;
	if (m.object != NULL)
		m.object->operations->get(m.object);
	int error = mapping_insert(&m);
	ASSERT(error == 0);
	entries_move(old, new, old_length);
	error = mapping_isolate(old, old + old_length); /* the two may have been joined */
	ASSERT(error == 0);
	mapping_find(old)->charged = false; /* the charge went along with the frames */
	remove_range(old, old + old_length);
	mapping_join(new, new + new_length);
	return (int64_t)new;
}

int64_t sys_mremap(const uint64_t *argument)
{
	uint64_t old = argument[0], old_length = ROUND_UP(argument[1], PAGE_SIZE), new_length = ROUND_UP(argument[2], PAGE_SIZE);
	uint64_t flags = argument[3], new = argument[4];

	if ((flags & ~(uint64_t)(MREMAP_MAYMOVE | MREMAP_FIXED)) != 0 || old % PAGE_SIZE != 0 || new_length == 0 || old_length == 0)
		return -EINVAL;
	if ((flags & MREMAP_FIXED) != 0 &&
	    ((flags & MREMAP_MAYMOVE) == 0 || !range_valid(new, new_length) || (new < old + old_length && old < new + new_length)))
		return -EINVAL;
	if (!range_valid(old, old_length) || new_length > USER_END)
		return -EFAULT;
	const struct mapping *m = mapping_find(old);
	if (m == NULL || m->end < old + old_length || m->guard)
		return -EFAULT;
	if ((m->protection & PROT_EXEC) != 0 && new_length > old_length) { /* what comes with it would be executable, too */
		const char *refusal = executable_refusal(m->object, m->offset + (old - m->start), new_length, m->protection, m->shared);
		if (refusal != NULL)
			return refuse_executable(old, refusal);
	}

	if (new_length < old_length) {
		int error = memory_unmap(old + new_length, old_length - new_length);
		if (error != 0)
			return error;
		old_length = new_length;
	}
	if ((flags & MREMAP_FIXED) == 0) {
		if (new_length == old_length)
			return (int64_t)old;
		size_t next = mapping_index(old + old_length);
		m = mapping_find(old);
		bool room = m->end == old + old_length && old <= USER_END - new_length &&
			    (next == mapping_count() || mapping_at(next)->start >= old + new_length);
		if (room) {
			uint64_t grown = new_length - old_length;
			if (m->charged && !memory_charge(grown >> PAGE_SHIFT))
				return -ENOMEM;
			mapping_find(old)->end = old + new_length;
			mapping_join(old, old + new_length);
			return (int64_t)old;
		}
		if ((flags & MREMAP_MAYMOVE) == 0)
			return -ENOMEM;
		new = mapping_gap(new_length, 0);
		if (new == 0)
			return -ENOMEM;
	}
	int error = mapping_isolate(old, old + old_length);
	if (error == 0 && (flags & MREMAP_FIXED) != 0)
		error = memory_unmap(new, new_length);
	return error != 0 ? error : move_mapping(old, old_length, new, new_length);
}

/* ---- brk ------------------------------------------------------------------------------------------------------------------------------ */

void heap_init(uint64_t start)
{
	heap_start = heap_end = start;
}

int64_t sys_brk(const uint64_t *argument)
{
	uint64_t wanted = argument[0];
	if (wanted < heap_start || wanted > USER_END)
		return (int64_t)heap_end;
	uint64_t old = ROUND_UP(heap_end, PAGE_SIZE), new = ROUND_UP(wanted, PAGE_SIZE);
	if (new < old && memory_unmap(new, old - new) != 0)
		return (int64_t)heap_end;
	if (new > old) {
		size_t next = mapping_index(old);
		uint64_t pages = (new - old) >> PAGE_SHIFT;
		if ((next < mapping_count() && mapping_at(next)->start < new + PAGE_SIZE) || !memory_charge(pages))
			return (int64_t)heap_end;
		struct mapping m = {.start = old, .end = new, .name = "[heap]", .protection = PROT_READ | PROT_WRITE, .charged = true};
		if (mapping_insert(&m) != 0) {
			memory_uncharge(pages);
			return (int64_t)heap_end;
		}
	}
	heap_end = wanted;
	return (int64_t)heap_end;
}

/* ---- advice and the rest ------------------------------------------------------------------------------------------------------------- */

static bool range_mapped(uint64_t start, uint64_t end)
{
	for (size_t i = mapping_index(start); start < end; i++) {
		if (i == mapping_count() || mapping_at(i)->start > start)
			return false;
		start = mapping_at(i)->end;
	}
	return true;
}

int64_t sys_madvise(const uint64_t *argument)
{
	uint64_t start = argument[0], length = ROUND_UP(argument[1], PAGE_SIZE);
	int advice = (int)argument[2];

	if (start % PAGE_SIZE != 0 || length < argument[1] || start + length < start)
		return -EINVAL;
	bool drop = advice == MADV_DONTNEED || advice == MADV_FREE;
	bool known = drop || (advice >= MADV_NORMAL && advice <= MADV_WILLNEED) || (advice >= MADV_MERGEABLE && advice <= MADV_KEEPONFORK) ||
		     advice == MADV_DONTFORK || advice == MADV_DOFORK || advice == MADV_COLD || advice == MADV_PAGEOUT;
	if (!known)
		return -EINVAL;
	for (size_t i = mapping_index(start); drop && i < mapping_count() && mapping_at(i)->start < start + length; i++) {
		const struct mapping *m = mapping_at(i);
		if (!m->shared && !m->kept)
			entries_unmap(m, MAX(m->start, start), MIN(m->end, start + length));
	}
	return range_mapped(start, start + length) ? 0 : -ENOMEM;
}

int64_t sys_msync(const uint64_t *argument)
{
	uint64_t start = argument[0], length = ROUND_UP(argument[1], PAGE_SIZE);
	if (start % PAGE_SIZE != 0 || (argument[2] & ~(uint64_t)(MS_ASYNC | MS_INVALIDATE | MS_SYNC)) != 0 ||
	    (argument[2] & (MS_ASYNC | MS_SYNC)) == (MS_ASYNC | MS_SYNC))
		return -EINVAL;
	return range_mapped(start, start + length) ? 0 : -ENOMEM;
}

int64_t sys_mincore(const uint64_t *argument)
{
	uint64_t start = argument[0], length = ROUND_UP(argument[1], PAGE_SIZE), vector = argument[2];
	if (start % PAGE_SIZE != 0)
		return -EINVAL;
	if (length > USER_END || start + length > USER_END || !range_mapped(start, start + length))
		return -ENOMEM;
	for (uint64_t at = start, end = start + length; at < end;) { /* a table's pages at once */
		uint8_t resident[LARGE_PAGE_SIZE / PAGE_SIZE] = {0};
		const uint64_t *entry = user_entry(at, false);
		uint64_t count = (MIN(end, ROUND_DOWN(at, LARGE_PAGE_SIZE) + LARGE_PAGE_SIZE) - at) >> PAGE_SHIFT;
		for (uint64_t i = 0; entry != NULL && i < count; i++)
			resident[i] = (entry[i] & PTE_PRESENT) != 0;
		if (copy_to_user(vector, resident, count) != 0)
			return -EFAULT;
		at += count << PAGE_SHIFT;
		vector += count;
	}
	return 0;
}

/* Nothing is ever paged out. */
static int64_t lock_range(const uint64_t *argument)
{
	uint64_t start = ROUND_DOWN(argument[0], PAGE_SIZE), end = ROUND_UP(argument[0] + argument[1], PAGE_SIZE);
	return end < start ? -EINVAL : range_mapped(start, end) ? 0 : -ENOMEM;
}

int64_t sys_mlock(const uint64_t *argument) { return lock_range(argument); }
int64_t sys_munlock(const uint64_t *argument) { return lock_range(argument); }
int64_t sys_mlockall(const uint64_t *argument) { return argument[0] == 0 || argument[0] > 7 ? -EINVAL : 0; }

int64_t sys_munlockall(const uint64_t *argument)
{
	(void)argument;
	return 0;
}
