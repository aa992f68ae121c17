/* /tmp: renames, links, holes, truncation, times, modes, listings, files without names. SUCCESS */
#include "check.h"
#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define FAILS(call, error) CHECK((errno = 0, (call)) == -1 && errno == (error))
#define NOREPLACE 1
#define EXCHANGE 2

static int rename2(const char *from, const char *to, unsigned flags)
{
	return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags);
}

static void make(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0);
}

static char has(const char *path)
{
	char c = 0;
	int fd = open(path, O_RDONLY);
	if (fd < 0)
		return 0;
	CHECK(read(fd, &c, 1) == 1 && close(fd) == 0);
	return c;
}

static void renames(void)
{
	struct stat s;
	make("a", "A");
	make("b", "B");
	CHECK(mkdir("d", 0755) == 0 && mkdir("d/e", 0755) == 0 && mkdir("empty", 0755) == 0);
	CHECK(rename("a", "b") == 0 && has("b") == 'A' && !has("a"));
	FAILS(rename("a", "x"), ENOENT);
	FAILS(rename("b", "d"), EISDIR);
	FAILS(rename("d", "b"), ENOTDIR);
	FAILS(rename("d", "d/e/f"), EINVAL);
	FAILS(rename("d/e", "d"), ENOTEMPTY);
	FAILS(rename("empty", "d"), ENOTEMPTY);
	FAILS(rename("b/", "c"), ENOTDIR);
	FAILS(rename("b", "c/"), ENOTDIR);
	FAILS(rename(".", "x"), EBUSY);
	FAILS(rename("b", "x/y"), ENOENT);
	FAILS(rename2("b", "empty", NOREPLACE), EEXIST);
	FAILS(rename2("b", "nothing", EXCHANGE), ENOENT);
	FAILS(rename2("b", "c", NOREPLACE | EXCHANGE), EINVAL);
	CHECK(rename("d/e", "empty") == 0);
	CHECK(stat("d", &s) == 0 && s.st_nlink == 2);
	make("c", "C");
	CHECK(rename2("b", "c", EXCHANGE) == 0 && has("b") == 'C' && has("c") == 'A');
	CHECK(rename2("c", "d", EXCHANGE) == 0 && has("d") == 'A' && stat("c", &s) == 0 && S_ISDIR(s.st_mode));
	CHECK(rename("c", "new/") == 0 && rename2("b", "c", NOREPLACE) == 0);
	/* Two names of one file: renaming one onto the other does nothing. */
	CHECK(link("c", "c2") == 0 && stat("c", &s) == 0 && s.st_nlink == 2);
	CHECK(rename("c", "c2") == 0 && has("c") == 'C' && has("c2") == 'C');
	CHECK(unlink("c") == 0 && unlink("c2") == 0 && unlink("d") == 0 && rmdir("new") == 0 && rmdir("empty") == 0);
}

static void contents(void)
{
	char buffer[10000];
	struct stat s;
	int fd = open("f", O_RDWR | O_CREAT, 0644);
	CHECK(fd >= 0 && pwrite(fd, "end", 3, (off_t)1 << 32) == 3);
	CHECK(fstat(fd, &s) == 0 && s.st_size == ((off_t)1 << 32) + 3 && s.st_blocks < 100);
	CHECK(lseek(fd, 0, SEEK_DATA) <= (off_t)1 << 32 && lseek(fd, 0, SEEK_HOLE) == 0);
	CHECK(pread(fd, buffer, 100, 4096) == 100 && buffer[50] == 0);
	CHECK(pread(fd, buffer, 100, (off_t)1 << 32) == 3 && memcmp(buffer, "end", 3) == 0);
	CHECK(pread(fd, buffer, 100, (off_t)1 << 33) == 0);
	memset(buffer, 'x', sizeof buffer);
	CHECK(ftruncate(fd, 0) == 0 && pwrite(fd, buffer, sizeof buffer, 0) == sizeof buffer);
	CHECK(ftruncate(fd, 5000) == 0 && ftruncate(fd, 9000) == 0);
	CHECK(pread(fd, buffer, sizeof buffer, 0) == 9000 && buffer[4999] == 'x' && buffer[5000] == 0 && buffer[8999] == 0);
	FAILS(ftruncate(fd, -1), EINVAL);
	FAILS(lseek(fd, 9000, SEEK_DATA), ENXIO);
	FAILS(fallocate(fd, 0, 0, 0), EINVAL);
	CHECK(fallocate(fd, 0, 0, 20000) == 0 && fstat(fd, &s) == 0 && s.st_size == 20000);
	CHECK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 100, 4000) == 0);
	CHECK(pread(fd, buffer, 5000, 0) == 5000 && buffer[99] == 'x' && buffer[100] == 0 && buffer[4099] == 0 && buffer[4100] == 'x');
	/* Appending, whatever the position. */
	CHECK(fcntl(fd, F_SETFL, O_APPEND) == 0 && lseek(fd, 0, SEEK_SET) == 0 && write(fd, "app", 3) == 3);
	CHECK(lseek(fd, 0, SEEK_CUR) == 20003 && fstat(fd, &s) == 0 && s.st_size == 20003);
	/* Writing what cannot be read. */
	FAILS(write(fd, (char *)8, 4), EFAULT);
	CHECK(fstat(fd, &s) == 0 && s.st_size == 20003);
	char *two = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(two != MAP_FAILED && mprotect(two + 4096, 4096, PROT_NONE) == 0);
	CHECK(write(fd, two + 4090, 100) == 6);
	CHECK(pread(fd, two + 4090, 100, 0) == 6);
	munmap(two, 8192);
	/* A file without a name lives while it is open. */
	CHECK(unlink("f") == 0 && fstat(fd, &s) == 0 && s.st_nlink == 0 && pread(fd, buffer, 10, 20000) == 9);
	close(fd);
	FAILS(open("f", O_RDONLY), ENOENT);
}

static void temporary(void)
{
	char path[64];
	struct stat s;
	int fd = open(".", O_RDWR | O_TMPFILE, 0600);
	if (fd < 0) { /* not every file system of a host has it */
		CHECK(errno == EOPNOTSUPP);
		return;
	}
	CHECK(fstat(fd, &s) == 0 && s.st_nlink == 0 && write(fd, "T", 1) == 1);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	CHECK(linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW) == 0 && has("named") == 'T');
	CHECK(fstat(fd, &s) == 0 && s.st_nlink == 1 && close(fd) == 0 && unlink("named") == 0);
	FAILS(open(".", O_RDONLY | O_TMPFILE, 0600), EINVAL);
}

static void attributes(void)
{
	struct stat s;
	struct timespec times[2] = {{1000000000, 123456789}, {-5, 999999999}};
	umask(022);
	int fd = open("f", O_RDWR | O_CREAT, 0666);
	CHECK(fd >= 0 && fstat(fd, &s) == 0 && (s.st_mode & 07777) == 0644);
	CHECK(chmod("f", 04755) == 0 && stat("f", &s) == 0 && (s.st_mode & 07777) == 04755);
	CHECK(chown("f", 5, 6) == 0 && stat("f", &s) == 0 && s.st_uid == 5 && s.st_gid == 6 && (s.st_mode & 07777) == 0755);
	CHECK(futimens(fd, times) == 0 && stat("f", &s) == 0);
	CHECK(s.st_atim.tv_sec == 1000000000 && s.st_atim.tv_nsec == 123456789 && s.st_mtim.tv_sec == -5 && s.st_mtim.tv_nsec == 999999999);
	times[0].tv_nsec = UTIME_OMIT;
	times[1].tv_nsec = UTIME_NOW;
	CHECK(utimensat(AT_FDCWD, "f", times, 0) == 0 && stat("f", &s) == 0 && s.st_atim.tv_sec == 1000000000 && s.st_mtim.tv_sec > 1600000000);
	times[0].tv_nsec = 1000000000;
	FAILS(utimensat(AT_FDCWD, "f", times, 0), EINVAL);
	FAILS(utimensat(AT_FDCWD, "nothing", NULL, 0), ENOENT);
	CHECK(symlink("f", "l") == 0 && utimensat(AT_FDCWD, "l", NULL, AT_SYMLINK_NOFOLLOW) == 0);
	struct statvfs v;
	CHECK(statvfs(".", &v) == 0 && v.f_bsize > 0 && v.f_blocks >= v.f_bfree && v.f_namemax == 255);
	close(fd);
	CHECK(unlink("f") == 0 && unlink("l") == 0);
}

/* Every name is seen once, though others come and go during the listing; and telldir leads back. */
static void listing(void)
{
	enum { COUNT = 500 };
	char name[32], seen[COUNT] = {0};
	for (int i = 0; i < COUNT; i++) {
		snprintf(name, sizeof name, "entry-with-a-long-name%03d", i);
		make(name, "x");
	}
	DIR *d = opendir(".");
	CHECK(d);
	int count = 0, dots = 0;
	long place = 0;
	char after[32] = "";
	for (struct dirent *e; (e = readdir(d));) {
		if (place && !after[0])
			snprintf(after, sizeof after, "%s", e->d_name);
		if (e->d_name[0] == '.') {
			CHECK(e->d_type == DT_DIR || e->d_type == DT_UNKNOWN);
			dots++;
			continue;
		}
		int n = atoi(e->d_name + 22);
		CHECK(!seen[n]++ && (e->d_type == DT_REG || e->d_type == DT_UNKNOWN));
		CHECK(unlink(e->d_name) == 0);
		if (++count == 250)
			place = telldir(d);
	}
	CHECK(count == COUNT && dots == 2);
	rewinddir(d);
	for (count = 0; readdir(d);)
		count++;
	CHECK(count == 2);
	closedir(d);
}

int main(void)
{
	char directory[] = "/tmp/tmpXXXXXX";
	CHECK(mkdtemp(directory) && chdir(directory) == 0);
	renames();
	contents();
	temporary();
	attributes();
	listing();
	CHECK(chdir("/") == 0 && rmdir(directory) == 0);
	puts("SUCCESS");
	return 0;
}
