/* Paths and their errors: dots, slashes, links, lengths, the working directory, what may stand where. SUCCESS */
#include "check.h"
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define FAILS(call, error) CHECK((errno = 0, (call)) == -1 && errno == (error))

static void lengths(void)
{
	char name[NAME_MAX + 2], path[PATH_MAX + 1];
	memset(name, 'n', sizeof name);
	name[NAME_MAX] = 0;
	CHECK(mkdir(name, 0755) == 0 && rmdir(name) == 0);
	name[NAME_MAX] = 'n';
	name[NAME_MAX + 1] = 0;
	FAILS(mkdir(name, 0755), ENAMETOOLONG);
	for (int i = 0; i < PATH_MAX; i++)
		path[i] = i % 2 ? '/' : '.';
	path[PATH_MAX] = 0;
	FAILS(access(path, F_OK), ENAMETOOLONG);
	path[PATH_MAX - 1] = 0;
	CHECK(access(path, F_OK) == 0);
	FAILS(access("", F_OK), ENOENT);
	FAILS(access((char *)8, F_OK), EFAULT);
}

static void links(void)
{
	char text[64];
	struct stat s;
	CHECK(symlink("loop", "loop") == 0 && symlink("f", "to_f") == 0 && symlink("nowhere", "dangling") == 0 && symlink("d", "to_d") == 0);
	FAILS(open("loop", O_RDONLY), ELOOP);
	FAILS(open("to_f", O_RDONLY | O_NOFOLLOW), ELOOP);
	FAILS(open("dangling", O_RDONLY), ENOENT);
	FAILS(open("dangling", O_RDONLY | O_CREAT | O_EXCL, 0600), EEXIST);
	FAILS(mkdir("dangling", 0755), EEXIST);
	FAILS(symlink("", "empty"), ENOENT);
	FAILS(symlink("x", "f"), EEXIST);
	FAILS(readlink("f", text, sizeof text), EINVAL);
	FAILS(syscall(SYS_readlink, "to_f", text, 0), EINVAL);
	CHECK(readlink("to_f", text, sizeof text) == 1 && text[0] == 'f');
	CHECK(lstat("to_f", &s) == 0 && S_ISLNK(s.st_mode) && s.st_size == 1);
	CHECK(stat("to_f", &s) == 0 && S_ISREG(s.st_mode));
	FAILS(lstat("to_f/", &s), ENOTDIR);
	CHECK(lstat("to_d/", &s) == 0 && S_ISDIR(s.st_mode));
	FAILS(rmdir("to_d"), ENOTDIR);
	FAILS(unlink("to_d/"), ENOTDIR);
	int fd = open("dangling", O_WRONLY | O_CREAT, 0600); /* made where the link leads */
	CHECK(fd >= 0 && close(fd) == 0 && unlink("nowhere") == 0);
	/* 40 links are followed, 41 are not. */
	char from[16], to[16] = "f";
	for (int i = 0; i < 41; i++) {
		snprintf(from, sizeof from, "chain%d", i);
		CHECK(symlink(to, from) == 0);
		memcpy(to, from, sizeof to);
	}
	CHECK(access("chain39", F_OK) == 0);
	FAILS(access("chain40", F_OK), ELOOP);
	for (int i = 0; i < 41; i++) {
		snprintf(from, sizeof from, "chain%d", i);
		CHECK(unlink(from) == 0);
	}
	CHECK(unlink("loop") == 0 && unlink("to_f") == 0 && unlink("dangling") == 0 && unlink("to_d") == 0);
}

static void slashes(void)
{
	struct stat s;
	FAILS(stat("f/", &s), ENOTDIR);
	FAILS(stat("f/x", &s), ENOTDIR);
	FAILS(stat("nothing/x", &s), ENOENT);
	FAILS(open("new/", O_WRONLY | O_CREAT, 0600), EISDIR);
	FAILS(open("f/", O_WRONLY | O_CREAT, 0600), EISDIR);
	CHECK(mkdir("new//", 0755) == 0 && rmdir("new/") == 0);
	FAILS(unlink("f/"), ENOTDIR);
	FAILS(unlink("d/"), EISDIR);
	FAILS(unlink("d"), EISDIR);
	FAILS(rmdir("f"), ENOTDIR);
	FAILS(rmdir("d/."), EINVAL);
	FAILS(rmdir("d/.."), ENOTEMPTY);
	FAILS(rmdir("/"), EBUSY);
	FAILS(unlink("."), EISDIR);
	FAILS(mkdir("/", 0755), EEXIST);
	FAILS(mkdir(".", 0755), EEXIST);
	FAILS(mkdir("d", 0755), EEXIST);
	FAILS(mkdir("f/x", 0755), ENOTDIR);
	FAILS(link("d", "d2"), EPERM);
	FAILS(link("f", "d"), EEXIST);
	FAILS(link("f", "new/"), ENOENT);
	FAILS(link("nothing", "new"), ENOENT);
}

static void opening(void)
{
	int fd;
	char byte;
	FAILS(open("d", O_WRONLY), EISDIR);
	FAILS(open("d", O_RDONLY | O_CREAT, 0600), EISDIR);
	FAILS(open("f", O_RDONLY | O_DIRECTORY), ENOTDIR);
	FAILS(open("f", O_WRONLY | O_CREAT | O_EXCL, 0600), EEXIST);
	FAILS(open("nothing", O_WRONLY), ENOENT);
	FAILS(openat(999, "f", O_RDONLY), EBADF);
	CHECK((fd = open("f", O_RDONLY)) >= 0);
	FAILS(openat(fd, "f", O_RDONLY), ENOTDIR);
	FAILS(write(fd, "x", 1), EBADF);
	FAILS(ftruncate(fd, 1), EINVAL);
	FAILS(lseek(fd, -1, SEEK_SET), EINVAL);
	FAILS(lseek(fd, 0, 99), EINVAL);
	FAILS(pread(fd, &byte, 1, -1), EINVAL);
	FAILS(read(fd, (char *)8, 1), EFAULT);
	CHECK(read(fd, (char *)8, 0) == 0);
	FAILS(fchdir(fd), ENOTDIR);
	FAILS(ioctl(fd, 0x5401, &byte), ENOTTY);
	close(fd);
	FAILS(close(fd), EBADF);
	FAILS(read(fd, &byte, 1), EBADF);
	FAILS(dup(fd), EBADF);
	CHECK((fd = open("d", O_RDONLY)) >= 0);
	FAILS(read(fd, &byte, 1), EISDIR);
	close(fd);
	CHECK((fd = open("f", O_PATH)) >= 0);
	FAILS(read(fd, &byte, 1), EBADF);
	FAILS(syscall(SYS_fchmod, fd, 0600), EBADF);
	struct stat s;
	CHECK(fstat(fd, &s) == 0 && S_ISREG(s.st_mode));
	CHECK(fstatat(fd, "", &s, AT_EMPTY_PATH) == 0);
	close(fd);
	FAILS(open("/dev/null/x", O_RDONLY), ENOTDIR);
	FAILS(open("/proc/self/nothing", O_RDONLY), ENOENT);
}

static void working_directory(void)
{
	char path[PATH_MAX], again[PATH_MAX];
	CHECK(getcwd(path, sizeof path) && chdir("d") == 0 && getcwd(again, sizeof again));
	CHECK(strncmp(path, again, strlen(path)) == 0 && strcmp(again + strlen(path), "/d") == 0);
	FAILS(syscall(SYS_getcwd, again, 2), ERANGE);
	CHECK(chdir("..") == 0 && getcwd(again, sizeof again) && strcmp(path, again) == 0);
	FAILS(chdir("f"), ENOTDIR);
	FAILS(chdir("nothing"), ENOENT);
	/* A directory that is removed under one's feet. */
	CHECK(mkdir("gone", 0755) == 0 && chdir("gone") == 0 && rmdir("../gone") == 0);
	CHECK(getcwd(again, sizeof again) == NULL && errno == ENOENT);
	FAILS(open("x", O_WRONLY | O_CREAT, 0600), ENOENT);
	CHECK(chdir(path) == 0);
}

static void pseudo(void)
{
	char text[256];
	struct stat s;
	int fd;
	CHECK(readlink("/proc/self", text, sizeof text) > 0);
	CHECK((fd = open("/proc/self/maps", O_RDONLY)) >= 0 && read(fd, text, sizeof text) > 20 && close(fd) == 0);
	CHECK(stat("/dev/null", &s) == 0 && S_ISCHR(s.st_mode) && s.st_rdev == 0x103);
	CHECK((fd = open("/dev/full", O_WRONLY)) >= 0);
	FAILS(write(fd, "x", 1), ENOSPC);
	close(fd);
	CHECK((fd = open("/dev/zero", O_RDONLY)) >= 0 && read(fd, text, 8) == 8 && text[7] == 0 && close(fd) == 0);
	CHECK((fd = open("f", O_RDONLY)) >= 0);
	char link_path[64], target[PATH_MAX];
	snprintf(link_path, sizeof link_path, "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link_path, target, sizeof target - 1);
	CHECK(n > 2 && target[n - 1] == 'f' && target[n - 2] == '/');
	close(fd);
	FAILS(readlink(link_path, target, sizeof target), ENOENT);
	DIR *d = opendir("/proc/self/fd");
	CHECK(d);
	int seen = 0;
	for (struct dirent *e; (e = readdir(d));)
		seen += atoi(e->d_name) == dirfd(d) && e->d_name[0] != '.';
	CHECK(seen == 1);
	closedir(d);
}

int main(void)
{
	char directory[] = "/tmp/pathsXXXXXX";
	CHECK(mkdtemp(directory) && chdir(directory) == 0);
	int fd = open("f", O_WRONLY | O_CREAT, 0644);
	CHECK(fd >= 0 && write(fd, "data", 4) == 4 && close(fd) == 0 && mkdir("d", 0755) == 0);
	lengths();
	links();
	slashes();
	opening();
	working_directory();
	pseudo();
	CHECK(unlink("f") == 0 && rmdir("d") == 0 && chdir("/") == 0 && rmdir(directory) == 0);
	puts("SUCCESS");
	return 0;
}
