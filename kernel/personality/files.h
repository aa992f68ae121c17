/* What a file is: the contract between the rooms that offer files (file systems, devices, pipes; later drivers and the network)
 * and the system calls that use them.
 *
 * An inode is a thing that has attributes and perhaps a name; a file is one opening of it; a descriptor is a number for a file.
 * All are counted. One process, one working directory, one root. See kernel.h for why nothing here takes a lock.
 */
#ifndef SARAB_FILES_H
#define SARAB_FILES_H

#include <asm/statfs.h>
#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/poll.h>
#include <linux/stat.h>
#include <linux/uio.h>

#include "kernel.h"
#include "personality/personality.h"

/* Limits, each with its reason. */
#define NAME_LENGTH_MAX 255	     /* Linux's NAME_MAX */
#define PATH_LENGTH_MAX 4096	     /* Linux's PATH_MAX, the NUL included */
#define LINKS_FOLLOWED_MAX 40	     /* Linux's MAXSYMLINKS */
#define TRANSFER_MAX 0x7ffff000ull   /* Linux's MAX_RW_COUNT: what one read or write moves at most */
#define VECTORS_MAX 1024	     /* Linux's UIO_MAXIOV */
#define DESCRIPTORS_SOFT 1024	     /* the limit at start, and how far it can be raised: 4096 pointers and flags are 36 KiB */
#define DESCRIPTORS_HARD 4096
#define FILE_SIZE_MAX INT64_MAX

/* ---- attributes -------------------------------------------------------------------------------------------------------------------- */

struct timestamp {
	int64_t seconds;
	uint32_t nanoseconds;
};

struct attributes {
	uint64_t device, number, rdev, size, blocks; /* blocks of 512 bytes */
	uint32_t mode, links, user, group;
	struct timestamp access, modification, change, birth;
};

/* What chmod, chown and utimensat want changed. */
#define CHANGE_MODE 1u
#define CHANGE_USER 2u
#define CHANGE_GROUP 4u
#define CHANGE_ACCESS 8u
#define CHANGE_MODIFICATION 16u
struct change {
	unsigned what;
	uint32_t mode, user, group;
	struct timestamp access, modification;
};

struct timestamp timestamp_now(void);

/* ---- file systems and inodes --------------------------------------------------------------------------------------------------------- */

struct file_system {
	const char *type, *source, *mount_options; /* as /proc/mounts names them */
	uint32_t device;			   /* st_dev */
	uint64_t magic;				   /* of statfs */
	bool read_only;
	void (*space)(struct statfs *); /* blocks and inodes, total and free; NULL: zeros */
};

struct inode {
	const struct inode_operations *operations;
	const struct file_system *file_system;
	uint64_t number;
	uint32_t references;
	uint32_t mode; /* type and permissions */
};

struct name {
	const char *bytes;
	size_t length; /* 1..NAME_LENGTH_MAX */
};

struct file;
struct transfer;
struct listing;
struct readiness;

/* Any operation but attributes may be NULL: the call is then refused as Linux refuses it for such a thing. */
struct inode_operations {
	void (*free)(struct inode *); /* no reference is left. NULL: never freed */
	void (*attributes)(struct inode *, struct attributes *);
	int (*change)(struct inode *, const struct change *);
	int (*truncate)(struct inode *, uint64_t size);
	int (*open)(struct inode *, struct file *); /* sets the operations; may block. NULL: ENXIO */

	/* Of a directory. What is found or made comes with a reference. Names were checked for length, permission and read-only
	 * file systems before. */
	int (*lookup)(struct inode *, const struct name *, struct inode **found);
	int (*create)(struct inode *, const struct name *, uint32_t mode, uint64_t rdev, const char *target, struct inode **made);
	int (*anonymous)(struct inode *, uint32_t mode, struct inode **made); /* O_TMPFILE */
	int (*link)(struct inode *, const struct name *, struct inode *);
	int (*remove)(struct inode *, const struct name *, struct inode *);
	int (*rename)(struct inode *, const struct name *, struct inode *, const struct name *, unsigned flags);
	/* Any inode that has a name: its directory (no reference) and its name. -ENOENT: removed, or never had one. */
	int (*locate)(struct inode *, struct inode **directory, char name[NAME_LENGTH_MAX + 1]);

	/* Of a symbolic link: its text, without NUL, cut at size; or, where text cannot lead there (/proc/self/fd/3), its end. */
	int64_t (*target)(struct inode *, char *to, size_t size);
	int (*follow)(struct inode *, struct inode **found);
};

static inline struct inode *inode_get(struct inode *inode)
{
	inode->references++;
	return inode;
}
void inode_put(struct inode *inode); /* NULL is allowed */
void inode_attributes(struct inode *inode, struct attributes *a);
static inline bool is_directory(const struct inode *inode) { return (inode->mode & S_IFMT) == S_IFDIR; }
static inline bool is_link(const struct inode *inode) { return (inode->mode & S_IFMT) == S_IFLNK; }
static inline bool is_regular(const struct inode *inode) { return (inode->mode & S_IFMT) == S_IFREG; }
/* May the process do this to it? mask of MAY_*; 0 or -EACCES. */
#define MAY_EXECUTE 1u
#define MAY_WRITE 2u
#define MAY_READ 4u
int inode_permission(struct inode *inode, unsigned mask);

/* The inode of things that have no place in a file system: event counters, epoll sets. */
extern struct inode anonymous_inode;

/* ---- open files ------------------------------------------------------------------------------------------------------------------------ */

struct file_operations {
	const char *name; /* "anon_inode:[eventfd]", as /proc/self/fd shows what has no path; NULL: the inode knows */
	/* Move up to transfer->left bytes; *position is where, and is advanced by files that have one. Return bytes moved, or -errno
	 * when none was. May block unless transfer->nonblocking (-EAGAIN); a signal is -ERESTARTSYS. */
	int64_t (*read)(struct file *, struct transfer *, int64_t *position);
	int64_t (*write)(struct file *, struct transfer *, int64_t *position);
	int64_t (*seek)(struct file *, int64_t offset, int whence); /* NULL: ESPIPE; file_seek() suits most */
	/* POLL* bits that hold now, and where changes are announced. NULL: always ready (epoll refuses it: EPERM). */
	uint32_t (*poll)(struct file *, struct readiness **);
	int64_t (*control)(struct file *, uint32_t request, uint64_t argument); /* ioctl; -ENOTTY for what it does not know */
	int64_t (*list)(struct file *, struct listing *);
	int (*map)(struct file *, int flags, struct mappable **); /* with no reference; *NULL: anonymous memory serves */
	int (*reserve)(struct file *, int mode, uint64_t offset, uint64_t length); /* fallocate */
	void (*describe)(struct file *, char *to, size_t size); /* more lines for /proc/self/fdinfo */
	void (*close)(struct file *); /* the last reference has gone */
};

struct file {
	const struct file_operations *operations;
	struct inode *inode; /* with a reference; never NULL */
	void *object;	     /* the operations' own */
	int64_t position;
	uint32_t flags; /* O_ACCMODE, O_APPEND, O_NONBLOCK, O_PATH, ... */
	uint32_t references;
	struct list watchers; /* epoll items that watch this file */
	struct list in_locked; /* while it holds a lock of flock() */
	uint8_t locked;	       /* LOCK_SH or LOCK_EX; 0: none */
	struct text *text;    /* a generated file's contents (pseudo.c) */
};

static inline bool file_readable(const struct file *f) { return !(f->flags & O_PATH) && (f->flags & O_ACCMODE) != O_WRONLY; }
static inline bool file_writable(const struct file *f)
{
	return !(f->flags & O_PATH) && ((f->flags & O_ACCMODE) == O_WRONLY || (f->flags & O_ACCMODE) == O_RDWR);
}

/* A file of one reference. It takes a reference of its own to inode. NULL: no memory. */
struct file *file_new(struct inode *inode, const struct file_operations *operations, uint32_t flags);
struct file *file_get(struct file *file);
void file_put(struct file *file); /* NULL is allowed; the last one closes */
int64_t file_seek(struct file *file, int64_t offset, int whence); /* for files whose size the inode knows */
/* Opens an inode that was found and permitted. flags as open(2). */
int file_open(struct inode *inode, uint32_t flags, struct file **opened);

/* Descriptors. */
struct file *descriptor_file(uint64_t descriptor);	 /* with a reference; NULL: EBADF, and also for O_PATH files */
struct file *descriptor_file_any(uint64_t descriptor);	 /* O_PATH files too */
/* The lowest free number at or above from; takes over the caller's reference, which is also dropped on failure. */
int64_t descriptor_install(struct file *file, uint64_t from, bool close_on_exec);
uint64_t descriptor_table_size(void); /* no number from here on is in use */
int descriptor_reserve_two(void); /* 0 when two more can be installed without fail: for pipe() */
int descriptor_close(uint64_t descriptor);
/* The lowest open descriptor at or above from, or -1: for listing /proc/self/fd. */
int64_t descriptor_next(uint64_t from);
bool descriptor_close_on_exec(uint64_t descriptor);
void descriptor_close_on_exec_set(uint64_t descriptor, bool value);

/* ---- data on its way ------------------------------------------------------------------------------------------------------------------ */

/* The other side of a read or write: buffers of the application, or one of the kernel (sendfile). */
struct transfer {
	const struct iovec *vector; /* a copy in the kernel; its addresses are not checked yet */
	size_t count, index, offset; /* vectors; where in them */
	uint64_t left;
	bool kernel;	   /* addresses are the kernel's own */
	bool nonblocking;
	bool append;	   /* RWF_APPEND or O_APPEND */
	bool fault;	   /* an address could not be reached: -EFAULT if nothing was moved */
	struct iovec one;
};

void transfer_init(struct transfer *t, uint64_t address, uint64_t length); /* cuts length to TRANSFER_MAX */
void transfer_init_kernel(struct transfer *t, void *buffer, size_t length);
/* Copies up to length bytes and moves on; fewer than min(length, left) only when an address could not be reached. */
size_t transfer_put(struct transfer *t, const void *from, size_t length); /* to the application */
size_t transfer_take(struct transfer *t, void *to, size_t length);	   /* from it */
size_t transfer_put_zeros(struct transfer *t, size_t length);
size_t transfer_skip(struct transfer *t, size_t length);

int64_t file_read(struct file *file, struct transfer *t, int64_t *position);
int64_t file_write(struct file *file, struct transfer *t, int64_t *position);

/* getdents64 in the making. */
struct listing {
	uint64_t address, left, written;
	int error;
};
/* False: no room (or -EFAULT, in error); the caller stops there. next is the position after this entry. */
bool listing_add(struct listing *l, const char *name, size_t length, uint64_t number, uint32_t mode, int64_t next);
/* The entries "." and ".." at positions 0 and 1. */
bool listing_dots(struct listing *l, struct file *file, uint64_t parent_number);

/* ---- waiting for files ------------------------------------------------------------------------------------------------------------------ */

struct readiness {
	struct wait_queue queue; /* threads in read, write, poll */
	struct list watchers;	 /* epoll items */
};
void readiness_init(struct readiness *r);
/* Something about the file became true: events of POLL*. Wakes who waits. May be called from an interrupt or a timer. */
void readiness_changed(struct readiness *r, uint32_t events);
void epoll_forget(struct file *file); /* a file that is watched is closed */
void flock_release(struct file *file);

void signal_current(int signal); /* SIGPIPE, SIGXFSZ: for the current thread */

/* ---- paths -------------------------------------------------------------------------------------------------------------------------------- */

#define WALK_FOLLOW 1u	    /* a symbolic link at the end is followed */
#define WALK_EMPTY 2u	    /* AT_EMPTY_PATH: an empty path is the descriptor itself */
#define WALK_PARENT 4u	    /* for a call that changes the directory: the last component need not exist and is never followed */
#define WALK_CREATE 8u	    /* for open: the last component need not exist; a slash after it is EISDIR */
#define WALK_SECOND 16u	    /* the second path of a call: the first one's name must stay readable */

enum last_component { LAST_NORMAL, LAST_ROOT, LAST_DOT, LAST_DOT_DOT };

struct walk {
	struct inode *directory; /* of the last component; NULL for the root and an empty path; with a reference */
	struct name name;	 /* last component, when it is LAST_NORMAL; valid until the next walk of the same place */
	struct inode *inode;	 /* what it is, with a reference; NULL: nothing there (WALK_PARENT, WALK_CREATE) */
	enum last_component last;
	bool trailing_slash;
};
/* Walks a path of the application. On failure nothing needs to be dropped. */
int path_walk(int64_t directory, uint64_t path, unsigned flags, struct walk *w);
int path_walk_text(const char *path, unsigned flags, struct walk *w); /* a path in the kernel */
void walk_done(struct walk *w); /* drops the references */
/* The inode alone, with a reference. */
int path_inode(int64_t directory, uint64_t path, unsigned flags, struct inode **inode);
/* The same for a path in the kernel. */
int path_kernel(const char *path, struct inode **inode);
/* The absolute path of an inode; its length, or -ENOENT when it has none any more, -ENAMETOOLONG. Written from the front. */
int64_t path_of(struct inode *inode, char *to, size_t size);
/* As /proc/self/fd/N shows it. */
int64_t path_of_file(struct file *file, char *to, size_t size);
int make_socket_node(const char *path, struct inode **made); /* bind(); names.c */
unsigned walk_flags_at(uint64_t at_flags); /* from AT_SYMLINK_NOFOLLOW and AT_EMPTY_PATH */
char *path_scratch(void);		   /* PATH_LENGTH_MAX bytes, until the next call that may block or walk */

extern struct inode *root_directory, *working_directory;

/* A name in a directory behind which another tree begins. */
struct mount {
	struct inode *directory;
	const char *name;
	struct inode *root;
};
#define MOUNTS_MAX 12
extern struct mount mounts[MOUNTS_MAX];
extern size_t mount_count;
void mount_add(struct inode *directory, const char *name, struct inode *root); /* takes over the references */
struct inode *mount_on(const struct inode *directory, const struct name *name); /* no reference; NULL: none */
const struct mount *mount_of(const struct inode *root);				/* the mount whose root this is, or NULL */
struct inode *directory_parent(struct inode *directory);			/* "..", with a reference */

/* ---- file systems ------------------------------------------------------------------------------------------------------------------------ */

struct inode *image_inode(uint32_t node);	   /* never freed; NULL: no memory */
struct inode *tmpfs_root(void);			   /* a new directory 01777 without a name, sharing the one pool; NULL: no memory */
struct inode *tmpfs_file(uint32_t mode);	   /* a regular file without a name (memfd) */
void tmpfs_init(void);
extern const struct file_system image_file_system, tmpfs_file_system, device_file_system, proc_file_system, sys_file_system,
	pipe_file_system, socket_file_system, anonymous_file_system;
int tmpfs_seals_get(struct inode *inode);
int tmpfs_seals_add(struct inode *inode, unsigned seals);
bool tmpfs_holds(const struct inode *inode);
void tmpfs_allow_seals(struct inode *inode);

/* Pages for files' data, charged to what the application may use. 0: no memory. Cleared. */
uint64_t page_take(void);
void page_give(uint64_t physical);

/* A pipe behind a FIFO's inode. */
struct pipe;
struct pipe *pipe_new(void);
void pipe_free(struct pipe *pipe);
int pipe_open(struct pipe *pipe, struct file *file);
/* For fcntl, splice and tee; file_is_pipe() first. */
bool file_is_pipe(const struct file *file);
int64_t pipe_size(struct file *file);
int64_t pipe_size_set(struct file *file, uint64_t size);
bool pipe_has(struct file *file, bool for_data);	       /* data, or space */
int pipe_wait(struct file *file, bool for_data);	       /* blocks for it; -ERESTARTSYS */
size_t pipe_peek(struct file *file, void *to, size_t length);
void pipe_discard(struct file *file, size_t length);
int64_t pipe_copy(struct file *from, struct file *to, size_t length);

extern struct inode *console_inode;
struct inode *device_root(void);
struct inode *proc_root(void);
struct inode *sys_root(void);
struct inode *var_root(void);

/* ---- the process ---------------------------------------------------------------------------------------------------------------------------- */

struct process_description {
	char *exe, *arguments, *environment;
	uint64_t *auxv;
	size_t arguments_length, environment_length, auxv_length; /* bytes */
};
extern struct process_description process_description;

/* What uname() says. The release is that of the Linux whose interface this is like; glibc refuses what is older than its own minimum. */
#define SYSTEM_RELEASE "6.6.0-sarab"
#define SYSTEM_VERSION "#1 sarab " KERNEL_VERSION

struct identity {
	uint32_t user, effective_user, saved_user, file_user;
	uint32_t group, effective_group, saved_group, file_group;
	size_t group_count;
	uint32_t groups[32];
};
extern struct identity identity;
extern uint32_t file_creation_mask;
extern char host_name[65];
bool is_privileged(void); /* effective user 0 */
uint64_t limit_soft(unsigned resource);
uint64_t limit_hard(unsigned resource);

struct unknown_call {
	uint64_t number, count;
};
#define UNKNOWN_CALLS_MAX 32 /* different numbers that are remembered */
extern struct unknown_call unknown_calls[UNKNOWN_CALLS_MAX];
extern const char *system_call_name(uint64_t number); /* NULL: unknown */

#endif
