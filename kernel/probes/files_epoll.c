/* epoll, poll, select and timer files. SUCCESS */
#include "check.h"
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/timerfd.h>

#define FAILS(call, error) CHECK((errno = 0, (call)) == -1 && errno == (error))
static struct epoll_event got[8];

static int control(int set, int operation, int fd, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.fd = fd};
	return epoll_ctl(set, operation, fd, &event);
}

static void errors(void)
{
	int set = epoll_create1(EPOLL_CLOEXEC), other = epoll_create1(0), p[2], file = open("/tmp/epoll", O_RDWR | O_CREAT, 0600);
	CHECK(set >= 0 && other >= 0 && file >= 0 && pipe(p) == 0);
	FAILS(control(set, EPOLL_CTL_ADD, file, EPOLLIN), EPERM);
	FAILS(control(set, EPOLL_CTL_ADD, 999, EPOLLIN), EBADF);
	FAILS(control(p[0], EPOLL_CTL_ADD, p[1], EPOLLIN), EINVAL);
	FAILS(control(set, EPOLL_CTL_ADD, set, EPOLLIN), EINVAL);
	FAILS(control(set, EPOLL_CTL_DEL, p[0], 0), ENOENT);
	FAILS(control(set, EPOLL_CTL_MOD, p[0], 0), ENOENT);
	CHECK(control(set, EPOLL_CTL_ADD, p[0], EPOLLIN) == 0);
	FAILS(control(set, EPOLL_CTL_ADD, p[0], EPOLLIN), EEXIST);
	FAILS(epoll_wait(set, got, 0, 0), EINVAL);
	FAILS(epoll_wait(p[0], got, 1, 0), EINVAL);
	FAILS(epoll_create(0), EINVAL);
	/* Sets in sets: a circle is refused. */
	CHECK(control(set, EPOLL_CTL_ADD, other, EPOLLIN) == 0);
	FAILS(control(other, EPOLL_CTL_ADD, set, EPOLLIN), ELOOP);
	int inner = eventfd(1, 0);
	CHECK(control(other, EPOLL_CTL_ADD, inner, EPOLLIN) == 0 && epoll_wait(set, got, 8, 0) == 1 && got[0].data.fd == other);
	/* Closing takes a file out of its sets. */
	CHECK(write(p[1], "x", 1) == 1 && epoll_wait(set, got, 8, 0) == 2 && close(p[0]) == 0 && epoll_wait(set, got, 8, 0) == 1);
	close(set), close(other), close(p[1]), close(file), close(inner);
	unlink("/tmp/epoll");
}

static void modes(void)
{
	int set = epoll_create1(0), p[2];
	char c;
	CHECK(pipe(p) == 0 && control(set, EPOLL_CTL_ADD, p[0], EPOLLIN) == 0 && epoll_wait(set, got, 8, 0) == 0);
	CHECK(write(p[1], "ab", 2) == 2);
	for (int i = 0; i < 3; i++) /* level */
		CHECK(epoll_wait(set, got, 8, 0) == 1 && got[0].events == EPOLLIN && got[0].data.fd == p[0]);
	CHECK(control(set, EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLET) == 0 && epoll_wait(set, got, 8, 0) == 1);
	CHECK(epoll_wait(set, got, 8, 0) == 0 && read(p[0], &c, 1) == 1 && epoll_wait(set, got, 8, 0) == 0);
	CHECK(write(p[1], "c", 1) == 1 && epoll_wait(set, got, 8, 0) == 1 && epoll_wait(set, got, 8, 0) == 0);
	CHECK(control(set, EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLONESHOT) == 0 && epoll_wait(set, got, 8, 0) == 1);
	CHECK(write(p[1], "d", 1) == 1 && epoll_wait(set, got, 8, 0) == 0);
	CHECK(control(set, EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLONESHOT) == 0 && epoll_wait(set, got, 8, 0) == 1);
	CHECK(control(set, EPOLL_CTL_MOD, p[0], 0) == 0 && epoll_wait(set, got, 8, 0) == 0);
	CHECK(close(p[1]) == 0 && epoll_wait(set, got, 8, 0) == 1 && got[0].events == EPOLLHUP);
	close(p[0]), close(set);
}

static void *late_writer(void *fd)
{
	sleep_ns(30 * MILLISECOND);
	CHECK(write((int)(intptr_t)fd, "x", 1) == 1);
	return NULL;
}

static void waiting(void)
{
	int set = epoll_create1(0), p[2];
	CHECK(pipe(p) == 0 && control(set, EPOLL_CTL_ADD, p[0], EPOLLIN) == 0);
	int64_t before = now();
	CHECK(epoll_wait(set, got, 8, 30) == 0 && now() - before >= 29 * MILLISECOND);
	pthread_t t = start(late_writer, (void *)(intptr_t)p[1]);
	before = now();
	CHECK(epoll_wait(set, got, 8, -1) == 1 && now() - before >= 20 * MILLISECOND && pthread_join(t, NULL) == 0);
	char c;
	CHECK(read(p[0], &c, 1) == 1);
	t = start(late_writer, (void *)(intptr_t)p[1]);
	struct pollfd f[3] = {{.fd = -1, .events = POLLIN}, {.fd = p[0], .events = POLLIN}, {.fd = p[1], .events = 0}};
	CHECK(poll(f, 3, 10) == 0 && poll(f, 3, 2000) == 1 && f[1].revents == POLLIN && !f[0].revents && pthread_join(t, NULL) == 0);
	f[0].fd = 999;
	CHECK(poll(f, 1, 1000) == 1 && f[0].revents == POLLNVAL);
	fd_set r, w;
	FD_ZERO(&r);
	FD_ZERO(&w);
	FD_SET(p[0], &r);
	FD_SET(p[1], &w);
	struct timeval no_time = {0, 0};
	CHECK(select(p[1] + 1, &r, &w, NULL, &no_time) == 2 && FD_ISSET(p[0], &r) && FD_ISSET(p[1], &w));
	CHECK(read(p[0], &c, 1) == 1 && select(p[1] + 1, &r, NULL, NULL, &no_time) == 0 && !FD_ISSET(p[0], &r));
	FD_SET(40, &r);
	FAILS(select(41, &r, NULL, NULL, &no_time), EBADF);
	FAILS(select(-1, NULL, NULL, NULL, &no_time), EINVAL);
	close(p[0]), close(p[1]), close(set);
}

static volatile int handled;

static void handler(int number, siginfo_t *info, void *context)
{
	(void)number, (void)info, (void)context;
	handled++;
}

static void *late_signal(void *thread)
{
	sleep_ns(30 * MILLISECOND);
	pthread_kill(*(pthread_t *)thread, SIGUSR1);
	return NULL;
}

/* A signal ends the wait, also one that is blocked but for the wait. */
static void signals(void)
{
	pthread_t self = pthread_self();
	sigset_t blocked, open_mask;
	handle(SIGUSR1, handler, SA_RESTART);
	pthread_t t = start(late_signal, &self);
	FAILS(poll(NULL, 0, 5000), EINTR);
	CHECK(handled == 1 && pthread_join(t, NULL) == 0);
	sigemptyset(&open_mask);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &blocked, NULL);
	raise(SIGUSR1);
	CHECK(handled == 1);
	struct timespec long_time = {5, 0};
	FAILS(ppoll(NULL, 0, &long_time, &open_mask), EINTR);
	CHECK(handled == 2);
	raise(SIGUSR1);
	FAILS(pselect(0, NULL, NULL, NULL, &long_time, &open_mask), EINTR);
	CHECK(handled == 3);
	raise(SIGUSR1);
	int set = epoll_create1(0);
	FAILS(epoll_pwait(set, got, 1, 5000, &open_mask), EINTR);
	CHECK(handled == 4);
	close(set);
}

static void timers(void)
{
	uint64_t count;
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	struct itimerspec setting = {.it_value = timespec_of(10 * MILLISECOND), .it_interval = timespec_of(10 * MILLISECOND)}, left;
	CHECK(fd >= 0);
	FAILS(read(fd, &count, 8), EAGAIN);
	CHECK(timerfd_settime(fd, 0, &setting, NULL) == 0 && timerfd_gettime(fd, &left) == 0 && left.it_value.tv_nsec > 0);
	sleep_ns(55 * MILLISECOND);
	CHECK(read(fd, &count, 8) == 8 && count >= 5 && count <= 12);
	struct pollfd f = {.fd = fd, .events = POLLIN};
	CHECK(poll(&f, 1, 1000) == 1 && f.revents == POLLIN);
	memset(&setting, 0, sizeof setting);
	CHECK(timerfd_settime(fd, 0, &setting, &left) == 0 && left.it_interval.tv_nsec == 10 * MILLISECOND);
	FAILS(read(fd, &count, 8), EAGAIN);
	close(fd);
	fd = timerfd_create(CLOCK_REALTIME, 0);
	setting.it_value = timespec_of(clock_ns(CLOCK_REALTIME) + 20 * MILLISECOND);
	int64_t before = now();
	CHECK(timerfd_settime(fd, TFD_TIMER_ABSTIME, &setting, NULL) == 0 && read(fd, &count, 8) == 8 && count == 1);
	CHECK(now() - before >= 18 * MILLISECOND && now() - before < 500 * MILLISECOND);
	setting.it_value.tv_nsec = -1;
	FAILS(timerfd_settime(fd, 0, &setting, NULL), EINVAL);
	FAILS(timerfd_create(99, 0), EINVAL);
	close(fd);
}

int main(void)
{
	errors();
	modes();
	waiting();
	signals();
	timers();
	puts("SUCCESS");
	return 0;
}
