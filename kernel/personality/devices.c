/* /dev: the devices that are made of nothing. (/dev/shm is mounted by mount.c.) */
#include <asm/ioctls.h>
#include <linux/mman.h>

#include "memory/memory.h"
#include "personality/console.h"
#include "personality/pseudo.h"
#include "personality/windows.h"

const struct file_system device_file_system = {
	.type = "devtmpfs", .source = "devtmpfs", .mount_options = "ro", .device = 5, .magic = TMPFS_MAGIC, .read_only = true,
};

static int64_t seek_nowhere(struct file *file, int64_t offset, int whence)
{
	(void)offset, (void)whence;
	return file->position = 0;
}

static int64_t null_read(struct file *file, struct transfer *t, int64_t *position)
{
	(void)file, (void)t, (void)position;
	return 0;
}

static int64_t null_write(struct file *file, struct transfer *t, int64_t *position)
{
	(void)file, (void)position;
	return (int64_t)transfer_skip(t, t->left);
}

static int64_t zero_read(struct file *file, struct transfer *t, int64_t *position)
{
	(void)file, (void)position;
	return (int64_t)transfer_put_zeros(t, t->left);
}

static int zero_map(struct file *file, int flags, struct mappable **object)
{
	(void)file, (void)flags;
	*object = NULL; /* anonymous memory: with one process, shared or not is the same */
	return 0;
}

static int64_t full_write(struct file *file, struct transfer *t, int64_t *position)
{
	(void)file, (void)t, (void)position;
	return -ENOSPC;
}

static int64_t random_read(struct file *file, struct transfer *t, int64_t *position)
{
	char bytes[256];
	int64_t done = 0;
	(void)file, (void)position;
	while (t->left && done < RANDOM_MOST) {
		size_t n = MIN(t->left, sizeof bytes);
		random_bytes(bytes, n);
		size_t moved = transfer_put(t, bytes, n);
		done += (int64_t)moved;
		if (moved < n)
			break;
	}
	memset(bytes, 0, sizeof bytes);
	return done;
}

/* What is written is mixed in, as Linux does: a driver of an entropy device feeds the generator here. */
static int64_t random_write(struct file *file, struct transfer *t, int64_t *position)
{
	char bytes[256];
	int64_t done = 0;
	(void)file, (void)position;
	while (t->left && done < RANDOM_MOST) {
		size_t n = transfer_take(t, bytes, MIN(t->left, sizeof bytes));
		if (n == 0)
			break;
		random_mix(bytes, n);
		done += (int64_t)n;
	}
	memset(bytes, 0, sizeof bytes);
	return done;
}

#define RNDGETENTCNT 0x80045200
static int64_t random_control(struct file *file, uint32_t request, uint64_t argument)
{
	int bits = 256;
	(void)file;
	return request == RNDGETENTCNT ? PUT_USER(argument, bits) : -ENOTTY;
}

/* A line written here is a boot mark (decision 0002). */
#define MARK_MAX 64
static int64_t mark_write(struct file *file, struct transfer *t, int64_t *position)
{
	char name[MARK_MAX + 1];
	(void)file, (void)position;
	uint64_t length = t->left;
	size_t n = transfer_take(t, name, MARK_MAX);
	if (t->fault)
		return -EFAULT;
	transfer_skip(t, t->left);
	name[n] = 0;
	for (size_t i = 0; i < n; i++)
		if (name[i] <= ' ' || name[i] > '~')
			name[i] = 0;
	if (name[0])
		mark(name);
	return (int64_t)length;
}

/* Writing here seals the address space (decision 0003). */
static int64_t seal_write(struct file *file, struct transfer *t, int64_t *position)
{
	(void)file, (void)position;
	memory_seal();
	return (int64_t)transfer_skip(t, t->left);
}

static uint32_t always_poll(struct file *file, struct readiness **readiness)
{
	static struct readiness never = {WAIT_QUEUE_INITIAL(never.queue), LIST_INITIAL(never.watchers)};
	(void)file;
	*readiness = &never;
	return POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;
}

static const struct file_operations null_operations = {.read = null_read, .write = null_write, .seek = seek_nowhere};
static const struct file_operations zero_operations = {.read = zero_read, .write = null_write, .seek = seek_nowhere, .map = zero_map};
static const struct file_operations full_operations = {.read = zero_read, .write = full_write, .seek = seek_nowhere};
static const struct file_operations random_operations = {
	.read = random_read, .write = random_write, .seek = seek_nowhere, .poll = always_poll, .control = random_control,
};
static const struct file_operations mark_operations = {.write = mark_write};
static const struct file_operations seal_operations = {.write = seal_write};

#define DEVICE(major, minor) ((uint64_t)(major) << 8 | (minor))
#define ROOT &nodes[0]
static struct pseudo nodes[] = {
	{.name = "dev", .mode = S_IFDIR | 0755},
	{.name = "null", .parent = ROOT, .mode = S_IFCHR | 0666, .rdev = DEVICE(1, 3), .operations = &null_operations},
	{.name = "zero", .parent = ROOT, .mode = S_IFCHR | 0666, .rdev = DEVICE(1, 5), .operations = &zero_operations},
	{.name = "full", .parent = ROOT, .mode = S_IFCHR | 0666, .rdev = DEVICE(1, 7), .operations = &full_operations},
	{.name = "random", .parent = ROOT, .mode = S_IFCHR | 0666, .rdev = DEVICE(1, 8), .operations = &random_operations},
	{.name = "urandom", .parent = ROOT, .mode = S_IFCHR | 0666, .rdev = DEVICE(1, 9), .operations = &random_operations},
	{.name = "tty", .parent = ROOT, .mode = S_IFCHR | 0666, .rdev = DEVICE(5, 0)}, /* there is none: ENXIO */
	{.name = "console", .parent = ROOT, .mode = S_IFCHR | 0600, .rdev = DEVICE(5, 1), .operations = &console_operations},
	{.name = "mark", .parent = ROOT, .mode = S_IFCHR | 0222, .rdev = DEVICE(10, 250), .operations = &mark_operations},
	{.name = "seal", .parent = ROOT, .mode = S_IFCHR | 0222, .rdev = DEVICE(10, 251), .operations = &seal_operations},
	{.name = "mem", .parent = ROOT, .mode = S_IFCHR | 0600, .rdev = DEVICE(1, 1), .operations = &window_operations},
	{.name = "dma", .parent = ROOT, .mode = S_IFCHR | 0600, .rdev = DEVICE(10, 249), .operations = &dma_operations},
	{.name = "irq", .parent = ROOT, .mode = S_IFCHR | 0600, .rdev = DEVICE(10, 248), .operations = &line_operations},
	{.name = "port", .parent = ROOT, .mode = S_IFCHR | 0600, .rdev = DEVICE(1, 4), .operations = &port_operations},
	{.name = "fd", .parent = ROOT, .mode = S_IFLNK | 0777, .target = "/proc/self/fd"},
	{.name = "stdin", .parent = ROOT, .mode = S_IFLNK | 0777, .target = "/proc/self/fd/0"},
	{.name = "stdout", .parent = ROOT, .mode = S_IFLNK | 0777, .target = "/proc/self/fd/1"},
	{.name = "stderr", .parent = ROOT, .mode = S_IFLNK | 0777, .target = "/proc/self/fd/2"},
	{.name = "shm", .parent = ROOT, .mode = S_IFDIR | 01777},
};

struct inode *console_inode;

struct inode *device_root(void)
{
	struct inode *root = pseudo_tree(nodes, ARRAY_LENGTH(nodes), &device_file_system);
	if (root->operations->lookup(root, &(struct name){"console", 7}, &console_inode) < 0)
		panic("no console in /dev");
	return root;
}

/* /var, when the image has none: /var/tmp is mounted in it. */
static struct pseudo var_nodes[] = {
	{.name = "var", .mode = S_IFDIR | 0755},
	{.name = "tmp", .parent = &var_nodes[0], .mode = S_IFDIR | 01777},
};

struct inode *var_root(void)
{
	return pseudo_tree(var_nodes, ARRAY_LENGTH(var_nodes), &device_file_system);
}
