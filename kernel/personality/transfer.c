/* The other side of a read or a write. */
#include "personality/files.h"

void transfer_init(struct transfer *t, uint64_t address, uint64_t length)
{
	length = MIN(length, TRANSFER_MAX);
	*t = (struct transfer){.count = 1, .left = length, .one = {(void *)(uintptr_t)address, length}};
}

void transfer_init_kernel(struct transfer *t, void *buffer, size_t length)
{
	transfer_init(t, (uintptr_t)buffer, length);
	t->kernel = true;
}

/* The next stretch that can be reached or not as a whole: within one vector and one page of the application. */
static size_t next_stretch(struct transfer *t, size_t wanted, uint64_t *address)
{
	for (;;) {
		const struct iovec *v = t->vector ? &t->vector[t->index] : &t->one;
		size_t there = v->iov_len - t->offset;
		if (there) {
			*address = (uintptr_t)v->iov_base + t->offset;
			size_t length = MIN(MIN(there, wanted), t->left);
			if (!t->kernel)
				length = MIN(length, PAGE_SIZE - (*address & (PAGE_SIZE - 1)));
			return length;
		}
		if (t->index + 1 >= t->count)
			return 0;
		t->index++;
		t->offset = 0;
	}
}

enum direction { PUT, TAKE, PUT_ZEROS, SKIP };

static size_t move(struct transfer *t, enum direction direction, char *buffer, size_t length)
{
	size_t done = 0;
	while (done < length && t->left) {
		uint64_t address;
		size_t n = next_stretch(t, length - done, &address);
		int error = 0;
		if (!n)
			break;
		void *kernel = (void *)(uintptr_t)address;
		switch (direction) {
		case PUT:
			if (t->kernel)
				memcpy(kernel, buffer + done, n);
			else
				error = copy_to_user(address, buffer + done, n);
			break;
		case TAKE:
			if (t->kernel)
				memcpy(buffer + done, kernel, n);
			else
				error = copy_from_user(buffer + done, address, n);
			break;
		case PUT_ZEROS:
			if (t->kernel)
				memset(kernel, 0, n);
			else
				error = clear_user(address, n);
			break;
		case SKIP:
			break;
		}
		if (error) {
			t->fault = true;
			break;
		}
		done += n;
		t->offset += n;
		t->left -= n;
	}
	return done;
}

size_t transfer_put(struct transfer *t, const void *from, size_t length)
{
	return move(t, PUT, (char *)(uintptr_t)from, length);
}

size_t transfer_take(struct transfer *t, void *to, size_t length)
{
	return move(t, TAKE, to, length);
}

size_t transfer_put_zeros(struct transfer *t, size_t length)
{
	return move(t, PUT_ZEROS, NULL, length);
}

size_t transfer_skip(struct transfer *t, size_t length)
{
	return move(t, SKIP, NULL, length);
}
