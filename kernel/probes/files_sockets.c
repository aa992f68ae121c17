/* Unix sockets with names: bind, listen, connect, accept, datagrams. SUCCESS */
#include "check.h"
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define FAILS(call, error) CHECK((errno = 0, (call)) == -1 && errno == (error))
static struct sockaddr_un address;
static socklen_t length;

static void name(const char *path)
{
	memset(&address, 0, sizeof address);
	address.sun_family = AF_UNIX;
	length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1);
	memcpy(address.sun_path, path, strlen(path));
	if (path[0] == '@') {
		address.sun_path[0] = 0;
		length--;
	}
}

static void *client(void *path)
{
	char answer[8];
	int s = socket(AF_UNIX, SOCK_STREAM, 0);
	sleep_ns(20 * MILLISECOND);
	CHECK(s >= 0 && connect(s, (void *)&address, length) == 0 && send(s, path, 4, 0) == 4 && recv(s, answer, 8, 0) == 2);
	CHECK(recv(s, answer, 8, 0) == 0 && close(s) == 0);
	return NULL;
}

static void streams(const char *path)
{
	struct stat st;
	char text[8];
	struct sockaddr_un got;
	socklen_t got_length = sizeof got;
	name(path);
	unlink(path);
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), other = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	CHECK(s >= 0 && other >= 0);
	FAILS(listen(s, 5), EINVAL);
	FAILS(accept(s, NULL, NULL), EINVAL);
	FAILS(connect(other, (void *)&address, length), path[0] == '@' ? ECONNREFUSED : ENOENT);
	CHECK(bind(s, (void *)&address, length) == 0);
	CHECK(bind(s, (void *)&address, length) == -1 && (errno == EINVAL || errno == EADDRINUSE));
	FAILS(bind(other, (void *)&address, length), EADDRINUSE);
	FAILS(connect(other, (void *)&address, length), ECONNREFUSED);
	CHECK(path[0] == '@' || (stat(path, &st) == 0 && S_ISSOCK(st.st_mode)));
	if (path[0] != '@')
		FAILS(open(path, O_RDONLY), ENXIO);
	CHECK(getsockname(s, (void *)&got, &got_length) == 0 && got_length == length && memcmp(&got, &address, length) == 0);
	FAILS(getpeername(s, (void *)&got, &got_length), ENOTCONN);
	FAILS(send(other, "x", 1, MSG_NOSIGNAL), ENOTCONN);
	CHECK(listen(s, 5) == 0);
	pthread_t t = start(client, (void *)(uintptr_t) "ping");
	struct pollfd p = {.fd = s, .events = POLLIN};
	CHECK(poll(&p, 1, 5000) == 1 && p.revents == POLLIN);
	got_length = sizeof got;
	int c = accept(s, (void *)&got, &got_length);
	CHECK(c >= 0 && got_length == 2 && recv(c, text, 8, 0) == 4 && memcmp(text, "ping", 4) == 0 && send(c, "ok", 2, 0) == 2);
	got_length = sizeof got;
	CHECK(getsockname(c, (void *)&got, &got_length) == 0 && got_length == length && close(c) == 0 && pthread_join(t, NULL) == 0);
	/* What waits to be accepted when the listener goes. */
	CHECK(connect(other, (void *)&address, length) == 0);
	FAILS(connect(other, (void *)&address, length), EISCONN);
	CHECK(close(s) == 0);
	FAILS(recv(other, text, 1, 0), ECONNRESET);
	close(other);
	CHECK(path[0] == '@' || unlink(path) == 0);
}

static void datagrams(void)
{
	char text[16];
	struct sockaddr_un from;
	socklen_t from_length = sizeof from;
	int a = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0), b = socket(AF_UNIX, SOCK_DGRAM, 0);
	unlink("/tmp/dgram-a"), unlink("/tmp/dgram-b");
	name("/tmp/dgram-b");
	CHECK(bind(b, (void *)&address, length) == 0);
	name("/tmp/dgram-a");
	CHECK(bind(a, (void *)&address, length) == 0);
	FAILS(recv(a, text, 1, 0), EAGAIN);
	FAILS(send(b, "x", 1, 0), ENOTCONN);
	CHECK(sendto(b, "hello", 5, 0, (void *)&address, length) == 5);
	CHECK(recvfrom(a, text, 16, 0, (void *)&from, &from_length) == 5 && strcmp(from.sun_path, "/tmp/dgram-b") == 0);
	CHECK(connect(b, (void *)&address, length) == 0 && send(b, "again", 5, 0) == 5 && send(b, "", 0, 0) == 0);
	CHECK(recv(a, text, 16, 0) == 5 && recv(a, text, 16, 0) == 0 && close(a) == 0);
	FAILS(send(b, "x", 1, 0), ECONNREFUSED);
	close(b);
	unlink("/tmp/dgram-a"), unlink("/tmp/dgram-b");
}

/* A sender waits for its reader when as much is under way as SO_SNDBUF says. */
static void small_buffer(void)
{
	static char much[65536];
	int pair[2], size = 4096;
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
	CHECK(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size) == 0);
	ssize_t sent = send(pair[0], much, sizeof much, 0);
	CHECK(sent > 0 && sent <= 16384);
	FAILS(send(pair[0], much, 1, 0), EAGAIN);
	struct pollfd p = { .fd = pair[0], .events = POLLOUT };
	CHECK(poll(&p, 1, 0) == 0);
	CHECK(recv(pair[1], much, sizeof much, 0) == sent && poll(&p, 1, 0) == 1);
	close(pair[0]), close(pair[1]);
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	streams("/tmp/stream");
	streams("@abstract");
	datagrams();
	small_buffer();
	puts("SUCCESS");
	return 0;
}
