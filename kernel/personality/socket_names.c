/* Names of Unix sockets: bind, listen, connect, accept. A name is a file of /tmp, or abstract (it begins with NUL). */
#include "personality/socket.h"
#include "personality/syscalls.h"

#define FAMILY_SIZE sizeof(uint16_t)

int socket_name_get(uint64_t address, uint64_t length, struct socket_name *name)
{
	char bytes[FAMILY_SIZE + SOCKET_NAME_MAX];
	uint16_t family;
	if (length < FAMILY_SIZE || length > sizeof bytes)
		return -EINVAL;
	if (copy_from_user(bytes, address, length))
		return -EFAULT;
	memcpy(&family, bytes, sizeof family);
	if (family != AF_UNIX)
		return -EINVAL;
	*name = (struct socket_name){.length = (uint8_t)(length - FAMILY_SIZE)};
	memcpy(name->text, bytes + FAMILY_SIZE, name->length);
	if (name->length && name->text[0]) /* a path ends at its NUL, and is told with it */
		name->length = (uint8_t)MIN(strnlen(name->text, name->length) + 1, SOCKET_NAME_MAX);
	return 0;
}

int socket_name_put(uint64_t address, uint64_t length_address, const struct socket_name *name)
{
	char bytes[FAMILY_SIZE + SOCKET_NAME_MAX];
	uint16_t family = AF_UNIX;
	int32_t room, length = (int32_t)FAMILY_SIZE + name->length;
	if (GET_USER(room, length_address))
		return -EFAULT;
	if (room < 0)
		return -EINVAL;
	memcpy(bytes, &family, sizeof family);
	memcpy(bytes + FAMILY_SIZE, name->text, name->length);
	if (copy_to_user(address, bytes, (size_t)MIN(room, length)))
		return -EFAULT;
	return PUT_USER(length_address, length);
}

static bool is_abstract(const struct socket_name *name)
{
	return name->length && !name->text[0];
}

/* The path of a name, with its NUL. */
static void path_from(const struct socket_name *name, char path[SOCKET_NAME_MAX + 1])
{
	memcpy(path, name->text, name->length);
	path[name->length] = 0;
}

static struct socket *bound_to(const struct socket_name *name, const struct inode *node)
{
	LIST_FOR_EACH(item, &bound_sockets) {
		struct socket *s = CONTAINER_OF(item, struct socket, in_bound);
		if (node ? s->node == node
			 : is_abstract(&s->name) && !s->node && s->name.length == name->length &&
				   memcmp(s->name.text, name->text, name->length) == 0 && s->state != SOCKET_CONNECTED)
			return s;
	}
	return NULL;
}

int socket_find(const struct socket_name *name, int type, struct socket **found)
{
	struct inode *node = NULL;
	char path[SOCKET_NAME_MAX + 1];
	if (!is_abstract(name)) {
		path_from(name, path);
		int error = path_kernel(path, &node);
		if (error)
			return error;
		error = inode_permission(node, MAY_WRITE);
		if (!error && (node->mode & S_IFMT) != S_IFSOCK)
			error = -ECONNREFUSED;
		if (error) {
			inode_put(node);
			return error;
		}
	}
	*found = bound_to(name, node);
	inode_put(node);
	if (!*found)
		return -ECONNREFUSED;
	return (*found)->type == type ? 0 : -EPROTOTYPE;
}

/* ---- bind ------------------------------------------------------------------------------------------------------------------------------- */

static int bind_name(struct socket *s, struct socket_name *name)
{
	static uint32_t next_automatic;
	char path[SOCKET_NAME_MAX + 1];
	if (s->name.length)
		return -EINVAL;
	if (!name->length) /* Linux makes up an abstract name of five digits */
		name->length = (uint8_t)(1 + snprintf(name->text + 1, SOCKET_NAME_MAX - 1, "%05x", next_automatic++ & 0xfffff));
	if (is_abstract(name)) {
		if (bound_to(name, NULL))
			return -EADDRINUSE;
	} else {
		path_from(name, path);
		int error = make_socket_node(path, &s->node);
		if (error)
			return error;
	}
	s->name = *name;
	list_insert_before(&bound_sockets, &s->in_bound);
	return 0;
}

int64_t sys_bind(const uint64_t *argument)
{
	struct file *file;
	struct socket *s;
	struct socket_name name;
	int error = socket_get(argument[0], &file, &s);
	if (error)
		return error;
	error = socket_name_get(argument[1], (uint32_t)argument[2], &name);
	if (!error)
		error = bind_name(s, &name);
	file_put(file);
	return error;
}

/* ---- connections ------------------------------------------------------------------------------------------------------------------------ */

int64_t sys_listen(const uint64_t *argument)
{
	struct file *file;
	struct socket *s;
	int error = socket_get(argument[0], &file, &s);
	if (error)
		return error;
	if (s->type == SOCK_DGRAM)
		error = -EOPNOTSUPP;
	else if (!s->name.length || s->state == SOCKET_CONNECTED)
		error = -EINVAL;
	else {
		s->state = SOCKET_LISTENING;
		s->backlog_limit = MIN((uint32_t)argument[1], BACKLOG_MAX) + 1;
	}
	file_put(file);
	return error;
}

static int connect_stream(struct socket *s, const struct socket_name *name, bool nonblocking)
{
	struct socket *listener;
	for (;;) {
		if (s->state == SOCKET_CONNECTED)
			return -EISCONN;
		if (s->state == SOCKET_LISTENING)
			return -EINVAL;
		int error = socket_find(name, s->type, &listener);
		if (error)
			return error;
		if (listener->state != SOCKET_LISTENING)
			return -ECONNREFUSED;
		if (listener->backlog_length < listener->backlog_limit)
			break;
		if (nonblocking)
			return -EAGAIN;
		if (wait_on(&listener->readiness.queue, FOREVER) < 0)
			return -ERESTARTSYS;
	}
	struct file *file = socket_new(s->type, 0);
	if (!file)
		return -ENOMEM;
	struct socket *other = file->object;
	other->name = listener->name;
	socket_peer_set(other, s);
	socket_peer_set(s, other);
	s->state = other->state = SOCKET_CONNECTED;
	list_insert_before(&listener->backlog, &other->in_backlog);
	listener->backlog_length++;
	readiness_changed(&s->readiness, POLLOUT | POLLWRNORM);
	readiness_changed(&listener->readiness, POLLIN | POLLRDNORM);
	return 0;
}

static int connect_datagram(struct socket *s, const struct socket_name *name)
{
	struct socket *peer;
	int error = socket_find(name, s->type, &peer);
	if (!error) {
		socket_peer_set(s, peer);
		s->state = SOCKET_CONNECTED;
	}
	return error;
}

int64_t sys_connect(const uint64_t *argument)
{
	struct file *file;
	struct socket *s;
	struct socket_name name;
	uint16_t family;
	int error = socket_get(argument[0], &file, &s);
	if (error)
		return error;
	if ((uint32_t)argument[2] < sizeof family)
		error = -EINVAL;
	else if (GET_USER(family, argument[1]))
		error = -EFAULT;
	else if (family == AF_UNSPEC && s->type == SOCK_DGRAM) {
		socket_peer_set(s, NULL);
		s->state = SOCKET_NEW;
	} else {
		error = socket_name_get(argument[1], (uint32_t)argument[2], &name);
		if (!error && !name.length)
			error = -EINVAL;
		if (!error)
			error = s->type == SOCK_DGRAM ? connect_datagram(s, &name) : connect_stream(s, &name, file->flags & O_NONBLOCK);
	}
	file_put(file);
	return error;
}

static int64_t accept_one(struct socket *s, bool nonblocking, uint32_t flags, const uint64_t *argument)
{
	if (s->type == SOCK_DGRAM)
		return -EOPNOTSUPP;
	if (s->state != SOCKET_LISTENING)
		return -EINVAL;
	while (list_empty(&s->backlog)) {
		if (nonblocking)
			return -EAGAIN;
		if (wait_on(&s->readiness.queue, FOREVER) < 0)
			return -ERESTARTSYS;
	}
	struct socket *made = CONTAINER_OF(s->backlog.next, struct socket, in_backlog);
	static const struct socket_name nameless;
	const struct socket_name *name = made->peer ? &made->peer->name : &nameless;
	int error = argument[1] ? socket_name_put(argument[1], argument[2], name) : 0;
	if (error)
		return error;
	list_remove(&made->in_backlog);
	s->backlog_length--;
	wake(&s->readiness.queue, WAKE_ALL); /* who waits to connect */
	made->file->flags |= flags & O_NONBLOCK;
	return descriptor_install(made->file, 0, flags & O_CLOEXEC);
}

static int64_t accept_with(const uint64_t *argument, uint32_t flags)
{
	struct file *file;
	struct socket *s;
	if (flags & ~(uint32_t)(O_CLOEXEC | O_NONBLOCK))
		return -EINVAL;
	int error = socket_get(argument[0], &file, &s);
	if (error)
		return error;
	int64_t result = accept_one(s, file->flags & O_NONBLOCK, flags, argument);
	file_put(file);
	return result;
}

int64_t sys_accept(const uint64_t *argument)
{
	return accept_with(argument, 0);
}

int64_t sys_accept4(const uint64_t *argument)
{
	return accept_with(argument, (uint32_t)argument[3]);
}
