/* futex(2): waiting until a word of the application's memory changes.
 *
 * There is one address space, so a word is known by its address; a word seen through two mappings of one file is two words here.
 * Priority inheritance (FUTEX_LOCK_PI and its family) is ENOSYS: with one scheduling class there is nothing to inherit.
 */
#include <linux/futex.h>

#include "kernel.h"
#include "personality/syscalls.h"
#include "thread/thread.h"

#define BUCKETS 256 /* a power of two */
/* A list that a broken or hostile program made into a ring ends here, as in Linux. */
#define ROBUST_LIST_LIMIT 2048

struct futex_waiter {
	struct list node;
	uint64_t address;
	uint32_t bitset;
	struct thread *thread;
	bool woken;
};

static struct list buckets[BUCKETS];

static struct list *bucket(uint64_t address)
{
	struct list *b = &buckets[(address >> 2) * 0x9e3779b97f4a7c15 >> 56];
	if (b->next == NULL)
		list_init(b);
	return b;
}

static int word_check(uint64_t address)
{
	if (address % 4 != 0)
		return -EINVAL;
	return address >= USER_END ? -EFAULT : 0;
}

static int word_read(uint64_t address, uint32_t *value)
{
	int error = word_check(address);
	return error != 0 ? error : GET_USER(*value, address);
}

static void waiter_wake(struct futex_waiter *w)
{
	list_remove(&w->node);
	w->woken = true;
	thread_wake(w->thread);
}

static unsigned wake_matching(uint64_t address, unsigned count, uint32_t bitset)
{
	unsigned woken = 0;
	LIST_FOR_EACH_SAFE(node, bucket(address)) {
		struct futex_waiter *w = CONTAINER_OF(node, struct futex_waiter, node);
		if (woken == count)
			break;
		if (w->address == address && (w->bitset & bitset) != 0) {
			waiter_wake(w);
			woken++;
		}
	}
	return woken;
}

void futex_wake_address(uint64_t address, unsigned count)
{
	wake_matching(address, count, FUTEX_BITSET_MATCH_ANY);
}

/* The end of a wait: on the monotonic clock, or on the realtime clock, which can be set meanwhile. */
struct futex_end {
	bool none, realtime;
	int64_t time;
};

static int64_t end_deadline(const struct futex_end *end)
{
	if (end->none)
		return FOREVER;
	return end->realtime ? deadline_of_realtime(end->time) : end->time;
}

static int64_t wait_until(uint64_t address, uint32_t expected, uint32_t bitset, const struct futex_end *end);

static int64_t wait_restart(struct thread *t)
{
	struct futex_end end = {.time = t->restart.deadline};
	return wait_until(t->restart.argument[0], (uint32_t)t->restart.argument[1], (uint32_t)t->restart.argument[2], &end);
}

static int64_t wait_until(uint64_t address, uint32_t expected, uint32_t bitset, const struct futex_end *end)
{
	uint32_t value;
	if (bitset == 0)
		return -EINVAL;
	int error = word_read(address, &value);
	if (error != 0)
		return error;
	if (value != expected)
		return -EAGAIN;

	struct futex_waiter w = {.address = address, .bitset = bitset, .thread = current};
	list_insert_before(bucket(address), &w.node);
	int result = 0;
	while (!w.woken && result == 0) {
		struct waiter clock = {.thread = NULL};
		if (end->realtime)
			wait_queue_add(&clock_was_set, &clock);
		result = thread_block(end_deadline(end));
		wait_queue_remove(&clock);
	}
	if (w.woken)
		return 0;
	list_remove(&w.node);
	if (result != -EINTR)
		return result;
	if (end->none)
		return -ERESTARTSYS;
	if (end->realtime) /* the time is absolute: simply again */
		return -ERESTARTNOHAND;
	current->restart.call = wait_restart;
	current->restart.argument[0] = address;
	current->restart.argument[1] = expected;
	current->restart.argument[2] = bitset;
	current->restart.deadline = end->time;
	return -ERESTART_RESTARTBLOCK;
}

/* Wakes some of address's waiters and moves others to the second word, to be woken there. */
static int64_t requeue(uint64_t address, unsigned wake_count, uint64_t second, unsigned move_count, const uint32_t *expected)
{
	uint32_t value;
	int error = word_check(address);
	if (error == 0)
		error = word_check(second);
	if (error == 0 && expected != NULL)
		error = word_read(address, &value);
	if (error != 0)
		return error;
	if (expected != NULL && value != *expected)
		return -EAGAIN;
	if (second == address)
		return wake_matching(address, wake_count, FUTEX_BITSET_MATCH_ANY);

	unsigned done = 0, moved = 0;
	LIST_FOR_EACH_SAFE(node, bucket(address)) {
		struct futex_waiter *w = CONTAINER_OF(node, struct futex_waiter, node);
		if (w->address != address)
			continue;
		if (done < wake_count) {
			waiter_wake(w);
			done++;
		} else if (moved < move_count) {
			list_remove(&w->node);
			w->address = second;
			list_insert_before(bucket(second), &w->node);
			moved++;
		} else {
			break;
		}
	}
	return expected != NULL ? done + moved : done;
}

static bool compare(uint32_t operation, int32_t old, int32_t argument)
{
	switch (operation) {
	case FUTEX_OP_CMP_EQ: return old == argument;
	case FUTEX_OP_CMP_NE: return old != argument;
	case FUTEX_OP_CMP_LT: return old < argument;
	case FUTEX_OP_CMP_LE: return old <= argument;
	case FUTEX_OP_CMP_GT: return old > argument;
	default: return old >= argument;
	}
}

/* FUTEX_WAKE_OP: an operation on the second word; its waiters are woken too if its old value compares. */
static int64_t wake_operation(uint64_t address, unsigned count, uint64_t second, unsigned second_count, uint32_t code)
{
	uint32_t operation = code >> 28 & 7, comparison = code >> 24 & 15;
	int32_t argument = (int32_t)(code << 8) >> 20, comparand = (int32_t)(code << 20) >> 20;
	uint32_t old, new;

	int error = word_check(address);
	if (error == 0)
		error = word_read(second, &old);
	if (error != 0)
		return error;
	if (code >> 31) /* FUTEX_OP_OPARG_SHIFT */
		argument = (int32_t)(1u << (argument & 31));
	switch (operation) {
	case FUTEX_OP_SET: new = (uint32_t)argument; break;
	case FUTEX_OP_ADD: new = old + (uint32_t)argument; break;
	case FUTEX_OP_OR: new = old | (uint32_t)argument; break;
	case FUTEX_OP_ANDN: new = old & ~(uint32_t)argument; break;
	case FUTEX_OP_XOR: new = old ^ (uint32_t)argument; break;
	default: return -ENOSYS;
	}
	if (comparison > FUTEX_OP_CMP_GE)
		return -ENOSYS;
	error = PUT_USER(second, new);
	if (error != 0)
		return error;
	unsigned woken = wake_matching(address, count, FUTEX_BITSET_MATCH_ANY);
	if (compare(comparison, (int32_t)old, comparand))
		woken += wake_matching(second, second_count, FUTEX_BITSET_MATCH_ANY);
	return woken;
}

static int64_t futex_wait(const uint64_t *argument, int command, bool realtime)
{
	struct futex_end end = {.none = argument[3] == 0, .realtime = realtime && argument[3] != 0};
	uint32_t bitset = command == FUTEX_WAIT ? FUTEX_BITSET_MATCH_ANY : (uint32_t)argument[5];

	if (!end.none) {
		int error = timespec_read(argument[3], &end.time);
		if (error != 0)
			return error;
		if (command == FUTEX_WAIT) { /* from now on, by either clock */
			end.time = deadline_after(end.time);
			end.realtime = false;
		}
	}
	return wait_until(argument[0], (uint32_t)argument[2], bitset, &end);
}

int64_t sys_futex(const uint64_t *argument)
{
	uint32_t operation = (uint32_t)argument[1];
	int command = (int)(operation & (uint32_t)FUTEX_CMD_MASK);
	bool realtime = operation & FUTEX_CLOCK_REALTIME;
	int32_t count = (int32_t)argument[2], second_count = (int32_t)argument[3];
	uint32_t expected = (uint32_t)argument[5];

	if (realtime && command != FUTEX_WAIT && command != FUTEX_WAIT_BITSET)
		return -ENOSYS;
	switch (command) {
	case FUTEX_WAIT:
	case FUTEX_WAIT_BITSET:
		return futex_wait(argument, command, realtime);
	case FUTEX_WAKE:
	case FUTEX_WAKE_BITSET: {
		uint32_t bitset = command == FUTEX_WAKE ? FUTEX_BITSET_MATCH_ANY : (uint32_t)argument[5];
		int error = word_check(argument[0]);
		if (error != 0 || bitset == 0)
			return error != 0 ? error : -EINVAL;
		return wake_matching(argument[0], (unsigned)MAX(count, 1), bitset); /* Linux wakes one for 0 or less, too */
	}
	case FUTEX_REQUEUE:
	case FUTEX_CMP_REQUEUE:
		if (count < 0 || second_count < 0)
			return -EINVAL;
		return requeue(argument[0], (unsigned)count, argument[4], (unsigned)second_count,
			       command == FUTEX_CMP_REQUEUE ? &expected : NULL);
	case FUTEX_WAKE_OP:
		return wake_operation(argument[0], (unsigned)MAX(count, 1), argument[4], (unsigned)MAX(second_count, 1), expected);
	default:
		return -ENOSYS;
	}
}

/* ---- robust lists: locks whose owner ended -------------------------------------------------------------------------------------- */

/* Marks a lock of the thread's as left behind, and wakes one who waits for it. False: the memory cannot be reached. */
static bool lock_abandon(uint64_t address, const struct thread *owner)
{
	uint32_t value;
	if (word_read(address, &value) != 0)
		return false;
	if ((value & FUTEX_TID_MASK) != (uint32_t)owner->tid)
		return true;
	uint32_t abandoned = (value & FUTEX_WAITERS) | FUTEX_OWNER_DIED;
	if (PUT_USER(address, abandoned) != 0)
		return false;
	if (value & FUTEX_WAITERS)
		futex_wake_address(address, 1);
	return true;
}

void robust_list_exit(struct thread *t)
{
	struct robust_list_head head;
	if (t->robust_list == 0 || GET_USER(head, t->robust_list) != 0)
		return;
	/* Bit 0 of a pointer marks a lock with priority inheritance: we have none. */
	uint64_t pending = (uint64_t)head.list_op_pending & ~1ull, entry = (uint64_t)head.list.next & ~1ull;
	for (unsigned i = 0; i < ROBUST_LIST_LIMIT && entry != t->robust_list; i++) {
		uint64_t next;
		bool last = GET_USER(next, entry) != 0;
		if (entry != pending && !lock_abandon(entry + (uint64_t)head.futex_offset, t))
			return;
		if (last)
			return;
		entry = next & ~1ull;
	}
	if (pending != 0)
		lock_abandon(pending + (uint64_t)head.futex_offset, t);
}

int64_t sys_set_robust_list(const uint64_t *argument)
{
	if (argument[1] != sizeof(struct robust_list_head))
		return -EINVAL;
	current->robust_list = argument[0];
	return 0;
}

int64_t sys_get_robust_list(const uint64_t *argument)
{
	struct thread *t = (int)argument[0] == 0 ? current : thread_find((int)argument[0]);
	uint64_t size = sizeof(struct robust_list_head);
	if (t == NULL)
		return -ESRCH;
	return PUT_USER(argument[2], size) != 0 || PUT_USER(argument[1], t->robust_list) != 0 ? -EFAULT : 0;
}
