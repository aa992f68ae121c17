/* A queue of bytes in pages that are taken when needed: what is inside a pipe or a socket. */
#ifndef SARAB_RING_H
#define SARAB_RING_H

#include "personality/files.h"

#define RING_PAGES_MAX 256 /* 1 MiB: Linux's pipe-max-size */

struct ring {
	uint64_t head, tail; /* bytes ever written and read */
	size_t capacity;     /* bytes; a multiple of the page size */
	uint64_t *pages;     /* capacity / PAGE_SIZE frames; 0: none at the moment */
};

bool ring_init(struct ring *r, size_t capacity);
void ring_free(struct ring *r);
int ring_resize(struct ring *r, size_t capacity); /* -EBUSY: more is in it; -ENOMEM */
static inline size_t ring_used(const struct ring *r) { return (size_t)(r->head - r->tail); }
static inline size_t ring_space(const struct ring *r) { return r->capacity - ring_used(r); }
/* From or to the transfer, as much as fits, at most limit. Bytes moved; 0 with *error (-ENOMEM) or with transfer->fault. */
size_t ring_fill(struct ring *r, struct transfer *t, size_t limit, int *error);
size_t ring_drain(struct ring *r, struct transfer *t, size_t limit);
size_t ring_peek(const struct ring *r, struct transfer *t, size_t limit);
/* Small records in front of data (datagrams). fill_kernel needs the space to be there; false: no memory. */
bool ring_fill_kernel(struct ring *r, const void *from, size_t length);
void ring_drain_kernel(struct ring *r, void *to, size_t length); /* to NULL: thrown away */
void ring_unfill(struct ring *r, uint64_t head); /* back to an earlier head: nothing of it was seen */

#endif
