/* The table of the application's mappings: an array sorted by address. Lookups are by bisection; insertions move the tail, which for the
 * some hundred mappings of a large program is less work than a tree. */
#include "memory/memory.h"

#define MAPPING_LIMIT 16384 /* of 48 bytes: the largest object that the kernel allocates is 1 MiB */
#define FIRST_CAPACITY 128

static struct mapping *table;
static size_t count, capacity;
uint64_t mapping_top = USER_END;

size_t mapping_count(void)
{
	return count;
}

struct mapping *mapping_at(size_t index)
{
	return &table[index];
}

size_t mapping_index(uint64_t address)
{
	size_t low = 0, high = count;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (table[middle].end <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct mapping *mapping_find(uint64_t address)
{
	size_t i = mapping_index(address);
	return i < count && table[i].start <= address ? &table[i] : NULL;
}

static bool range_free(uint64_t start, uint64_t end)
{
	size_t i = mapping_index(start);
	return i == count || table[i].start >= end;
}

static uint64_t gap_below(uint64_t ceiling, uint64_t length)
{
	size_t i = mapping_index(ceiling - 1);
	if (i < count && table[i].start < ceiling)
		ceiling = table[i].start;
	for (; i > 0; ceiling = table[--i].start)
		if (ceiling - table[i - 1].end >= length)
			return ceiling - length;
	return ceiling >= USER_START + length ? ceiling - length : 0;
}

uint64_t mapping_gap(uint64_t length, uint64_t hint)
{
	if (length > USER_END - USER_START)
		return 0;
	hint = ROUND_DOWN(hint, PAGE_SIZE);
	if (hint >= USER_START && hint <= USER_END - length && range_free(hint, hint + length))
		return hint;
	/* Downwards from the random top; above it only when all below is taken. */
	uint64_t address = gap_below(mapping_top, length);
	return address != 0 ? address : gap_below(USER_END, length);
}

bool mapping_continues(const struct mapping *a, const struct mapping *b)
{
	return a->end == b->start && a->object == b->object && a->name == b->name && a->protection == b->protection && a->shared == b->shared &&
	       a->charged == b->charged && a->uncommitted == b->uncommitted && a->kept == b->kept && !a->guard && !b->guard &&
	       (a->object == NULL || a->offset + (a->end - a->start) == b->offset);
}

int mapping_reserve(size_t extra)
{
	if (count + extra <= capacity)
		return 0;
	size_t larger = MAX(capacity * 2, (size_t)FIRST_CAPACITY);
	if (count + extra > MAPPING_LIMIT)
		return -ENOMEM;
	struct mapping *moved = allocate(larger * sizeof *moved);
	if (moved == NULL)
		return -ENOMEM;
	if (count > 0)
		memcpy(moved, table, count * sizeof *moved);
	release(table);
	table = moved;
	capacity = larger;
	return 0;
}

static void open_slot(size_t index)
{
	memmove(&table[index + 1], &table[index], (count - index) * sizeof table[0]);
	count++;
}

void mapping_remove(size_t first, size_t number)
{
	memmove(&table[first], &table[first + number], (count - first - number) * sizeof table[0]);
	count -= number;
}

/* Joins table[index] with its successor if one continues the other; one reference to their object is one too many then. */
static bool join_next(size_t index)
{
	if (index + 1 >= count || !mapping_continues(&table[index], &table[index + 1]))
		return false;
	struct mappable *object = table[index].object;
	table[index].end = table[index + 1].end;
	mapping_remove(index + 1, 1);
	if (object != NULL)
		object->operations->put(object);
	return true;
}

void mapping_join(uint64_t start, uint64_t end)
{
	size_t i = mapping_index(start);
	if (i > 0)
		i--;
	while (i + 1 < count && table[i].start <= end)
		if (!join_next(i))
			i++;
}

int mapping_insert(const struct mapping *m)
{
	int error = mapping_reserve(1);
	if (error != 0)
		return error;
	size_t i = mapping_index(m->start);
	open_slot(i);
	table[i] = *m;
	join_next(i);
	if (i > 0)
		join_next(i - 1);
	return 0;
}

static void cut(uint64_t at)
{
	struct mapping *m = mapping_find(at);
	if (m == NULL || m->start == at)
		return;
	size_t i = (size_t)(m - table);
	open_slot(i + 1);
	table[i + 1] = table[i];
	table[i + 1].start = at;
	table[i + 1].offset += at - table[i].start;
	table[i].end = at;
	if (table[i].object != NULL)
		table[i].object->operations->get(table[i].object);
}

static bool crosses(uint64_t at)
{
	const struct mapping *m = mapping_find(at);
	return m != NULL && m->start != at;
}

int mapping_isolate(uint64_t start, uint64_t end)
{
	int error = mapping_reserve((size_t)crosses(start) + crosses(end)); /* what needs no cut can be taken away from a full table, too */
	if (error != 0)
		return error;
	cut(start);
	cut(end);
	return 0;
}
