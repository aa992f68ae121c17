/* Pipes and FIFOs. */
#include <linux/fs.h>
#include <asm/ioctls.h>

#include "personality/files.h"
#include "personality/ring.h"
#include "personality/syscalls.h"
#include "thread/thread.h"

#define PIPE_CAPACITY 65536
#define PIPE_ATOMIC 4096 /* PIPE_BUF */
#define PIPES_MAX 4096	 /* as many as there can be descriptors */

struct pipe {
	struct inode inode; /* of a pipe without a name; a FIFO's lies in its file system */
	struct ring ring;
	unsigned readers, writers;
	uint64_t readers_ever, writers_ever; /* openings: what the other end of a FIFO waits for */
	struct readiness readiness;
	struct timestamp made;
};

static unsigned pipes;
static uint64_t next_number = 1;

const struct file_system pipe_file_system = {
	.type = "pipefs", .source = "none", .mount_options = "rw", .device = 9, .magic = PIPEFS_MAGIC,
};

struct pipe *pipe_new(void)
{
	if (pipes >= PIPES_MAX)
		return NULL;
	struct pipe *p = allocate(sizeof *p);
	if (!p || !ring_init(&p->ring, PIPE_CAPACITY)) {
		release(p);
		return NULL;
	}
	readiness_init(&p->readiness);
	p->made = timestamp_now();
	pipes++;
	return p;
}

void pipe_free(struct pipe *p)
{
	ring_free(&p->ring);
	release(p);
	pipes--;
}

static uint32_t readiness_of(const struct pipe *p, const struct file *file)
{
	uint32_t events = 0;
	if (file_readable(file)) {
		if (ring_used(&p->ring))
			events |= POLLIN | POLLRDNORM;
		if (!p->writers && p->writers_ever)
			events |= POLLHUP;
	}
	if (file_writable(file)) {
		if (ring_space(&p->ring) >= PIPE_ATOMIC)
			events |= POLLOUT | POLLWRNORM;
		if (!p->readers)
			events |= POLLERR;
	}
	return events;
}

static int64_t pipe_read(struct file *file, struct transfer *t, int64_t *position)
{
	struct pipe *p = file->object;
	(void)position;
	if (!t->left)
		return 0;
	for (;;) {
		if (ring_used(&p->ring)) {
			bool was_full = ring_space(&p->ring) < PIPE_ATOMIC;
			size_t done = ring_drain(&p->ring, t, SIZE_MAX);
			if (done && (was_full || !ring_used(&p->ring)))
				readiness_changed(&p->readiness, POLLOUT | POLLWRNORM);
			return (int64_t)done;
		}
		if (!p->writers)
			return 0;
		if (t->nonblocking)
			return -EAGAIN;
		if (wait_on(&p->readiness.queue, FOREVER) < 0)
			return -ERESTARTSYS;
	}
}

static int64_t pipe_write(struct file *file, struct transfer *t, int64_t *position)
{
	struct pipe *p = file->object;
	int64_t done = 0;
	int error = 0;
	(void)position;
	if (!t->left)
		return 0;
	while (t->left) {
		if (!p->readers) {
			signal_current(SIGPIPE);
			return done ? done : -EPIPE;
		}
		/* What fits into PIPE_BUF is written whole or not at all. */
		size_t needed = t->left <= PIPE_ATOMIC && !done ? t->left : 1;
		if (ring_space(&p->ring) >= needed) {
			size_t n = ring_fill(&p->ring, t, SIZE_MAX, &error);
			done += (int64_t)n;
			if (n)
				readiness_changed(&p->readiness, POLLIN | POLLRDNORM);
			if (error || t->fault)
				break;
			continue;
		}
		if (t->nonblocking) {
			error = -EAGAIN;
			break;
		}
		if (wait_on(&p->readiness.queue, FOREVER) < 0) {
			error = -ERESTARTSYS;
			break;
		}
	}
	return done ? done : error;
}

static uint32_t pipe_poll(struct file *file, struct readiness **readiness)
{
	struct pipe *p = file->object;
	*readiness = &p->readiness;
	return readiness_of(p, file);
}

static int64_t pipe_control(struct file *file, uint32_t request, uint64_t argument)
{
	struct pipe *p = file->object;
	if (request != FIONREAD)
		return -ENOTTY;
	int bytes = (int)ring_used(&p->ring);
	return PUT_USER(argument, bytes);
}

static void pipe_close(struct file *file)
{
	struct pipe *p = file->object;
	if (!p)
		return;
	if (file_readable(file))
		p->readers--;
	if (file_writable(file))
		p->writers--;
	readiness_changed(&p->readiness, POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM | POLLERR | POLLHUP);
	if (!p->readers && !p->writers) /* a FIFO forgets what nobody has read */
		ring_drain_kernel(&p->ring, NULL, ring_used(&p->ring));
}

static const struct file_operations pipe_operations = {
	.read = pipe_read, .write = pipe_write, .poll = pipe_poll, .control = pipe_control, .close = pipe_close,
};

/* The other end of a FIFO must be open, or must have been since we began to wait. */
static int wait_for_other(struct pipe *p, const unsigned *others, const uint64_t *others_ever)
{
	uint64_t before = *others_ever;
	while (!*others && *others_ever == before)
		if (wait_on(&p->readiness.queue, FOREVER) < 0)
			return -ERESTARTSYS;
	return 0;
}

int pipe_open(struct pipe *p, struct file *file)
{
	bool reads = file_readable(file), writes = file_writable(file), nonblocking = file->flags & O_NONBLOCK;
	if (writes && !reads && nonblocking && !p->readers)
		return -ENXIO;
	file->operations = &pipe_operations;
	file->object = p;
	p->readers += reads;
	p->readers_ever += reads;
	p->writers += writes;
	p->writers_ever += writes;
	readiness_changed(&p->readiness, 0);
	if (nonblocking || (reads && writes))
		return 0;
	return reads ? wait_for_other(p, &p->writers, &p->writers_ever) : wait_for_other(p, &p->readers, &p->readers_ever);
}

/* ---- pipes without a name --------------------------------------------------------------------------------------------------------------- */

static struct pipe *pipe_of(struct inode *inode)
{
	return CONTAINER_OF(inode, struct pipe, inode);
}

static void inode_free(struct inode *inode)
{
	pipe_free(pipe_of(inode));
}

static void attributes(struct inode *inode, struct attributes *a)
{
	a->access = a->modification = a->change = pipe_of(inode)->made;
}

static int reopen(struct inode *inode, struct file *file)
{
	return pipe_open(pipe_of(inode), file);
}

static const struct inode_operations inode_operations = {.free = inode_free, .attributes = attributes, .open = reopen};

static int64_t make_pipe(uint64_t address, uint64_t flags)
{
	int32_t descriptors[2];
	if (flags & ~(uint64_t)(O_CLOEXEC | O_NONBLOCK | O_DIRECT))
		return -EINVAL;
	int error = descriptor_reserve_two();
	if (error)
		return error;
	struct pipe *p = pipe_new();
	if (!p)
		return pipes >= PIPES_MAX ? -ENFILE : -ENOMEM;
	p->inode = (struct inode){&inode_operations, &pipe_file_system, next_number++, 1, S_IFIFO | 0600};
	uint32_t status = (uint32_t)flags & (O_NONBLOCK | O_DIRECT);
	struct file *reader = file_new(&p->inode, NULL, O_RDONLY | status), *writer = file_new(&p->inode, NULL, O_WRONLY | status);
	inode_put(&p->inode);
	if (!reader || !writer) {
		file_put(reader);
		file_put(writer);
		return -ENOMEM;
	}
	reader->operations = writer->operations = &pipe_operations;
	reader->object = writer->object = p;
	p->readers = p->writers = 1;
	p->readers_ever = p->writers_ever = 1;
	descriptors[0] = (int32_t)descriptor_install(reader, 0, flags & O_CLOEXEC);
	descriptors[1] = (int32_t)descriptor_install(writer, 0, flags & O_CLOEXEC);
	if (PUT_USER(address, descriptors)) {
		descriptor_close((uint32_t)descriptors[0]);
		descriptor_close((uint32_t)descriptors[1]);
		return -EFAULT;
	}
	return 0;
}

int64_t sys_pipe(const uint64_t *argument)
{
	return make_pipe(argument[0], 0);
}

int64_t sys_pipe2(const uint64_t *argument)
{
	return make_pipe(argument[0], (uint32_t)argument[1]);
}

int64_t pipe_size(struct file *file)
{
	return file->operations == &pipe_operations ? (int64_t)((struct pipe *)file->object)->ring.capacity : -EBADF;
}

int64_t pipe_size_set(struct file *file, uint64_t size)
{
	if (file->operations != &pipe_operations)
		return -EBADF;
	struct pipe *p = file->object;
	size_t capacity = PAGE_SIZE;
	if (size > RING_PAGES_MAX * PAGE_SIZE)
		return size > INT32_MAX ? -EINVAL : -EPERM;
	while (capacity < size)
		capacity *= 2;
	int error = ring_resize(&p->ring, capacity);
	if (error)
		return error;
	readiness_changed(&p->readiness, POLLOUT | POLLWRNORM);
	return (int64_t)capacity;
}

bool file_is_pipe(const struct file *file)
{
	return file->operations == &pipe_operations;
}

size_t pipe_peek(struct file *file, void *to, size_t length)
{
	struct transfer t;
	transfer_init_kernel(&t, to, length);
	return ring_peek(&((struct pipe *)file->object)->ring, &t, length);
}

void pipe_discard(struct file *file, size_t length)
{
	struct pipe *p = file->object;
	ring_drain_kernel(&p->ring, NULL, length);
	readiness_changed(&p->readiness, POLLOUT | POLLWRNORM);
}

/* tee: what is in one pipe into another, without taking it out. */
int64_t pipe_copy(struct file *from, struct file *to, size_t length)
{
	struct pipe *source = from->object, *target = to->object;
	char buffer[256];
	struct ring view = source->ring; /* its pages are only read */
	size_t done = 0;
	length = MIN(MIN(length, ring_used(&view)), ring_space(&target->ring));
	while (done < length) {
		struct transfer t;
		size_t n = MIN(sizeof buffer, length - done);
		transfer_init_kernel(&t, buffer, n);
		n = ring_peek(&view, &t, n);
		if (!ring_fill_kernel(&target->ring, buffer, n))
			break;
		view.tail += n;
		done += n;
	}
	if (done)
		readiness_changed(&target->readiness, POLLIN | POLLRDNORM);
	return (int64_t)done;
}

int pipe_wait(struct file *file, bool for_data)
{
	struct pipe *p = file->object;
	while (for_data ? !ring_used(&p->ring) && p->writers : !ring_space(&p->ring) && p->readers)
		if (wait_on(&p->readiness.queue, FOREVER) < 0)
			return -ERESTARTSYS;
	return 0;
}

bool pipe_has(struct file *file, bool for_data)
{
	struct pipe *p = file->object;
	return for_data ? ring_used(&p->ring) != 0 : ring_space(&p->ring) != 0;
}
