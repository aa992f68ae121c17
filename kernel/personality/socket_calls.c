/* System calls on sockets. */
#include <asm/socket.h>

#include "personality/socket.h"
#include "personality/syscalls.h"
#include "thread/thread.h"
#include "time/time.h"

/* struct msghdr as the system call has it. */
struct message_header {
	uint64_t name;
	int32_t name_length, pad;
	uint64_t vectors, count;
	uint64_t control, control_length;
	uint32_t flags, pad2;
};

int socket_get(uint64_t descriptor, struct file **file, struct socket **socket)
{
	*file = descriptor_file((uint32_t)descriptor);
	if (!*file)
		return -EBADF;
	*socket = socket_of_file(*file);
	if (*socket)
		return 0;
	file_put(*file);
	return -ENOTSOCK;
}

int64_t sys_sendto(const uint64_t *argument)
{
	struct file *file;
	struct socket *s;
	int error = socket_get(argument[0], &file, &s);
	if (error)
		return error;
	struct transfer t;
	transfer_init(&t, argument[1], argument[2]);
	t.nonblocking = file->flags & O_NONBLOCK;
	struct socket_name receiver;
	int64_t result = argument[4] ? socket_name_get(argument[4], (uint32_t)argument[5], &receiver) : 0;
	if (!result)
		result = socket_send(s, &t, (unsigned)argument[3], argument[4] ? &receiver : NULL);
	file_put(file);
	return result;
}

int64_t sys_recvfrom(const uint64_t *argument)
{
	struct file *file;
	struct socket *s;
	bool truncated;
	struct socket_name sender;
	int error = socket_get(argument[0], &file, &s);
	if (error)
		return error;
	struct transfer t;
	transfer_init(&t, argument[1], argument[2]);
	t.nonblocking = file->flags & O_NONBLOCK;
	int64_t result = socket_receive(s, &t, (unsigned)argument[3], &truncated, &sender);
	if (result >= 0 && argument[4] && argument[5]) {
		/* Only who has a name is told: Linux gives a length of 0 for the others. */
		int32_t none = 0;
		error = sender.length ? socket_name_put(argument[4], argument[5], &sender) : PUT_USER(argument[5], none);
		if (error)
			result = error;
	}
	file_put(file);
	return result;
}

int64_t sys_sendmsg(const uint64_t *argument)
{
	struct message_header header;
	struct iovec small[VECTORS_SMALL], *vectors;
	struct transfer t;
	struct file *file;
	struct socket *s;
	int error = socket_get(argument[0], &file, &s);
	if (error)
		return error;
	int64_t result = 0;
	if (GET_USER(header, argument[1]))
		result = -EFAULT;
	else if (header.count > VECTORS_MAX)
		result = -EMSGSIZE;
	else if (header.control_length)
		result = -EOPNOTSUPP; /* no descriptors are passed: there is no other process */
	struct socket_name receiver;
	bool named = !result && header.name && header.name_length;
	if (named)
		result = socket_name_get(header.name, (uint32_t)header.name_length, &receiver);
	if (!result)
		result = vectors_get(header.vectors, header.count, small, &vectors, &t);
	if (!result) {
		t.nonblocking = file->flags & O_NONBLOCK;
		result = socket_send(s, &t, (unsigned)argument[2], named ? &receiver : NULL);
		release(vectors);
	}
	file_put(file);
	return result;
}

int64_t sys_recvmsg(const uint64_t *argument)
{
	struct message_header header;
	struct iovec small[VECTORS_SMALL], *vectors;
	struct transfer t;
	struct file *file;
	struct socket *s;
	bool truncated = false;
	struct socket_name sender;
	int error = socket_get(argument[0], &file, &s);
	if (error)
		return error;
	int64_t result = 0;
	if (GET_USER(header, argument[1]))
		result = -EFAULT;
	else if (header.count > VECTORS_MAX)
		result = -EMSGSIZE;
	else
		result = vectors_get(header.vectors, header.count, small, &vectors, &t);
	if (!result) {
		t.nonblocking = file->flags & O_NONBLOCK;
		result = socket_receive(s, &t, (unsigned)argument[2], &truncated, &sender);
		release(vectors);
	}
	file_put(file);
	if (result >= 0) {
		uint16_t family = AF_UNIX;
		int32_t room = header.name_length, length = sender.length ? (int32_t)sizeof family + sender.length : 0;
		char name[sizeof family + SOCKET_NAME_MAX];
		memcpy(name, &family, sizeof family);
		memcpy(name + sizeof family, sender.text, sender.length);
		if (header.name && copy_to_user(header.name, name, (size_t)MAX(MIN(room, length), 0)))
			return -EFAULT;
		header.name_length = length;
		header.control_length = 0;
		header.flags = truncated ? MSG_TRUNC : 0;
		if (PUT_USER(argument[1], header))
			result = -EFAULT;
	}
	return result;
}

int64_t sys_shutdown(const uint64_t *argument)
{
	struct file *file;
	struct socket *s;
	int how = (int)argument[1];
	int error = socket_get(argument[0], &file, &s);
	if (error)
		return error;
	if (how < 0 || how > 2)
		error = -EINVAL;
	else if (s->state != SOCKET_CONNECTED && s->type != SOCK_DGRAM)
		error = -ENOTCONN;
	else
		socket_shutdown(s, how != 1, how != 0);
	file_put(file);
	return error;
}

int64_t sys_getsockname(const uint64_t *argument)
{
	struct file *file;
	struct socket *s;
	int error = socket_get(argument[0], &file, &s);
	if (error)
		return error;
	error = socket_name_put(argument[1], argument[2], &s->name);
	file_put(file);
	return error;
}

int64_t sys_getpeername(const uint64_t *argument)
{
	struct file *file;
	struct socket *s;
	int error = socket_get(argument[0], &file, &s);
	if (error)
		return error;
	error = s->peer ? socket_name_put(argument[1], argument[2], &s->peer->name) : -ENOTCONN;
	file_put(file);
	return error;
}

/* ---- options ---------------------------------------------------------------------------------------------------------------------------- */

struct linger {
	int32_t on, seconds;
};
struct credentials {
	int32_t process;
	uint32_t user, group;
};

/* Writes an option's value into buffer; its length, or -ENOPROTOOPT. */
static int64_t option_value(struct socket *s, int name, void *buffer)
{
	int32_t value = 0;
	switch (name) {
	case SO_TYPE:
		value = s->type;
		break;
	case SO_DOMAIN:
		value = AF_UNIX;
		break;
	case SO_ERROR:
		value = s->error;
		s->error = 0;
		break;
	case SO_SNDBUF:
		value = s->send_size;
		break;
	case SO_RCVBUF:
		value = s->receive_size;
		break;
	case SO_RCVLOWAT:
		value = 1;
		break;
	case SO_ACCEPTCONN:
		value = s->state == SOCKET_LISTENING;
		break;
	case SO_PROTOCOL:
	case SO_REUSEADDR:
	case SO_REUSEPORT:
	case SO_KEEPALIVE:
	case SO_BROADCAST:
	case SO_PASSCRED:
	case SO_OOBINLINE:
	case SO_PRIORITY:
		break;
	case SO_LINGER:
		*(struct linger *)buffer = (struct linger){0};
		return sizeof(struct linger);
	case SO_PEERCRED:
		*(struct credentials *)buffer = (struct credentials){PROCESS_ID, identity.effective_user, identity.effective_group};
		return sizeof(struct credentials);
	case SO_RCVTIMEO_OLD:
	case SO_SNDTIMEO_OLD: {
		int64_t timeout = name == SO_RCVTIMEO_OLD ? s->receive_timeout : s->send_timeout, *time = buffer;
		time[0] = timeout / (int64_t)NANOSECONDS;
		time[1] = timeout % (int64_t)NANOSECONDS / 1000;
		return 16;
	}
	default:
		return -ENOPROTOOPT;
	}
	memcpy(buffer, &value, sizeof value);
	return sizeof value;
}

int64_t sys_getsockopt(const uint64_t *argument)
{
	struct file *file;
	struct socket *s;
	int32_t room;
	_Alignas(8) char buffer[16] = {0};
	int error = socket_get(argument[0], &file, &s);
	if (error)
		return error;
	int64_t length = -EOPNOTSUPP;
	if (GET_USER(room, argument[4]))
		length = -EFAULT;
	else if (room < 0)
		length = -EINVAL;
	else if ((int)argument[1] == SOL_SOCKET)
		length = option_value(s, (int)argument[2], buffer);
	file_put(file);
	if (length < 0)
		return length;
	room = (int32_t)MIN(room, length);
	if (copy_to_user(argument[3], buffer, (size_t)room) || PUT_USER(argument[4], room))
		return -EFAULT;
	return 0;
}

#define BUFFER_SIZE_MAX 212992 /* Linux's wmem_max; it doubles what is asked, for its own headers */
#define BUFFER_SIZE_MIN 2304

static int set_option(struct socket *s, int name, uint64_t address, uint64_t length)
{
	int32_t value;
	if (name == SO_RCVTIMEO_OLD || name == SO_SNDTIMEO_OLD) {
		int64_t timeout;
		if (length < 16)
			return -EINVAL;
		int error = timeval_read(address, &timeout);
		if (error)
			return error == -EINVAL ? -EDOM : error;
		*(name == SO_RCVTIMEO_OLD ? &s->receive_timeout : &s->send_timeout) = timeout;
		return 0;
	}
	if (length < sizeof value)
		return -EINVAL;
	if (GET_USER(value, address))
		return -EFAULT;
	switch (name) {
	case SO_SNDBUF:
	case SO_RCVBUF:
		value = MAX(MIN(MAX(value, 0), BUFFER_SIZE_MAX) * 2, BUFFER_SIZE_MIN);
		*(name == SO_SNDBUF ? &s->send_size : &s->receive_size) = value;
		return 0;
	case SO_REUSEADDR:
	case SO_KEEPALIVE:
	case SO_BROADCAST:
	case SO_PASSCRED:
	case SO_OOBINLINE:
	case SO_PRIORITY:
	case SO_RCVLOWAT:
	case SO_LINGER:
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}

int64_t sys_setsockopt(const uint64_t *argument)
{
	struct file *file;
	struct socket *s;
	int error = socket_get(argument[0], &file, &s);
	if (error)
		return error;
	if ((int32_t)argument[4] < 0)
		error = -EINVAL;
	else if ((int)argument[1] != SOL_SOCKET)
		error = -EOPNOTSUPP;
	else
		error = set_option(s, (int)argument[2], argument[3], argument[4]);
	file_put(file);
	return error;
}
