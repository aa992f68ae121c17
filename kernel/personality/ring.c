/* A queue of bytes in pages. */
#include "personality/ring.h"

static size_t page_count(const struct ring *r)
{
	return r->capacity >> PAGE_SHIFT;
}

bool ring_init(struct ring *r, size_t capacity)
{
	*r = (struct ring){.capacity = capacity, .pages = allocate((capacity >> PAGE_SHIFT) * sizeof(uint64_t))};
	return r->pages;
}

void ring_free(struct ring *r)
{
	if (!r->pages)
		return;
	for (size_t n = 0; n < page_count(r); n++)
		if (r->pages[n])
			page_give(r->pages[n]);
	release(r->pages);
	r->pages = NULL;
}

static uint64_t *page_slot(const struct ring *r, uint64_t at)
{
	return &r->pages[(at >> PAGE_SHIFT) % page_count(r)];
}

size_t ring_fill(struct ring *r, struct transfer *t, size_t limit, int *error)
{
	size_t done = 0;
	limit = MIN(MIN(limit, ring_space(r)), t->left);
	while (done < limit) {
		uint64_t *page = page_slot(r, r->head);
		size_t within = r->head % PAGE_SIZE, n = MIN(PAGE_SIZE - within, limit - done);
		if (!*page && !(*page = page_take())) {
			*error = -ENOMEM;
			break;
		}
		size_t moved = transfer_take(t, (char *)direct(*page) + within, n);
		r->head += moved;
		done += moved;
		if (moved < n)
			break;
	}
	return done;
}

static size_t take_out(struct ring *r, struct transfer *t, size_t limit, bool keep)
{
	size_t done = 0;
	uint64_t at = r->tail;
	limit = MIN(MIN(limit, ring_used(r)), t->left);
	while (done < limit) {
		uint64_t *page = page_slot(r, at);
		size_t within = at % PAGE_SIZE, n = MIN(PAGE_SIZE - within, limit - done);
		size_t moved = transfer_put(t, (char *)direct(*page) + within, n);
		at += moved;
		done += moved;
		if (moved < n)
			break;
	}
	if (!keep)
		ring_drain_kernel(r, NULL, done);
	return done;
}

size_t ring_drain(struct ring *r, struct transfer *t, size_t limit)
{
	return take_out(r, t, limit, false);
}

size_t ring_peek(const struct ring *r, struct transfer *t, size_t limit)
{
	struct ring copy = *r;
	return take_out(&copy, t, limit, true);
}

bool ring_fill_kernel(struct ring *r, const void *from, size_t length)
{
	struct transfer t;
	int error;
	uint64_t head = r->head;
	transfer_init_kernel(&t, (void *)(uintptr_t)from, length);
	if (ring_fill(r, &t, length, &error) == length)
		return true;
	ring_unfill(r, head);
	return false;
}

/* Moves the tail, and gives back each page that it leaves: all but the one the head is in when the ring has wrapped around to it. */
void ring_drain_kernel(struct ring *r, void *to, size_t length)
{
	char *bytes = to;
	while (length) {
		uint64_t *page = page_slot(r, r->tail);
		size_t within = r->tail % PAGE_SIZE, n = MIN(PAGE_SIZE - within, length);
		if (bytes) {
			memcpy(bytes, (char *)direct(*page) + within, n);
			bytes += n;
		}
		r->tail += n;
		length -= n;
		bool wrapped = r->head % PAGE_SIZE && page_slot(r, r->head) == page && r->head > r->tail;
		if (r->tail % PAGE_SIZE == 0 && !wrapped) {
			page_give(*page);
			*page = 0;
		}
	}
	if (r->head == r->tail) { /* empty: begin at a page's start, and keep none */
		uint64_t *page = page_slot(r, r->tail);
		if (*page)
			page_give(*page);
		*page = 0;
		r->head = r->tail = ROUND_UP(r->tail, PAGE_SIZE);
	}
}

void ring_unfill(struct ring *r, uint64_t head)
{
	r->head = head; /* pages beyond stay for the next writer */
}

int ring_resize(struct ring *r, size_t capacity)
{
	struct ring fresh;
	if (ring_used(r) > capacity)
		return -EBUSY;
	if (capacity == r->capacity)
		return 0;
	if (!ring_init(&fresh, capacity))
		return -ENOMEM;
	for (uint64_t at = r->tail; at < r->head;) {
		size_t n = MIN(PAGE_SIZE - at % PAGE_SIZE, r->head - at);
		if (!ring_fill_kernel(&fresh, (char *)direct(*page_slot(r, at)) + at % PAGE_SIZE, n)) {
			ring_free(&fresh);
			return -ENOMEM;
		}
		at += n;
	}
	ring_free(r);
	*r = fresh;
	return 0;
}
