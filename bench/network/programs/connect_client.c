/*
 * connect_client ADDRESS PORT CONNECTIONS SECONDS SOURCE ...: a new connection for each request, CONNECTIONS at a time.
 * Prints how many were answered in a second.
 *
 * The server closes first, and this end waits for it, so that no TIME-WAIT takes ports away here (RFC 9293 section 3.6).
 * The connections come from the SOURCE addresses in turns: each has 64,512 ports towards the server. Anything but a
 * whole answer and a good end is an error, and the status 1.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

static const char request[] = "GET / HTTP/1.1\r\nHost: bench\r\n\r\n";
static const char end_of_answer[] = "Hello, World!";
enum { EVENTS = 256, ANSWER_MAX = 4096, CONNECTIONS_MAX = 4096, SILENCE_MS = 5000 };

struct connection {
	int descriptor;
	size_t size;
	char answer[ANSWER_MAX];
};

static struct connection connections[CONNECTIONS_MAX];
static struct sockaddr_in server;
static char **sources;
static int source_count, next_source, poller;

static void fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static void begin(struct connection *it)
{
	struct sockaddr_in source = {.sin_family = AF_INET};
	int on = 1;

	it->size = 0;
	it->descriptor = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (it->descriptor < 0)
		fail("socket");
	if (inet_pton(AF_INET, sources[next_source], &source.sin_addr) != 1)
		fail("a source");
	next_source = (next_source + 1) % source_count;
	/* The port is chosen when both ends are known: else one port a connection for all addresses. */
	setsockopt(it->descriptor, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
	if (bind(it->descriptor, (struct sockaddr *)&source, sizeof source) != 0)
		fail("bind");
	if (connect(it->descriptor, (struct sockaddr *)&server, sizeof server) != 0 && errno != EINPROGRESS)
		fail("connect");
	struct epoll_event event = {.events = EPOLLOUT, .data.ptr = it};
	if (epoll_ctl(poller, EPOLL_CTL_ADD, it->descriptor, &event) != 0)
		fail("epoll_ctl");
}

static void ask(struct connection *it)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = it};

	if (send(it->descriptor, request, sizeof request - 1, MSG_NOSIGNAL) != (ssize_t)sizeof request - 1)
		fail("send");
	epoll_ctl(poller, EPOLL_CTL_MOD, it->descriptor, &event);
}

/* Returns 1 when the server has answered and closed. */
static int hear(struct connection *it)
{
	ssize_t size = recv(it->descriptor, it->answer + it->size, ANSWER_MAX - it->size, 0);
	size_t last = sizeof end_of_answer - 1;

	if (size < 0 && errno == EAGAIN)
		return 0;
	if (size < 0)
		fail("recv");
	it->size += size;
	if (size > 0)
		return 0;
	errno = EPROTO;
	if (it->size < last || memcmp(it->answer + it->size - last, end_of_answer, last) != 0)
		fail("the answer");
	close(it->descriptor);
	return 1;
}

static double now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

int main(int count, char **words)
{
	if (count < 6)
		return 2;
	int wanted = atoi(words[3]);
	double seconds = atof(words[4]), started = now(), time = started;
	long done = 0;
	struct epoll_event events[EVENTS];

	server.sin_family = AF_INET;
	server.sin_port = htons(atoi(words[2]));
	sources = words + 5;
	source_count = count - 5;
	if (inet_pton(AF_INET, words[1], &server.sin_addr) != 1 || wanted < 1 || wanted > CONNECTIONS_MAX)
		return 2;
	poller = epoll_create1(0);
	for (int each = 0; each < wanted; each++)
		begin(&connections[each]);
	while (time - started < seconds) {
		int ready = epoll_wait(poller, events, EVENTS, SILENCE_MS);
		if (ready == 0) {
			errno = ETIMEDOUT;
			fail("the server");
		}
		time = now();
		for (int each = 0; each < ready; each++) {
			struct connection *it = events[each].data.ptr;
			if (events[each].events & EPOLLOUT)
				ask(it);
			else if (hear(it)) {
				done++;
				begin(it);
			}
		}
	}
	printf("%f\n", done / (time - started));
	return 0;
}
