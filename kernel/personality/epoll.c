/* epoll, and the announcement of readiness that it lives on.
 *
 * An item stands in three lists: its set's, the file's, and that of the file's readiness. When the file announces something, the item
 * goes to its set's list of those that may be ready; epoll_wait() asks them, in turn. */
#include <linux/eventpoll.h>

#include "personality/files.h"
#include "personality/poll.h"
#include "personality/syscalls.h"
#include "thread/thread.h"

#define NESTING_MAX 5	 /* sets in sets, as in Linux: announcing goes that deep and no deeper */
#define ITEMS_MAX 65536	 /* of all sets: some 9 MiB; Linux bounds them by memory too (max_user_watches) */
#define EVENTS_MAX (0x7fffffff / sizeof(struct epoll_event))

struct epoll {
	struct file *file; /* its own; no reference */
	struct list items, ready;
	struct readiness readiness; /* who waits for the set */
	uint64_t walk;		    /* the last walk through sets that came here, */
	unsigned walked;	    /* and how deep it was then */
};

struct item {
	struct list in_set, in_ready, in_file, in_readiness;
	struct epoll *set;
	struct file *file; /* no reference: closing it takes the item away */
	struct readiness *watched;
	uint64_t descriptor;
	struct epoll_event event;
};

static unsigned item_count;
static const struct file_operations epoll_operations;

/* ---- announcements ------------------------------------------------------------------------------------------------------------------ */

void readiness_init(struct readiness *r)
{
	wait_queue_init(&r->queue);
	list_init(&r->watchers);
}

/* A walk through nested sets does its work in a set once, or once at each depth: by how many ways it can get there is the program's choice, and
 * five layers of sets have more ways than anybody lives to see. */
static uint64_t walks;

static void announce(struct readiness *r, uint32_t events)
{
	wake(&r->queue, WAKE_ALL);
	LIST_FOR_EACH(node, &r->watchers) {
		struct item *item = CONTAINER_OF(node, struct item, in_readiness);
		if (events && !(events & item->event.events))
			continue;
		if (list_empty(&item->in_ready))
			list_insert_before(&item->set->ready, &item->in_ready);
		if (item->set->walk == walks)
			continue;
		item->set->walk = walks;
		announce(&item->set->readiness, POLLIN | POLLRDNORM);
	}
}

/* Recursion as deep as sets are nested: at most NESTING_MAX, which epoll_ctl() guards. */
void readiness_changed(struct readiness *r, uint32_t events)
{
	walks++;
	announce(r, events);
}

/* ---- items -------------------------------------------------------------------------------------------------------------------------- */

static uint32_t item_events(struct item *item)
{
	struct readiness *unused;
	return item->file->operations->poll(item->file, &unused) & item->event.events;
}

static void item_free(struct item *item)
{
	list_remove(&item->in_set);
	list_remove(&item->in_ready);
	list_remove(&item->in_file);
	list_remove(&item->in_readiness);
	release(item);
	item_count--;
}

void epoll_forget(struct file *file)
{
	LIST_FOR_EACH_SAFE(node, &file->watchers)
		item_free(CONTAINER_OF(node, struct item, in_file));
}

static struct item *item_find(struct epoll *set, const struct file *file, uint64_t descriptor)
{
	LIST_FOR_EACH(node, &file->watchers) {
		struct item *item = CONTAINER_OF(node, struct item, in_file);
		if (item->set == set && item->descriptor == descriptor)
			return item;
	}
	return NULL;
}

/* Has this walk been here as deep already? */
static bool walked(struct epoll *set, unsigned depth)
{
	if (set->walk == walks && set->walked >= depth)
		return true;
	set->walk = walks;
	set->walked = depth;
	return false;
}

/* How many sets deep is what this file watches? More than NESTING_MAX: too deep, or a circle through avoid. */
static unsigned depth_below(const struct file *file, const struct epoll *avoid, unsigned depth)
{
	if (file->operations != &epoll_operations)
		return depth;
	struct epoll *set = file->object;
	if (set == avoid || depth > NESTING_MAX)
		return NESTING_MAX + 1;
	unsigned deepest = depth + 1;
	if (walked(set, deepest))
		return deepest;
	LIST_FOR_EACH(node, &set->items) {
		unsigned below = depth_below(CONTAINER_OF(node, struct item, in_set)->file, avoid, depth + 1);
		deepest = MAX(deepest, below);
	}
	return deepest;
}

static unsigned depth_above(const struct file *file, unsigned depth)
{
	unsigned deepest = depth;
	if (depth > NESTING_MAX)
		return depth;
	LIST_FOR_EACH(node, &file->watchers) {
		struct epoll *set = CONTAINER_OF(node, struct item, in_file)->set;
		unsigned above = walked(set, depth + 1) ? depth + 1 : depth_above(set->file, depth + 1);
		deepest = MAX(deepest, above);
	}
	return deepest;
}

static bool too_deep(const struct file *set_file, const struct file *file)
{
	walks++;
	unsigned below = depth_below(file, set_file->object, 0);
	walks++;
	return below + depth_above(set_file, 0) > NESTING_MAX - 1;
}

static void item_check(struct item *item)
{
	if (item_events(item)) {
		if (list_empty(&item->in_ready))
			list_insert_before(&item->set->ready, &item->in_ready);
		readiness_changed(&item->set->readiness, POLLIN | POLLRDNORM);
	}
}

static int item_add(struct file *set_file, struct file *file, uint64_t descriptor, const struct epoll_event *event)
{
	struct epoll *set = set_file->object;
	if (file->operations == &epoll_operations) {
		if (event->events & EPOLLEXCLUSIVE)
			return -EINVAL;
		if (too_deep(set_file, file))
			return -ELOOP;
	}
	if (item_count >= ITEMS_MAX)
		return -ENOSPC;
	struct item *item = allocate(sizeof *item);
	if (!item)
		return -ENOMEM;
	item_count++;
	*item = (struct item){.set = set, .file = file, .descriptor = descriptor, .event = *event};
	list_init(&item->in_ready);
	file->operations->poll(file, &item->watched);
	list_insert_before(&set->items, &item->in_set);
	list_insert_before(&file->watchers, &item->in_file);
	list_insert_before(&item->watched->watchers, &item->in_readiness);
	item_check(item);
	return 0;
}

/* ---- the set as a file ----------------------------------------------------------------------------------------------------------------- */

static uint32_t epoll_poll(struct file *file, struct readiness **readiness)
{
	struct epoll *set = file->object;
	*readiness = &set->readiness;
	/* What is not ready any more goes: asked once, it is asked again only when it has announced something. */
	while (!list_empty(&set->ready)) {
		struct item *item = CONTAINER_OF(set->ready.next, struct item, in_ready);
		if (item_events(item))
			return POLLIN | POLLRDNORM;
		list_remove(&item->in_ready);
	}
	return 0;
}

static void epoll_close(struct file *file)
{
	struct epoll *set = file->object;
	LIST_FOR_EACH_SAFE(node, &set->items)
		item_free(CONTAINER_OF(node, struct item, in_set));
	release(set);
}

static void epoll_describe(struct file *file, char *to, size_t size)
{
	const struct epoll *set = file->object;
	size_t length = 0;
	LIST_FOR_EACH(node, &set->items) {
		const struct item *item = CONTAINER_OF(node, struct item, in_set);
		if (length + 80 > size)
			return;
		length += (size_t)snprintf(to + length, size - length, "tfd: %8u events: %8x data: %16llx\n", (unsigned)item->descriptor,
					   item->event.events, (unsigned long long)item->event.data);
	}
}

static const struct file_operations epoll_operations = {
	.name = "anon_inode:[eventpoll]", .poll = epoll_poll, .close = epoll_close, .describe = epoll_describe,
};

static int64_t create(uint64_t flags)
{
	struct epoll *set = allocate(sizeof *set);
	struct file *file = set ? file_new(&anonymous_inode, &epoll_operations, O_RDWR) : NULL;
	if (!file) {
		release(set);
		return -ENOMEM;
	}
	list_init(&set->items);
	list_init(&set->ready);
	readiness_init(&set->readiness);
	set->file = file;
	file->object = set;
	return descriptor_install(file, 0, flags & EPOLL_CLOEXEC);
}

int64_t sys_epoll_create(const uint64_t *argument)
{
	return (int32_t)argument[0] <= 0 ? -EINVAL : create(0);
}

int64_t sys_epoll_create1(const uint64_t *argument)
{
	return (uint32_t)argument[0] & ~(uint32_t)EPOLL_CLOEXEC ? -EINVAL : create(argument[0]);
}

#define EXCLUSIVE_ALLOWED (EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE)

static int control(struct file *set_file, int operation, struct file *file, uint64_t descriptor, struct epoll_event *event)
{
	struct epoll *set = set_file->object;
	struct item *item = item_find(set, file, descriptor);
	switch (operation) {
	case EPOLL_CTL_ADD:
		if (event->events & EPOLLEXCLUSIVE && event->events & ~EXCLUSIVE_ALLOWED)
			return -EINVAL;
		return item ? -EEXIST : item_add(set_file, file, descriptor, event);
	case EPOLL_CTL_DEL:
		if (!item)
			return -ENOENT;
		item_free(item);
		return 0;
	case EPOLL_CTL_MOD:
		if (event->events & EPOLLEXCLUSIVE)
			return -EINVAL;
		if (!item)
			return -ENOENT;
		if (item->event.events & EPOLLEXCLUSIVE)
			return -EINVAL;
		item->event = *event;
		list_remove(&item->in_ready);
		item_check(item);
		return 0;
	default:
		return -EINVAL;
	}
}

int64_t sys_epoll_ctl(const uint64_t *argument)
{
	int operation = (int)argument[1];
	struct epoll_event event = {0};
	if (operation != EPOLL_CTL_DEL && GET_USER(event, argument[3]))
		return -EFAULT;
	event.events |= EPOLLERR | EPOLLHUP; /* always told, until EPOLLONESHOT has disarmed the item */
	struct file *set_file = descriptor_file((uint32_t)argument[0]);
	struct file *file = set_file ? descriptor_file((uint32_t)argument[2]) : NULL;
	int64_t result;
	if (!file)
		result = -EBADF;
	else if (!file->operations->poll)
		result = -EPERM;
	else if (file == set_file || set_file->operations != &epoll_operations)
		result = -EINVAL;
	else
		result = control(set_file, operation, file, (uint32_t)argument[2], &event);
	file_put(file);
	file_put(set_file);
	return result;
}

/* ---- waiting ---------------------------------------------------------------------------------------------------------------------------- */

/* Hands out what is ready, at most count events. */
static int64_t collect(struct epoll *set, uint64_t address, uint64_t count)
{
	struct list again;
	uint64_t done = 0;
	int error = 0;
	list_init(&again);
	while (done < count && !list_empty(&set->ready)) {
		struct item *item = CONTAINER_OF(set->ready.next, struct item, in_ready);
		uint32_t events = item_events(item);
		list_remove(&item->in_ready);
		if (!events)
			continue;
		struct epoll_event event = {.events = events, .data = item->event.data};
		if (copy_to_user(address + done * sizeof event, &event, sizeof event)) {
			list_insert_before(set->ready.next, &item->in_ready);
			error = -EFAULT;
			break;
		}
		done++;
		if (item->event.events & EPOLLONESHOT)
			item->event.events &= EPOLLWAKEUP | EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE; /* disarmed until EPOLL_CTL_MOD */
		else if (!(item->event.events & EPOLLET))
			list_insert_before(&again, &item->in_ready); /* still ready as far as we know: ask again next time, after others */
	}
	LIST_FOR_EACH_SAFE(node, &again) {
		list_remove(node);
		list_insert_before(&set->ready, node);
	}
	return done ? (int64_t)done : error;
}

static int64_t wait_for_set(const uint64_t *argument, int64_t deadline)
{
	int64_t count = (int32_t)argument[2];
	if (count <= 0 || (uint64_t)count > EVENTS_MAX)
		return -EINVAL;
	struct file *file = descriptor_file((uint32_t)argument[0]);
	if (!file)
		return -EBADF;
	int64_t result = -EINVAL;
	if (file->operations == &epoll_operations) {
		struct epoll *set = file->object;
		for (;;) {
			result = collect(set, argument[1], (uint64_t)count);
			if (result || deadline == 0)
				break;
			int error = wait_on(&set->readiness.queue, deadline);
			if (error == -ETIMEDOUT)
				deadline = 0; /* one last look */
			else if (error == -EINTR) {
				result = -EINTR;
				break;
			}
		}
	}
	file_put(file);
	return result;
}

int64_t sys_epoll_wait(const uint64_t *argument)
{
	return wait_for_set(argument, poll_deadline_milliseconds(argument[3]));
}

int64_t sys_epoll_pwait(const uint64_t *argument)
{
	int error = signal_mask_temporary(argument[4], argument[5]);
	return error ? error : wait_for_set(argument, poll_deadline_milliseconds(argument[3]));
}

int64_t sys_epoll_pwait2(const uint64_t *argument)
{
	int64_t deadline;
	int error = poll_deadline_timespec(argument[3], &deadline);
	if (!error)
		error = signal_mask_temporary(argument[4], argument[5]);
	return error ? error : wait_for_set(argument, deadline);
}
