/* Event counters. */
#include <linux/eventfd.h>

#include "personality/files.h"
#include "personality/syscalls.h"

#define COUNT_MAX (UINT64_MAX - 1)

struct event_counter {
	uint64_t count;
	bool semaphore;
	struct readiness readiness;
};

static int64_t event_read(struct file *file, struct transfer *t, int64_t *position)
{
	struct event_counter *c = file->object;
	(void)position;
	if (t->left < sizeof(uint64_t))
		return -EINVAL;
	while (!c->count) {
		if (t->nonblocking)
			return -EAGAIN;
		if (wait_on(&c->readiness.queue, FOREVER) < 0)
			return -ERESTARTSYS;
	}
	uint64_t value = c->semaphore ? 1 : c->count;
	c->count -= value;
	readiness_changed(&c->readiness, POLLOUT | POLLWRNORM);
	return transfer_put(t, &value, sizeof value) == sizeof value ? (int64_t)sizeof value : -EFAULT;
}

static int64_t event_write(struct file *file, struct transfer *t, int64_t *position)
{
	struct event_counter *c = file->object;
	uint64_t value;
	(void)position;
	if (t->left < sizeof value)
		return -EINVAL;
	if (transfer_take(t, &value, sizeof value) < sizeof value)
		return -EFAULT;
	if (value == UINT64_MAX)
		return -EINVAL;
	while (value > COUNT_MAX - c->count) {
		if (t->nonblocking)
			return -EAGAIN;
		if (wait_on(&c->readiness.queue, FOREVER) < 0)
			return -ERESTARTSYS;
	}
	c->count += value;
	readiness_changed(&c->readiness, POLLIN | POLLRDNORM);
	return sizeof value;
}

static uint32_t event_poll(struct file *file, struct readiness **readiness)
{
	struct event_counter *c = file->object;
	*readiness = &c->readiness;
	return (c->count ? POLLIN | POLLRDNORM : 0u) | (c->count < COUNT_MAX ? POLLOUT | POLLWRNORM : 0u);
}

static void event_describe(struct file *file, char *to, size_t size)
{
	const struct event_counter *c = file->object;
	snprintf(to, size, "eventfd-count: %16llx\neventfd-semaphore: %d\n", (unsigned long long)c->count, c->semaphore);
}

static void event_close(struct file *file)
{
	release(file->object);
}

static const struct file_operations event_operations = {
	.name = "anon_inode:[eventfd]",
	.read = event_read,
	.write = event_write,
	.poll = event_poll,
	.describe = event_describe,
	.close = event_close,
};

static int64_t make_counter(uint64_t count, uint64_t flags)
{
	if (flags & ~(uint64_t)(EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE))
		return -EINVAL;
	struct event_counter *c = allocate(sizeof *c);
	struct file *file = c ? file_new(&anonymous_inode, &event_operations, O_RDWR | ((uint32_t)flags & O_NONBLOCK)) : NULL;
	if (!file) {
		release(c);
		return -ENOMEM;
	}
	c->count = (uint32_t)count;
	c->semaphore = flags & EFD_SEMAPHORE;
	readiness_init(&c->readiness);
	file->object = c;
	return descriptor_install(file, 0, flags & EFD_CLOEXEC);
}

int64_t sys_eventfd(const uint64_t *argument)
{
	return make_counter(argument[0], 0);
}

int64_t sys_eventfd2(const uint64_t *argument)
{
	return make_counter(argument[0], (uint32_t)argument[1]);
}
