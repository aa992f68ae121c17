/* Pipes, FIFOs, event counters, socket pairs, sendfile and splice. SUCCESS */
#include "check.h"
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

#define FAILS(call, error) CHECK((errno = 0, (call)) == -1 && errno == (error))
static char block[200000];
static int p[2];

static void *slow_reader(void *unused)
{
	char buffer[5000];
	size_t total = 0;
	(void)unused;
	sleep_ns(20 * MILLISECOND);
	for (ssize_t n; (n = read(p[0], buffer, sizeof buffer)) > 0;)
		total += (size_t)n;
	return (void *)total;
}

static void pipes(void)
{
	char buffer[64];
	int n;
	signal(SIGPIPE, SIG_IGN);
	CHECK(pipe2(p, O_NONBLOCK | O_CLOEXEC) == 0 && fcntl(p[0], F_GETFD) == FD_CLOEXEC);
	FAILS(read(p[0], buffer, 1), EAGAIN);
	FAILS(lseek(p[0], 0, SEEK_CUR), ESPIPE);
	FAILS(pread(p[0], buffer, 1, 0), ESPIPE);
	FAILS(read(p[1], buffer, 1), EBADF);
	FAILS(write(p[0], buffer, 1), EBADF);
	CHECK(write(p[1], block, sizeof block) == 65536);
	FAILS(write(p[1], block, 1), EAGAIN);
	CHECK(ioctl(p[0], FIONREAD, &n) == 0 && n == 65536);
	CHECK(read(p[0], block, 4096) == 4096 && write(p[1], block, 4096) == 4096);
	FAILS(fcntl(p[1], F_SETPIPE_SZ, 4096), EBUSY);
	CHECK(fcntl(p[1], F_SETPIPE_SZ, 100000) == 131072 && fcntl(p[0], F_GETPIPE_SZ) == 131072 && write(p[1], block, sizeof block) == 65536);
	CHECK(read(p[0], block, sizeof block) == 131072);
	CHECK(close(p[1]) == 0 && read(p[0], buffer, 1) == 0 && close(p[0]) == 0);
	CHECK(pipe(p) == 0 && close(p[0]) == 0);
	FAILS(write(p[1], "x", 1), EPIPE);
	close(p[1]);

	/* A writer waits for its reader. */
	CHECK(pipe(p) == 0);
	pthread_t t = start(slow_reader, NULL);
	void *total;
	CHECK(write(p[1], block, sizeof block) == sizeof block && close(p[1]) == 0);
	CHECK(pthread_join(t, &total) == 0 && (size_t)total == sizeof block && close(p[0]) == 0);

	struct iovec v[3] = {{"ab", 2}, {NULL, 0}, {"cde", 3}};
	CHECK(pipe(p) == 0 && writev(p[1], v, 3) == 5 && read(p[0], buffer, 64) == 5 && memcmp(buffer, "abcde", 5) == 0);
	v[0].iov_len = (size_t)-1;
	FAILS(writev(p[1], v, 3), EINVAL);
	FAILS(writev(p[1], v, 2000), EINVAL);
	CHECK(writev(p[1], v, 0) == 0);
	close(p[0]), close(p[1]);
}

static void *fifo_writer(void *unused)
{
	(void)unused;
	int fd = open("/tmp/fifo", O_WRONLY);
	CHECK(fd >= 0 && write(fd, "hello", 5) == 5 && close(fd) == 0);
	return NULL;
}

static void fifos(void)
{
	char buffer[16];
	struct stat s;
	unlink("/tmp/fifo");
	CHECK(mkfifo("/tmp/fifo", 0600) == 0 && stat("/tmp/fifo", &s) == 0 && S_ISFIFO(s.st_mode));
	FAILS(open("/tmp/fifo", O_WRONLY | O_NONBLOCK), ENXIO);
	pthread_t t = start(fifo_writer, NULL);
	int fd = open("/tmp/fifo", O_RDONLY);
	CHECK(fd >= 0 && read(fd, buffer, 16) == 5 && read(fd, buffer, 16) == 0 && close(fd) == 0 && pthread_join(t, NULL) == 0);
	CHECK(unlink("/tmp/fifo") == 0);
}

static void counters(void)
{
	uint64_t value = 0;
	int fd = eventfd(3, EFD_NONBLOCK), semaphore = eventfd(2, EFD_NONBLOCK | EFD_SEMAPHORE);
	CHECK(fd >= 0 && semaphore >= 0 && read(fd, &value, 8) == 8 && value == 3);
	FAILS(read(fd, &value, 8), EAGAIN);
	FAILS(read(fd, &value, 7), EINVAL);
	value = UINT64_MAX;
	FAILS(write(fd, &value, 8), EINVAL);
	value = UINT64_MAX - 1;
	CHECK(write(fd, &value, 8) == 8);
	value = 1;
	FAILS(write(fd, &value, 8), EAGAIN);
	struct pollfd f = {.fd = fd, .events = POLLIN | POLLOUT};
	CHECK(poll(&f, 1, 0) == 1 && f.revents == POLLIN);
	CHECK(read(semaphore, &value, 8) == 8 && value == 1 && read(semaphore, &value, 8) == 8 && value == 1);
	FAILS(read(semaphore, &value, 8), EAGAIN);
	close(fd), close(semaphore);
}

static void sockets(void)
{
	int s[2], value;
	char buffer[64];
	socklen_t length = sizeof value;
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, s) == 0);
	FAILS(recv(s[0], buffer, 1, 0), EAGAIN);
	CHECK(send(s[0], "stream", 6, 0) == 6 && recv(s[1], buffer, 64, MSG_PEEK) == 6 && recv(s[1], buffer, 3, 0) == 3);
	CHECK(read(s[1], buffer, 64) == 3 && memcmp(buffer, "eam", 3) == 0);
	CHECK(getsockopt(s[0], SOL_SOCKET, SO_TYPE, &value, &length) == 0 && value == SOCK_STREAM);
	struct pollfd f = {.fd = s[1], .events = POLLIN | POLLOUT | POLLRDHUP};
	CHECK(poll(&f, 1, 0) == 1 && f.revents == POLLOUT);
	CHECK(shutdown(s[0], SHUT_WR) == 0 && recv(s[1], buffer, 64, 0) == 0 && send(s[1], "x", 1, 0) == 1);
	CHECK(poll(&f, 1, 0) == 1 && f.revents == (POLLIN | POLLOUT | POLLRDHUP));
	FAILS(send(s[0], "x", 1, MSG_NOSIGNAL), EPIPE);
	CHECK(read(s[0], buffer, 64) == 1 && close(s[0]) == 0 && poll(&f, 1, 0) == 1 && f.revents & POLLHUP);
	FAILS(send(s[1], "x", 1, MSG_NOSIGNAL), EPIPE);
	close(s[1]);
	CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, s) == 0 && send(s[0], "one", 3, 0) == 3 && send(s[0], "three", 5, 0) == 5);
	struct iovec v = {buffer, 2};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
	CHECK(recvmsg(s[1], &m, 0) == 2 && m.msg_flags & MSG_TRUNC && recv(s[1], buffer, 64, 0) == 5);
	close(s[0]), close(s[1]);
	FAILS(send(0, "x", 1, 0), ENOTSOCK);
}

static void moving(void)
{
	char buffer[64];
	int file = open("/tmp/moving", O_RDWR | O_CREAT | O_TRUNC, 0600), other = open("/tmp/moving2", O_RDWR | O_CREAT | O_TRUNC, 0600);
	off_t at = 2;
	CHECK(write(file, "0123456789", 10) == 10 && pipe(p) == 0);
	CHECK(sendfile(p[1], file, &at, 4) == 4 && at == 6 && read(p[0], buffer, 64) == 4 && memcmp(buffer, "2345", 4) == 0);
	CHECK(lseek(file, 0, SEEK_SET) == 0 && sendfile(other, file, NULL, 100) == 10 && lseek(file, 0, SEEK_CUR) == 10);
	at = 1;
	CHECK(syscall(SYS_copy_file_range, file, &at, other, NULL, 3, 0) == 3 && at == 4);
	CHECK(pread(other, buffer, 64, 0) == 13 && memcmp(buffer, "0123456789123", 13) == 0);
	at = 0;
	CHECK(syscall(SYS_splice, file, &at, p[1], NULL, 5, 0) == 5 && at == 5 && syscall(SYS_splice, p[0], NULL, other, NULL, 100, 0) == 5);
	CHECK(pread(other, buffer, 64, 13) == 5 && memcmp(buffer, "01234", 5) == 0);
	FAILS(syscall(SYS_splice, file, NULL, other, NULL, 5, 0), EINVAL);
	FAILS(syscall(SYS_splice, file, NULL, p[1], &at, 5, 0), ESPIPE);
	close(file), close(other), close(p[0]), close(p[1]);
	unlink("/tmp/moving"), unlink("/tmp/moving2");
}

int main(void)
{
	pipes();
	fifos();
	counters();
	sockets();
	moving();
	puts("SUCCESS");
	return 0;
}
