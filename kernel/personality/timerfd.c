/* Timers as files. */
#include <linux/time.h>
#include <linux/timerfd.h>

#include "personality/files.h"
#include "personality/syscalls.h"
#include "time/time.h"

struct timer_file {
	struct timer timer;
	int clock;
	int64_t interval; /* 0: once */
	uint64_t expirations; /* 1 or 0: a periodic timer waits for its reader, who finds out how many went by */
	int64_t due;	      /* when that one was */
	struct readiness readiness;
};

static void expired(struct timer *timer)
{
	struct timer_file *f = CONTAINER_OF(timer, struct timer_file, timer);
	f->expirations = 1;
	f->due = timer->deadline;
	readiness_changed(&f->readiness, POLLIN | POLLRDNORM);
}

/* What the reader gets: periods that went by while nobody looked count too. Only then is the next one waited for: a program that asks for a
 * period of 1 ns must not get so many interrupts that nobody runs. */
static uint64_t take(struct timer_file *f)
{
	uint64_t count = f->expirations;
	f->expirations = 0;
	if (count && f->interval) {
		int64_t late = time_monotonic() - f->due, missed = late > 0 ? late / f->interval : 0, next;
		if (!__builtin_add_overflow(f->due, (missed + 1) * f->interval, &next))
			timer_set(&f->timer, next);
		count += (uint64_t)missed;
	}
	return count;
}

static int64_t timer_read(struct file *file, struct transfer *t, int64_t *position)
{
	struct timer_file *f = file->object;
	(void)position;
	if (t->left < sizeof(uint64_t))
		return -EINVAL;
	while (!f->expirations) {
		if (t->nonblocking)
			return -EAGAIN;
		if (wait_on(&f->readiness.queue, FOREVER) < 0)
			return -ERESTARTSYS;
	}
	uint64_t value = take(f);
	return transfer_put(t, &value, sizeof value) == sizeof value ? (int64_t)sizeof value : -EFAULT;
}

static uint32_t timer_poll(struct file *file, struct readiness **readiness)
{
	struct timer_file *f = file->object;
	*readiness = &f->readiness;
	return f->expirations ? POLLIN | POLLRDNORM : 0;
}

static void timer_close(struct file *file)
{
	struct timer_file *f = file->object;
	timer_cancel(&f->timer);
	release(f);
}

static const struct file_operations timer_operations = {
	.name = "anon_inode:[timerfd]", .read = timer_read, .poll = timer_poll, .close = timer_close,
};

int64_t sys_timerfd_create(const uint64_t *argument)
{
	int clock = (int)argument[0];
	uint32_t flags = (uint32_t)argument[1];
	if (flags & ~(uint32_t)(TFD_CLOEXEC | TFD_NONBLOCK))
		return -EINVAL;
	if (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC && clock != CLOCK_BOOTTIME && clock != CLOCK_REALTIME_ALARM &&
	    clock != CLOCK_BOOTTIME_ALARM)
		return -EINVAL;
	struct timer_file *f = allocate(sizeof *f);
	struct file *file = f ? file_new(&anonymous_inode, &timer_operations, O_RDWR | (flags & O_NONBLOCK)) : NULL;
	if (!file) {
		release(f);
		return -ENOMEM;
	}
	f->clock = clock;
	f->timer.expired = expired;
	list_init(&f->timer.node);
	readiness_init(&f->readiness);
	file->object = f;
	return descriptor_install(file, 0, flags & TFD_CLOEXEC);
}

static int timer_of(uint64_t descriptor, struct file **file)
{
	*file = descriptor_file((uint32_t)descriptor);
	if (!*file)
		return -EBADF;
	if ((*file)->operations == &timer_operations)
		return 0;
	file_put(*file);
	return -EINVAL;
}

static int put_setting(uint64_t address, const struct timer_file *f)
{
	int64_t left = 0;
	int64_t now = time_monotonic();
	if (f->timer.armed)
		left = MAX(f->timer.deadline - now, 1);
	else if (f->expirations && f->interval)
		left = f->interval - (now - f->due) % f->interval;
	int error = timespec_write(address, f->interval);
	return error ? error : timespec_write(address + sizeof(struct timespec), left);
}

int64_t sys_timerfd_settime(const uint64_t *argument)
{
	uint32_t flags = (uint32_t)argument[1];
	int64_t interval, value;
	struct file *file;
	if (flags & ~(uint32_t)(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET))
		return -EINVAL;
	int error = timespec_read(argument[2], &interval);
	if (!error)
		error = timespec_read(argument[2] + sizeof(struct timespec), &value);
	if (!error)
		error = timer_of(argument[0], &file);
	if (error)
		return error;
	struct timer_file *f = file->object;
	if (argument[3])
		error = put_setting(argument[3], f);
	timer_cancel(&f->timer);
	f->interval = interval;
	f->expirations = 0;
	if (value) {
		bool realtime = f->clock == CLOCK_REALTIME || f->clock == CLOCK_REALTIME_ALARM;
		if (!(flags & TFD_TIMER_ABSTIME))
			value = deadline_after(value);
		else if (realtime)
			value = deadline_of_realtime(value);
		timer_set(&f->timer, value);
	}
	file_put(file);
	return error;
}

int64_t sys_timerfd_gettime(const uint64_t *argument)
{
	struct file *file;
	int error = timer_of(argument[0], &file);
	if (error)
		return error;
	error = put_setting(argument[1], file->object);
	file_put(file);
	return error;
}
