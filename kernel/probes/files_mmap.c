/* Mapped files of /tmp: shared and private, beyond the end, truncated, without a name; descriptors and their limits. SUCCESS */
#include "check.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdbool.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define FAILS(call, error) CHECK((errno = 0, (call)) == -1 && errno == (error))
#define MAP_FAILS(call, error) CHECK((errno = 0, (call)) == MAP_FAILED && errno == (error))
static sigjmp_buf back;

static void on_bus(int number, siginfo_t *info, void *context)
{
	(void)number, (void)info, (void)context;
	siglongjmp(back, 1);
}

static bool touch_faults(volatile char *p)
{
	if (sigsetjmp(back, 1))
		return true;
	*p;
	return false;
}

static void mappings(void)
{
	char c;
	int fd = open("/tmp/mapped", O_RDWR | O_CREAT | O_TRUNC, 0600), only_read = open("/tmp/mapped", O_RDONLY);
	CHECK(fd >= 0 && only_read >= 0 && write(fd, "contents", 8) == 8);
	char *shared = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	char *own = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, only_read, 0);
	CHECK(shared != MAP_FAILED && own != MAP_FAILED);
	CHECK(memcmp(shared, "contents", 8) == 0 && shared[8] == 0);
	shared[0] = 'C';
	CHECK(pread(fd, &c, 1, 0) == 1 && c == 'C' && own[0] == 'C');
	own[0] = 'o';
	CHECK(shared[0] == 'C' && pread(fd, &c, 1, 0) == 1 && c == 'C');
	CHECK(pwrite(fd, "W", 1, 1) == 1 && shared[1] == 'W');
	handle(SIGBUS, on_bus, 0);
	CHECK(touch_faults(shared + 4096));
	CHECK(ftruncate(fd, 5000) == 0 && !touch_faults(shared + 4096) && shared[4096] == 0);
	shared[4096] = 'z';
	CHECK(pread(fd, &c, 1, 4096) == 1 && c == 'z');
	CHECK(ftruncate(fd, 100) == 0 && touch_faults(shared + 4096) && shared[0] == 'C');
	CHECK(ftruncate(fd, 8192) == 0 && shared[4096] == 0);
	/* The file into itself: the page read is the page written. */
	CHECK(pwrite(fd, shared, 100, 4096) == 100 && shared[4096] == 'C' && msync(shared, 8192, MS_SYNC) == 0);
	MAP_FAILS(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, only_read, 0), EACCES);
	MAP_FAILS(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 100), EINVAL);
	MAP_FAILS(mmap(NULL, 0, PROT_READ, MAP_SHARED, fd, 0), EINVAL);
	MAP_FAILS(mmap(NULL, 4096, PROT_READ, MAP_SHARED, 999, 0), EBADF);
	int directory = open("/tmp", O_RDONLY);
	MAP_FAILS(mmap(NULL, 4096, PROT_READ, MAP_SHARED, directory, 0), ENODEV);
	/* It lives on without name and descriptor. */
	CHECK(unlink("/tmp/mapped") == 0 && close(fd) == 0 && close(only_read) == 0 && shared[0] == 'C');
	CHECK(munmap(shared, 8192) == 0 && munmap(own, 4096) == 0 && close(directory) == 0);
	int zero = open("/dev/zero", O_RDWR);
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, zero, 0);
	CHECK(shared != MAP_FAILED && shared[5] == 0 && munmap(shared, 4096) == 0 && close(zero) == 0);
}

static void sealing(void)
{
	int fd = (int)syscall(SYS_memfd_create, "name", 3 /* MFD_CLOEXEC | MFD_ALLOW_SEALING */);
	CHECK(fd >= 0 && ftruncate(fd, 100) == 0 && fcntl(fd, F_GET_SEALS) == 0);
	CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0);
	FAILS(ftruncate(fd, 50), EPERM);
	FAILS(ftruncate(fd, 200), EPERM);
	CHECK(pwrite(fd, "x", 1, 0) == 1 && fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) == 0);
	FAILS(pwrite(fd, "x", 1, 0), EPERM);
	close(fd);
}

static void descriptors(void)
{
	struct rlimit limit, old;
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC), copy;
	CHECK(fd >= 0 && (copy = dup(fd)) > fd && fcntl(fd, F_GETFD) == FD_CLOEXEC && fcntl(copy, F_GETFD) == 0);
	CHECK(fcntl(copy, F_SETFL, O_NONBLOCK) == 0 && fcntl(fd, F_GETFL) & O_NONBLOCK);
	CHECK(dup2(fd, fd) == fd && dup2(fd, 100) == 100 && fcntl(100, F_GETFD) == 0);
	FAILS(dup3(fd, fd, 0), EINVAL);
	FAILS(dup2(fd, 1 << 20), EBADF);
	FAILS(dup2(999, 5), EBADF);
	CHECK(fcntl(fd, F_DUPFD_CLOEXEC, 200) == 200 && fcntl(200, F_GETFD) == FD_CLOEXEC);
	FAILS(fcntl(fd, F_DUPFD, 1 << 20), EINVAL);
	CHECK(syscall(SYS_close_range, 100, 200, 0) == 0);
	FAILS(fcntl(100, F_GETFD), EBADF);
	CHECK(getrlimit(RLIMIT_NOFILE, &old) == 0);
	limit = old;
	limit.rlim_cur = 20;
	CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	int last = fd;
	while ((copy = dup(fd)) >= 0)
		last = copy;
	CHECK(errno == EMFILE && last == 19);
	int p[2];
	FAILS(pipe(p), EMFILE);
	CHECK(syscall(SYS_close_range, fd, ~0u, 0) == 0 && setrlimit(RLIMIT_NOFILE, &old) == 0);
	limit.rlim_cur = 30, limit.rlim_max = 20;
	FAILS(setrlimit(RLIMIT_NOFILE, &limit), EINVAL);
}

static void locks(void)
{
	int a = open("/tmp/locked", O_RDWR | O_CREAT, 0600), b = open("/tmp/locked", O_RDWR);
	CHECK(a >= 0 && b >= 0 && flock(a, LOCK_EX) == 0);
	FAILS(flock(b, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	FAILS(flock(b, LOCK_SH | LOCK_NB), EWOULDBLOCK);
	CHECK(flock(a, LOCK_SH) == 0 && flock(b, LOCK_SH | LOCK_NB) == 0 && flock(a, LOCK_UN) == 0);
	CHECK(flock(b, LOCK_EX | LOCK_NB) == 0 && close(b) == 0 && flock(a, LOCK_EX | LOCK_NB) == 0);
	struct flock record = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 10};
	CHECK(fcntl(a, F_SETLK, &record) == 0 && fcntl(a, F_GETLK, &record) == 0 && record.l_type == F_UNLCK);
	record.l_type = 99;
	FAILS(fcntl(a, F_SETLK, &record), EINVAL);
	close(a);
	unlink("/tmp/locked");
}

int main(void)
{
	mappings();
	sealing();
	descriptors();
	locks();
	puts("SUCCESS");
	return 0;
}
