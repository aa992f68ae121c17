/* Unix sockets: what an event loop wakes itself with, and what programs that talk to themselves use. The network is not the kernel's. */
#include "personality/socket.h"

#include <asm/ioctls.h>
#include <asm/socket.h>
#include <linux/socket.h>

#include "personality/ring.h"
#include "personality/syscalls.h"
#include "thread/thread.h"
#include "time/time.h"

#define BUFFER_CAPACITY (208u << 10) /* Linux's default: 212992 bytes */
#define SOCKETS_MAX 8192	     /* twice the descriptors: those that wait to be accepted have none */
#define MESSAGES_MAX 278	     /* datagrams waiting: what Linux lets a pair hold, more or less */

const struct file_system socket_file_system = {
	.type = "sockfs", .source = "none", .mount_options = "rw", .device = 8, .magic = SOCKFS_MAGIC,
};
static const struct file_operations operations;
static uint64_t next_number = 1;
struct list bound_sockets = LIST_INITIAL(bound_sockets);
static unsigned socket_count;

void socket_peer_set(struct socket *s, struct socket *peer)
{
	list_remove(&s->in_senders);
	s->peer = peer;
	if (peer)
		list_insert_before(&peer->senders, &s->in_senders);
}

void socket_peers_changed(struct socket *s, uint32_t events)
{
	wake(&s->readiness.queue, WAKE_ALL); /* senders that are not connected wait there */
	LIST_FOR_EACH(node, &s->senders)
		readiness_changed(&CONTAINER_OF(node, struct socket, in_senders)->readiness, events);
}

static struct socket *socket_of(struct inode *inode)
{
	return CONTAINER_OF(inode, struct socket, inode);
}

/* ---- receiving ------------------------------------------------------------------------------------------------------------------------ */

static int block(struct socket *s, bool nonblocking, int64_t deadline)
{
	if (nonblocking)
		return -EAGAIN;
	int error = wait_on(&s->readiness.queue, deadline);
	if (error == -ETIMEDOUT)
		return -EAGAIN; /* SO_RCVTIMEO, SO_SNDTIMEO */
	return error == -EINTR ? (deadline == FOREVER ? -ERESTARTSYS : -EINTR) : 0;
}

static bool ended(const struct socket *s)
{
	return s->shut_read || !s->peer || s->peer->shut_write;
}

static int64_t receive_stream(struct socket *s, struct transfer *t, unsigned flags, int64_t deadline)
{
	int64_t done = 0;
	while (t->left && !t->fault) {
		if (ring_used(&s->received)) {
			size_t n = flags & MSG_PEEK ? ring_peek(&s->received, t, SIZE_MAX) : ring_drain(&s->received, t, SIZE_MAX);
			done += (int64_t)n;
			if (s->peer && !(flags & MSG_PEEK))
				readiness_changed(&s->peer->readiness, POLLOUT | POLLWRNORM);
			if (!(flags & MSG_WAITALL) || flags & MSG_PEEK)
				break;
			continue;
		}
		if (done && !(flags & MSG_WAITALL))
			break;
		if (s->error) {
			int error = s->error;
			if (done)
				break;
			s->error = 0;
			return -error;
		}
		if (ended(s))
			break;
		int error = block(s, t->nonblocking, deadline);
		if (error)
			return done ? done : error;
	}
	return done || !t->fault ? done : -EFAULT;
}

/* What lies in the ring before a datagram's bytes. */
struct message {
	uint32_t length;
	struct socket_name sender;
};

static int64_t receive_message(struct socket *s, struct transfer *t, unsigned flags, int64_t deadline, bool *truncated,
			       struct socket_name *sender)
{
	while (!s->messages) {
		if (s->error) {
			int error = s->error;
			s->error = 0;
			return -error;
		}
		if (s->shut_read || (s->type == SOCK_SEQPACKET && ended(s)))
			return 0;
		int error = block(s, t->nonblocking, deadline);
		if (error)
			return error;
	}
	struct ring view = s->received;
	struct transfer head;
	struct message message;
	transfer_init_kernel(&head, &message, sizeof message);
	ring_peek(&view, &head, sizeof message);
	view.tail += sizeof message;
	uint32_t length = message.length;
	*sender = message.sender;
	size_t n = MIN(length, t->left), put = ring_peek(&view, t, n);
	*truncated = length > n;
	if (!(flags & MSG_PEEK)) {
		ring_drain_kernel(&s->received, NULL, sizeof message + length);
		s->messages--;
		socket_peers_changed(s, POLLOUT | POLLWRNORM);
	}
	if (put < n)
		return -EFAULT;
	return flags & MSG_TRUNC ? length : (int64_t)n;
}

int64_t socket_receive(struct socket *s, struct transfer *t, unsigned flags, bool *truncated, struct socket_name *sender)
{
	int64_t deadline = s->receive_timeout ? deadline_after(s->receive_timeout) : FOREVER;
	*truncated = false;
	sender->length = 0;
	if (flags & MSG_OOB)
		return -EOPNOTSUPP;
	if (s->type != SOCK_DGRAM && s->state != SOCKET_CONNECTED)
		return s->type == SOCK_STREAM ? -EINVAL : -ENOTCONN;
	t->nonblocking |= (flags & MSG_DONTWAIT) != 0;
	return s->type == SOCK_STREAM ? receive_stream(s, t, flags, deadline) : receive_message(s, t, flags, deadline, truncated, sender);
}

/* ---- sending ---------------------------------------------------------------------------------------------------------------------------- */

static int64_t broken(struct socket *s, unsigned flags)
{
	if (s->type != SOCK_DGRAM && !(flags & MSG_NOSIGNAL))
		signal_current(SIGPIPE);
	return -EPIPE;
}

/* What may be under way from `s`: SO_SNDBUF, and never more than a buffer holds. */
static size_t send_limit(const struct socket *s)
{
	return MIN((size_t)s->send_size, (size_t)BUFFER_CAPACITY);
}

static int64_t send_stream(struct socket *s, struct transfer *t, unsigned flags, int64_t deadline)
{
	int64_t done = 0;
	do {
		if (s->shut_write || !s->peer || s->peer->shut_read)
			return done ? done : broken(s, flags);
		size_t used = ring_used(&s->peer->received);
		if (used >= send_limit(s)) {
			int error = block(s, t->nonblocking, deadline);
			if (error)
				return done ? done : error;
			continue;
		}
		int error = 0;
		size_t n = ring_fill(&s->peer->received, t, send_limit(s) - used, &error);
		done += (int64_t)n;
		if (n)
			readiness_changed(&s->peer->readiness, POLLIN | POLLRDNORM);
		if (error || t->fault)
			return done ? done : error ? error : -EFAULT;
	} while (t->left);
	return done;
}

/* Where a datagram goes now: the peer, or who has that name. */
static int receiver_of(struct socket *s, unsigned flags, const struct socket_name *name, struct socket **receiver)
{
	if (s->shut_write)
		return (int)broken(s, flags);
	*receiver = s->peer;
	if (name) {
		int error = socket_find(name, s->type, receiver);
		if (error)
			return error;
	}
	if (!*receiver && s->type == SOCK_DGRAM)
		return s->state == SOCKET_CONNECTED ? -ECONNREFUSED : -ENOTCONN;
	return !*receiver || (*receiver)->shut_read ? (int)broken(s, flags) : 0;
}

static int64_t send_message(struct socket *s, struct transfer *t, unsigned flags, int64_t deadline, const struct socket_name *name)
{
	const struct message message = {.length = (uint32_t)t->left, .sender = s->name};
	struct socket *receiver;
	if (t->left > BUFFER_CAPACITY - 2 * sizeof message)
		return -EMSGSIZE;
	for (;;) {
		int error = receiver_of(s, flags, name, &receiver);
		if (error)
			return error;
		if (ring_space(&receiver->received) >= sizeof message + message.length && receiver->messages < MESSAGES_MAX)
			break;
		error = block(name ? receiver : s, t->nonblocking, deadline);
		if (error)
			return error;
	}
	struct ring *ring = &receiver->received;
	uint64_t head = ring->head;
	int error = 0;
	if (!ring_fill_kernel(ring, &message, sizeof message))
		return -ENOMEM;
	if (ring_fill(ring, t, message.length, &error) < message.length) {
		ring_unfill(ring, head);
		return error ? error : -EFAULT;
	}
	receiver->messages++;
	readiness_changed(&receiver->readiness, POLLIN | POLLRDNORM);
	return message.length;
}

int64_t socket_send(struct socket *s, struct transfer *t, unsigned flags, const struct socket_name *receiver)
{
	int64_t deadline = s->send_timeout ? deadline_after(s->send_timeout) : FOREVER;
	if (flags & MSG_OOB)
		return -EOPNOTSUPP;
	if (s->type != SOCK_DGRAM) {
		if (receiver)
			return s->state == SOCKET_CONNECTED ? -EISCONN : -EOPNOTSUPP;
		if (s->state != SOCKET_CONNECTED)
			return -ENOTCONN;
	}
	t->nonblocking |= (flags & MSG_DONTWAIT) != 0;
	return s->type == SOCK_STREAM ? send_stream(s, t, flags, deadline) : send_message(s, t, flags, deadline, receiver);
}

void socket_shutdown(struct socket *s, bool reading, bool writing)
{
	const uint32_t all = POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM | POLLHUP | POLLRDHUP;
	s->shut_read |= reading;
	s->shut_write |= writing;
	readiness_changed(&s->readiness, all);
	if (s->peer)
		readiness_changed(&s->peer->readiness, all);
}

/* ---- the file ------------------------------------------------------------------------------------------------------------------------------ */

static int64_t socket_read(struct file *file, struct transfer *t, int64_t *position)
{
	bool truncated;
	struct socket_name sender;
	(void)position;
	return socket_receive(file->object, t, 0, &truncated, &sender);
}

static int64_t socket_write(struct file *file, struct transfer *t, int64_t *position)
{
	(void)position;
	return socket_send(file->object, t, 0, NULL);
}

static uint32_t socket_poll(struct file *file, struct readiness **readiness)
{
	struct socket *s = file->object;
	uint32_t events = 0;
	*readiness = &s->readiness;
	if (s->state == SOCKET_LISTENING)
		return list_empty(&s->backlog) ? 0 : POLLIN | POLLRDNORM;
	if (s->state == SOCKET_NEW && s->type != SOCK_DGRAM)
		return POLLOUT | POLLWRNORM | POLLHUP;
	bool stream = s->type != SOCK_DGRAM;
	if (ring_used(&s->received) || s->shut_read || (stream && ended(s)))
		events |= POLLIN | POLLRDNORM;
	if (s->shut_read || (stream && ended(s)))
		events |= POLLRDHUP;
	if (s->error)
		events |= POLLERR;
	if (stream && (!s->peer || ((s->shut_read || s->peer->shut_write) && (s->shut_write || s->peer->shut_read))))
		events |= POLLHUP;
	if (!s->peer || s->shut_write || ring_used(&s->peer->received) <= send_limit(s) / 4)
		events |= POLLOUT | POLLWRNORM;
	return events;
}

static int64_t socket_control(struct file *file, uint32_t request, uint64_t argument)
{
	struct socket *s = file->object;
	int bytes;
	switch (request) {
	case FIONREAD:
		bytes = (int)ring_used(&s->received);
		return PUT_USER(argument, bytes);
	case TIOCOUTQ:
		bytes = s->peer ? (int)ring_used(&s->peer->received) : 0;
		return PUT_USER(argument, bytes);
	default:
		return -ENOTTY;
	}
}

static void lose_peer(struct socket *s)
{
	/* What nobody will read is an error for who sent it. */
	if (ring_used(&s->peer->received) && s->type == SOCK_STREAM)
		s->error = ECONNRESET;
	socket_peer_set(s, NULL);
	readiness_changed(&s->readiness, POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM | POLLHUP | POLLRDHUP | POLLERR);
}

static void socket_close(struct file *file)
{
	struct socket *s = file->object;
	list_remove(&s->in_bound);
	socket_count--;
	wake(&s->readiness.queue, WAKE_ALL); /* others' threads wait here, for room in a listener's line or a receiver's buffer: s is gone soon */
	LIST_FOR_EACH_SAFE(node, &s->backlog) {
		struct socket *waiting = CONTAINER_OF(node, struct socket, in_backlog);
		list_remove(node);
		if (waiting->peer)
			waiting->peer->error = ECONNRESET;
		file_put(waiting->file);
	}
	LIST_FOR_EACH_SAFE(node, &s->senders)
		lose_peer(CONTAINER_OF(node, struct socket, in_senders));
	socket_peer_set(s, NULL);
	inode_put(s->node);
	ring_free(&s->received);
}

static const struct file_operations operations = {
	.read = socket_read, .write = socket_write, .poll = socket_poll, .control = socket_control, .close = socket_close,
};

static void inode_free(struct inode *inode)
{
	release(socket_of(inode));
}

static const struct inode_operations inode_operations = {.free = inode_free};

struct socket *socket_of_file(struct file *file)
{
	return file->operations == &operations ? file->object : NULL;
}

struct file *socket_new(int type, uint32_t flags)
{
	struct socket *s = socket_count < SOCKETS_MAX ? allocate(sizeof *s) : NULL;
	if (!s || !ring_init(&s->received, BUFFER_CAPACITY)) {
		release(s);
		return NULL;
	}
	s->inode = (struct inode){&inode_operations, &socket_file_system, next_number++, 1, S_IFSOCK | 0777};
	s->type = type;
	s->send_size = s->receive_size = BUFFER_CAPACITY;
	readiness_init(&s->readiness);
	struct file *file = file_new(&s->inode, &operations, O_RDWR | flags);
	if (!file) {
		ring_free(&s->received);
		release(s);
		return NULL;
	}
	file->object = s;
	s->file = file;
	list_init(&s->backlog);
	list_init(&s->in_backlog);
	list_init(&s->in_bound);
	list_init(&s->senders);
	list_init(&s->in_senders);
	socket_count++;
	inode_put(&s->inode);
	return file;
}

static int type_check(int family, int type, int protocol, uint32_t flags)
{
	if (flags & ~(uint32_t)(O_CLOEXEC | O_NONBLOCK))
		return -EINVAL;
	if (family != AF_UNIX)
		return -EAFNOSUPPORT;
	if (protocol && protocol != AF_UNIX)
		return -EPROTONOSUPPORT;
	return type == SOCK_STREAM || type == SOCK_DGRAM || type == SOCK_SEQPACKET ? 0 : -ESOCKTNOSUPPORT;
}

int64_t sys_socket(const uint64_t *argument)
{
	int type = (int)argument[1] & 0xf;
	uint32_t flags = (uint32_t)argument[1] & ~0xfu;
	int error = type_check((int)argument[0], type, (int)argument[2], flags);
	if (error)
		return error;
	struct file *file = socket_new(type, flags & O_NONBLOCK);
	return file ? descriptor_install(file, 0, flags & O_CLOEXEC) : -ENOMEM;
}

int64_t sys_socketpair(const uint64_t *argument)
{
	int family = (int)argument[0], type = (int)argument[1] & 0xf, protocol = (int)argument[2];
	uint32_t flags = (uint32_t)argument[1] & ~0xfu;
	int32_t descriptors[2];
	int error = type_check(family, type, protocol, flags);
	if (!error)
		error = descriptor_reserve_two();
	if (error)
		return error;
	struct file *first = socket_new(type, flags & O_NONBLOCK), *second = socket_new(type, flags & O_NONBLOCK);
	if (!first || !second) {
		file_put(first);
		file_put(second);
		return -ENOMEM;
	}
	struct socket *one = first->object, *other = second->object;
	socket_peer_set(one, other);
	socket_peer_set(other, one);
	one->state = other->state = SOCKET_CONNECTED;
	descriptors[0] = (int32_t)descriptor_install(first, 0, flags & O_CLOEXEC);
	descriptors[1] = (int32_t)descriptor_install(second, 0, flags & O_CLOEXEC);
	if (PUT_USER(argument[3], descriptors)) {
		descriptor_close((uint32_t)descriptors[0]);
		descriptor_close((uint32_t)descriptors[1]);
		return -EFAULT;
	}
	return 0;
}
