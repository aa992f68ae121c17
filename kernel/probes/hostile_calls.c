/* Calls made to hurt: each of these did once end the kernel, or keep it busy for ever, or take memory that nobody had counted. SUCCESS */
#include "check.h"
#include <dirent.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/un.h>

static volatile int came;

static void comes(int signal, siginfo_t *info, void *context)
{
	(void)signal, (void)info, (void)context;
	came++;
}

/* ---- time ----------------------------------------------------------------------------------------------------------------------- */

static const struct itimerspec absurd = {{INT64_MAX, 0}, {0, 1}}, fast = {{0, 1}, {0, 1}}, never;

/* A million steps: in vain where interrupts leave no time for one. */
static void get_on(void)
{
	for (volatile int i = 0; i < 1000000; i++)
		;
}

static void timers(void)
{
	struct timespec far = {INT64_MAX / SECOND, 0};
	struct itimerval fast_interval = {{0, 1}, {0, 1}}, no_interval = {{0, 0}, {0, 0}};
	struct sigevent nothing = {.sigev_notify = SIGEV_NONE}, signal = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2};
	timer_t timer, many[64];
	uint64_t expirations;
	sigset_t set;
	handle(SIGALRM, comes, 0);
	handle(SIGUSR2, comes, 0);
	/* The second expiration lies behind the end of time. */
	CHECK(timer_create(CLOCK_MONOTONIC, &signal, &timer) == 0 && timer_settime(timer, 0, &absurd, NULL) == 0);
	get_on();
	CHECK(came == 1 && timer_delete(timer) == 0);
	CHECK(timer_create(CLOCK_PROCESS_CPUTIME_ID, &signal, &timer) == 0 && timer_settime(timer, 0, &absurd, NULL) == 0);
	sleep_ns(3 * MILLISECOND);
	CHECK(timer_delete(timer) == 0);
	/* A clock that runs over would stand before the times that others wait for. */
	CHECK(clock_settime(CLOCK_REALTIME, &far) == -1 && errno == EINVAL);
	/* Faster than the machine. */
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	CHECK(fd >= 0 && timerfd_settime(fd, 0, &fast, NULL) == 0 && setitimer(ITIMER_REAL, &fast_interval, NULL) == 0);
	for (int i = 0; i < 64; i++)
		CHECK(timer_create(CLOCK_MONOTONIC, i ? &nothing : &signal, &many[i]) == 0 && timer_settime(many[i], 0, &fast, NULL) == 0);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	CHECK(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
	get_on();
	CHECK(pthread_sigmask(SIG_UNBLOCK, &set, NULL) == 0);
	get_on();
	CHECK(read(fd, &expirations, 8) == 8 && expirations > 100000 && setitimer(ITIMER_REAL, &no_interval, NULL) == 0);
	for (int i = 0; i < 64; i++)
		CHECK(timer_delete(many[i]) == 0);
	CHECK(close(fd) == 0);
}

static void *reads(void *pair)
{
	char byte;
	CHECK(read(*(int *)pair, &byte, 1) == 0);
	return NULL;
}

/* Until the clock of a thread that waits has gone on a nanosecond: it does not. */
static void clock_that_stands(void)
{
	int pair[2];
	clockid_t clock;
	struct itimerval soon = {{0, 0}, {0, 20000}};
	CHECK(pipe(pair) == 0);
	pthread_t t = start(reads, pair);
	sleep_ns(MILLISECOND);
	CHECK(pthread_getcpuclockid(t, &clock) == 0 && setitimer(ITIMER_REAL, &soon, NULL) == 0);
	struct timespec until = timespec_of(clock_ns(clock) + 1);
	CHECK(clock_nanosleep(clock, TIMER_ABSTIME, &until, NULL) == EINTR);
	CHECK(close(pair[1]) == 0 && pthread_join(t, NULL) == 0 && close(pair[0]) == 0);
}

/* ---- files ---------------------------------------------------------------------------------------------------------------------- */

/* Positions at which an entry of the kernel's tables would lie far away. */
static void listings(void)
{
	static const char *const paths[] = {"/proc", "/dev", "/sys", "/proc/self/fd", "/proc/self/task", "/tmp", "/", "/bin"};
	char list[4096];
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
		int fd = open(paths[i], O_RDONLY | O_DIRECTORY);
		CHECK(fd >= 0);
		for (int bit = 3; bit < 63; bit++)
			for (int64_t more = -2; more < 3; more++)
				if (lseek(fd, (1ll << bit) + more, SEEK_SET) >= 0)
					CHECK(syscall(SYS_getdents64, fd, list, sizeof list) >= -1);
		CHECK(close(fd) == 0);
	}
}

static int locked_fd;

static void *locks(void *argument)
{
	CHECK(flock(locked_fd, LOCK_EX) == 0);
	return argument;
}

/* Two threads wait to lock one open file: it stood in the list of locks twice. */
static void locks_twice(void)
{
	int other = open("/tmp/lock", O_RDWR | O_CREAT, 0600);
	locked_fd = open("/tmp/lock", O_RDWR);
	CHECK(other >= 0 && locked_fd >= 0 && flock(other, LOCK_EX) == 0);
	pthread_t one = start(locks, NULL), two = start(locks, NULL);
	sleep_ns(MILLISECOND);
	CHECK(flock(other, LOCK_UN) == 0 && pthread_join(one, NULL) == 0 && pthread_join(two, NULL) == 0);
	CHECK(flock(other, LOCK_EX | LOCK_NB) == -1 && errno == EWOULDBLOCK);
	CHECK(flock(locked_fd, LOCK_UN) == 0 && flock(other, LOCK_EX | LOCK_NB) == 0 && close(other) == 0 && close(locked_fd) == 0);
	CHECK(unlink("/tmp/lock") == 0);
}

/* Names and the texts of links are memory as files are. */
static void names(void)
{
	char name[64], target[4096];
	struct statvfs s;
	int made = 0, links = 0;
	memset(target, 'x', sizeof target - 1);
	target[sizeof target - 1] = 0;
	CHECK(statvfs("/tmp", &s) == 0);
	uint64_t before = s.f_ffree, blocks = s.f_bfree;
	for (; snprintf(name, sizeof name, "/tmp/long%d", links) && symlink(target, name) == 0; links++)
		;
	CHECK(errno == ENOSPC && statvfs("/tmp", &s) == 0 && s.f_bfree == 0 && (uint64_t)links == blocks);
	while (links > 0 && snprintf(name, sizeof name, "/tmp/long%d", --links))
		CHECK(unlink(name) == 0);
	CHECK(mknod("/tmp/file", S_IFREG | 0600, 0) == 0);
	for (; snprintf(name, sizeof name, "/tmp/name%d", made) && link("/tmp/file", name) == 0; made++)
		;
	CHECK(errno == ENOSPC && (uint64_t)made + 1 == before && statvfs("/tmp", &s) == 0 && s.f_ffree == 0);
	CHECK(unlink("/tmp/file") == 0);
	while (made > 0 && snprintf(name, sizeof name, "/tmp/name%d", --made))
		CHECK(unlink(name) == 0);
	CHECK(statvfs("/tmp", &s) == 0 && s.f_ffree == before && s.f_bfree == blocks);
}

/* A file's name must not make up lines of the map. */
static void names_with_lines(void)
{
	static const char name[] = "/tmp/a\n00010000-00020000 rwxp 00000000 00:00 0";
	char maps[16384];
	int fd = open(name, O_RDWR | O_CREAT, 0600), map = open("/proc/self/maps", O_RDONLY);
	CHECK(fd >= 0 && map >= 0 && ftruncate(fd, 4096) == 0);
	void *p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	ssize_t length = read(map, maps, sizeof maps - 1);
	CHECK(p != MAP_FAILED && length > 0);
	maps[length] = 0;
	CHECK(strstr(maps, "/tmp/a\\01200010000-00020000 rwxp") != NULL && strstr(maps, "\n00010000") == NULL);
	CHECK(munmap(p, 4096) == 0 && close(fd) == 0 && close(map) == 0 && unlink(name) == 0);
}

/* Nobody else runs meanwhile: two gigabytes of random numbers are no single call. */
static void long_calls(void)
{
	int from = open("/dev/urandom", O_RDONLY), to = open("/dev/null", O_WRONLY);
	ssize_t moved = sendfile(to, from, NULL, 0x7ffff000);
	CHECK(moved > 0 && moved <= 64 << 20 && close(from) == 0 && close(to) == 0);
}

/* ---- waiting -------------------------------------------------------------------------------------------------------------------- */

/* Four layers of sets, each watching the one below 200 times: a billion ways from the pipe to the top. */
static void many_ways(void)
{
	enum { LAYERS = 4, WAYS = 200 };
	struct epoll_event event = {.events = EPOLLIN}, events[4];
	int pair[2], below, copy, set = -1;
	char byte;
	CHECK(pipe2(pair, O_NONBLOCK) == 0);
	below = pair[0];
	int64_t before = now();
	for (int layer = 0; layer < LAYERS; layer++) {
		set = epoll_create1(0);
		CHECK(set >= 0);
		for (int i = 0; i < WAYS; i++)
			CHECK((copy = dup(below)) >= 0 && epoll_ctl(set, EPOLL_CTL_ADD, copy, &event) == 0);
		below = set;
	}
	for (int i = 0; i < 3; i++) {
		CHECK(write(pair[1], "x", 1) == 1 && epoll_wait(set, events, 4, 0) == 4 && read(pair[0], &byte, 1) == 1);
		CHECK(epoll_wait(set, events, 4, 0) == 0);
	}
	CHECK(now() - before < 5 * SECOND);
	for (int fd = 3; fd < 1024; fd++)
		close(fd);
}

static struct sockaddr_un place = {.sun_family = AF_UNIX, .sun_path = "/tmp/place"};
static volatile int outcome;

static void *connects(void *type)
{
	int s = socket(AF_UNIX, (int)(intptr_t)type, 0);
	char message[60000] = "";
	if ((intptr_t)type == SOCK_STREAM)
		outcome = connect(s, (struct sockaddr *)&place, sizeof place) == 0 ? 0 : errno;
	else
		while ((outcome = sendto(s, message, sizeof message, 0, (struct sockaddr *)&place, sizeof place) > 0 ? 0 : errno) == 0)
			;
	close(s);
	return NULL;
}

/* The socket that a thread waits for is closed by another: the thread stood in the line of an object that was no more. */
static void closed_meanwhile(int type)
{
	int s = socket(AF_UNIX, type, 0), early[4], used = 0;
	CHECK(s >= 0 && bind(s, (struct sockaddr *)&place, sizeof place) == 0);
	if (type == SOCK_STREAM) {
		CHECK(listen(s, 1) == 0);
		for (; used < 2; used++)
			CHECK((early[used] = socket(AF_UNIX, type, 0)) >= 0 && connect(early[used], (struct sockaddr *)&place, sizeof place) == 0);
	}
	pthread_t t = start(connects, (void *)(intptr_t)type);
	sleep_ns(5 * MILLISECOND);
	CHECK(close(s) == 0 && pthread_join(t, NULL) == 0 && outcome == ECONNREFUSED && unlink(place.sun_path) == 0);
	while (used > 0)
		CHECK(close(early[--used]) == 0);
}

/* Connections that wait to be accepted have no descriptors that would bound them. */
static void many_sockets(void)
{
	int listeners[80], count = 0, error = 0, s;
	while (count < 80 && error == 0) {
		snprintf(place.sun_path + 1, 40, "many%d", count);
		place.sun_path[0] = 0;
		CHECK((listeners[count] = socket(AF_UNIX, SOCK_STREAM, 0)) >= 0);
		CHECK(bind(listeners[count], (struct sockaddr *)&place, 2 + 1 + 8) == 0 && listen(listeners[count], 1000) == 0);
		for (int i = 0; i < 128 && error == 0; i++) {
			s = socket(AF_UNIX, SOCK_STREAM, 0);
			error = s < 0 || connect(s, (struct sockaddr *)&place, 2 + 1 + 8) < 0 ? errno : 0;
			close(s);
		}
		count++;
	}
	CHECK(error == ENOMEM && count < 80);
	while (count > 0)
		CHECK(close(listeners[--count]) == 0);
	/* Each of many looked at all others when it was closed. */
	struct rlimit limit = {4096, 4096};
	CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	for (count = 0; socket(AF_UNIX, SOCK_DGRAM, 0) >= 0; count++)
		;
	int64_t before = now();
	CHECK(count > 4000 && syscall(SYS_close_range, 3, ~0u, 0) == 0 && now() - before < 200 * MILLISECOND);
	CHECK((s = socket(AF_UNIX, SOCK_STREAM, 0)) >= 0 && close(s) == 0);
}

int main(void)
{
	timers();
	clock_that_stands();
	listings();
	locks_twice();
	names();
	names_with_lines();
	long_calls();
	many_ways();
	closed_meanwhile(SOCK_STREAM);
	closed_meanwhile(SOCK_DGRAM);
	many_sockets();
	puts("SUCCESS");
	return 0;
}
