/* poll, ppoll, select, pselect6. */
#include "personality/poll.h"

#include <linux/resource.h>

#include "personality/files.h"
#include "personality/syscalls.h"
#include "thread/thread.h"
#include "time/time.h"

#define ALWAYS_READY (POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM) /* files that need no waiting */

/* One descriptor that somebody polls. */
struct watch {
	struct file *file;
	struct waiter waiter;
	uint32_t wanted, got;
	bool invalid;
};

#define WATCHES_SMALL 8 /* on the stack */

int64_t poll_deadline_milliseconds(uint64_t argument)
{
	int32_t milliseconds = (int32_t)argument;
	if (milliseconds < 0)
		return FOREVER;
	return milliseconds ? deadline_after((int64_t)milliseconds * 1000000) : 0;
}

int poll_deadline_timespec(uint64_t address, int64_t *deadline)
{
	int64_t left;
	*deadline = FOREVER;
	if (!address)
		return 0;
	int error = timespec_read(address, &left);
	if (!error)
		*deadline = left ? deadline_after(left) : 0;
	return error;
}

static uint32_t watch_ask(struct watch *w, struct readiness **readiness)
{
	*readiness = NULL;
	if (!w->file)
		return w->invalid ? POLLNVAL : 0;
	if (!w->file->operations->poll)
		return ALWAYS_READY & w->wanted;
	return w->file->operations->poll(w->file, readiness) & (w->wanted | POLLERR | POLLHUP);
}

/* Waits until one of them has something. Returns how many have, 0 after the deadline, or -EINTR. */
static int64_t watch_all(struct watch *watches, size_t count, int64_t deadline)
{
	struct readiness *readiness;
	for (;;) {
		int64_t ready = 0;
		for (size_t i = 0; i < count; i++) {
			watches[i].got = watch_ask(&watches[i], &readiness);
			ready += watches[i].got != 0;
		}
		if (ready || deadline == 0)
			return ready;
		for (size_t i = 0; i < count; i++) {
			watch_ask(&watches[i], &readiness);
			if (readiness)
				wait_queue_add(&readiness->queue, &watches[i].waiter);
		}
		int error = thread_block(deadline);
		for (size_t i = 0; i < count; i++)
			if (watches[i].waiter.thread)
				wait_queue_remove(&watches[i].waiter);
		if (error == -ETIMEDOUT)
			deadline = 0; /* one last look */
		else if (error)
			return -EINTR;
	}
}

static struct watch *watches_new(struct watch *small, size_t count)
{
	if (count > WATCHES_SMALL)
		return allocate(count * sizeof *small);
	memset(small, 0, WATCHES_SMALL * sizeof *small);
	return small;
}

static void watches_free(struct watch *small, struct watch *watches, size_t count)
{
	for (size_t i = 0; i < count; i++)
		file_put(watches[i].file);
	if (watches != small)
		release(watches);
}

/* ---- poll ------------------------------------------------------------------------------------------------------------------------------- */

static int64_t poll_files(uint64_t address, uint64_t asked, int64_t deadline)
{
	struct watch small[WATCHES_SMALL];
	size_t count = (uint32_t)asked;
	if (count > limit_soft(RLIMIT_NOFILE))
		return -EINVAL;
	struct watch *watches = watches_new(small, count);
	if (!watches)
		return -ENOMEM;
	int64_t result = 0;
	for (size_t i = 0; i < count && !result; i++) {
		struct pollfd p;
		if (copy_from_user(&p, address + i * sizeof p, sizeof p)) {
			result = -EFAULT;
		} else if (p.fd >= 0) {
			watches[i].file = descriptor_file((uint32_t)p.fd);
			watches[i].invalid = !watches[i].file;
			watches[i].wanted = (uint16_t)p.events;
		}
	}
	if (!result)
		result = watch_all(watches, count, deadline);
	for (size_t i = 0; i < count && result >= 0; i++) {
		int16_t got = (int16_t)watches[i].got;
		if (PUT_USER(address + i * sizeof(struct pollfd) + offsetof(struct pollfd, revents), got))
			result = -EFAULT;
	}
	watches_free(small, watches, count);
	return result;
}

int64_t sys_poll(const uint64_t *argument)
{
	return poll_files(argument[0], argument[1], poll_deadline_milliseconds(argument[2]));
}

/* What is left until the deadline goes back to the application, as Linux does. */
static void put_remaining(uint64_t address, int64_t deadline, int (*write)(uint64_t, int64_t))
{
	if (address && deadline != FOREVER)
		write(address, deadline ? MAX(deadline - time_monotonic(), 0) : 0);
}

int64_t sys_ppoll(const uint64_t *argument)
{
	int64_t deadline;
	int error = poll_deadline_timespec(argument[2], &deadline);
	if (!error)
		error = signal_mask_temporary(argument[3], argument[4]);
	if (error)
		return error;
	int64_t result = poll_files(argument[0], argument[1], deadline);
	put_remaining(argument[2], deadline, timespec_write);
	return result;
}

/* ---- select ----------------------------------------------------------------------------------------------------------------------------- */

#define READ_SET (POLLRDNORM | POLLRDBAND | POLLIN | POLLHUP | POLLERR)
#define WRITE_SET (POLLWRBAND | POLLWRNORM | POLLOUT | POLLERR)
#define EXCEPT_SET POLLPRI
static const uint32_t set_events[3] = {READ_SET, WRITE_SET, EXCEPT_SET};

#define SET_WORDS (DESCRIPTORS_HARD / 64)
struct sets {
	uint64_t word[3][SET_WORDS];
};

static int64_t select_sets(struct sets *in, struct sets *out, size_t highest, int64_t deadline)
{
	struct watch small[WATCHES_SMALL];
	size_t count = 0, n = 0;
	int64_t result = 0;
	for (size_t w = 0; w < (highest + 63) / 64; w++)
		count += (size_t)__builtin_popcountll(in->word[0][w] | in->word[1][w] | in->word[2][w]);
	struct watch *watches = watches_new(small, count);
	if (!watches)
		return -ENOMEM;
	for (size_t d = 0; d < highest && !result; d++) {
		uint32_t wanted = 0;
		for (int s = 0; s < 3; s++)
			if (in->word[s][d / 64] >> (d % 64) & 1)
				wanted |= set_events[s];
		if (!wanted)
			continue;
		watches[n].file = descriptor_file(d);
		watches[n].wanted = wanted;
		if (!watches[n++].file)
			result = -EBADF;
	}
	if (!result)
		result = watch_all(watches, n, deadline);
	if (result >= 0) {
		result = 0;
		n = 0;
		for (size_t d = 0; d < highest; d++) {
			bool asked = false;
			for (int s = 0; s < 3; s++) {
				if (!(in->word[s][d / 64] >> (d % 64) & 1))
					continue;
				asked = true;
				if (watches[n].got & set_events[s]) {
					out->word[s][d / 64] |= 1ull << (d % 64);
					result++;
				}
			}
			n += asked;
		}
	}
	watches_free(small, watches, count);
	return result;
}

static int64_t select_files(const uint64_t *argument, int64_t deadline)
{
	int32_t asked = (int32_t)argument[0];
	if (asked < 0)
		return -EINVAL;
	/* Linux too looks no further than its table: what lies beyond is not even EBADF. */
	size_t highest = MIN((size_t)asked, descriptor_table_size()), bytes = (highest + 63) / 64 * 8;
	struct sets *sets = allocate(2 * sizeof *sets);
	if (!sets)
		return -ENOMEM;
	struct sets *in = &sets[0], *out = &sets[1];
	int64_t result = 0;
	for (int s = 0; s < 3 && !result; s++) {
		if (argument[1 + s] && copy_from_user(in->word[s], argument[1 + s], bytes))
			result = -EFAULT;
		if (highest % 64)
			in->word[s][highest / 64] &= (1ull << (highest % 64)) - 1;
	}
	if (!result)
		result = select_sets(in, out, highest, deadline);
	for (int s = 0; s < 3 && result >= 0; s++)
		if (argument[1 + s] && copy_to_user(argument[1 + s], out->word[s], bytes))
			result = -EFAULT;
	release(sets);
	return result;
}

int64_t sys_select(const uint64_t *argument)
{
	int64_t deadline = FOREVER;
	if (argument[4]) {
		int64_t time[2];
		if (GET_USER(time, argument[4]))
			return -EFAULT;
		/* Microseconds of a second and more are allowed here. */
		if (time[0] < 0 || time[1] < 0)
			return -EINVAL;
		int64_t left;
		if (__builtin_mul_overflow(time[0], (int64_t)NANOSECONDS, &left) ||
		    __builtin_add_overflow(left, time[1] > INT32_MAX ? (int64_t)INT32_MAX * 1000 : time[1] * 1000, &left))
			left = FOREVER;
		deadline = left ? deadline_after(left) : 0;
	}
	int64_t result = select_files(argument, deadline);
	put_remaining(argument[4], deadline, timeval_write);
	return result;
}

int64_t sys_pselect6(const uint64_t *argument)
{
	int64_t deadline;
	uint64_t mask[2] = {0, 8};
	int error = poll_deadline_timespec(argument[4], &deadline);
	if (!error && argument[5] && GET_USER(mask, argument[5]))
		error = -EFAULT;
	if (!error)
		error = signal_mask_temporary(mask[0], mask[1]);
	if (error)
		return error;
	int64_t result = select_files(argument, deadline);
	put_remaining(argument[4], deadline, timespec_write);
	return result;
}
