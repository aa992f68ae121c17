/* What the personality needs of the other rooms, for the host: memory that is counted and can be made to fail, time that stands still
 * until somebody waits, one thread. Loaded by personality_host.py; the application's memory is the test's own. */
#include "cpu/cpu.h"
#include "memory/memory.h"
#include "personality/files.h"
#include "personality/syscalls.h"
#include "personality/tmpfs.h"
#include "pvm/pvm.h"
#include "thread/thread.h"
#include "time/clock.h"

struct cpu_features cpu_features; /* /proc/sarab tells of them */

#define EXPORT __attribute__((visibility("default")))

void *calloc(size_t count, size_t size);
void *aligned_alloc(size_t alignment, size_t size);
void free(void *p);
int vprintf(const char *format, va_list arguments);
_Noreturn void abort(void);

/* ---- memory --------------------------------------------------------------------------------------------------------------------------- */

#define CANARY 0x5ab5ab5ab5ab5ab5ull
struct header {
	uint64_t size, canary;
};

EXPORT int64_t host_objects, host_frames, host_frames_limit = 4096;
EXPORT int64_t host_fail_after = -1; /* the allocation after so many fails; -1: none */
EXPORT uint64_t host_forbidden_start, host_forbidden_end; /* addresses of the application that fault */

static bool fails(void)
{
	return host_fail_after >= 0 && host_fail_after-- == 0;
}

void *allocate(size_t size)
{
	if (size > (1u << 20) || fails())
		return NULL;
	struct header *h = calloc(1, sizeof *h + size + sizeof(uint64_t));
	*h = (struct header){size, CANARY};
	memcpy((char *)(h + 1) + size, &h->canary, sizeof h->canary);
	host_objects++;
	return h + 1;
}

void release(void *object)
{
	if (!object)
		return;
	struct header *h = (struct header *)object - 1;
	if (h->canary != CANARY || memcmp((char *)object + h->size, &h->canary, sizeof h->canary) != 0)
		panic("an object of %zu bytes was overrun, or released twice", (size_t)h->size);
	h->canary = 0;
	memset(object, 0xdb, h->size);
	free(h);
	host_objects--;
}

uint64_t commit_take_uncharged(void)
{
	if (host_frames >= host_frames_limit || fails())
		return 0;
	void *page = aligned_alloc(PAGE_SIZE, PAGE_SIZE);
	memset(page, 0, PAGE_SIZE);
	host_frames++;
	return (uintptr_t)page;
}

void frame_free(uint64_t physical)
{
	memset(direct(physical), 0xdb, PAGE_SIZE);
	free(direct(physical));
	host_frames--;
}

uint64_t frames_free_count(void) { return (uint64_t)(host_frames_limit - host_frames); }
uint64_t frames_total_count(void) { return (uint64_t)host_frames_limit; }
uint64_t memory_available_pages(void) { return frames_free_count(); }
uint64_t memory_resident_pages(void) { return 0; }
uint64_t memory_virtual_pages(void) { return 0; }
uint64_t page_faults, resident_pages;
size_t memory_describe(uint64_t *cursor, char *to, size_t size) { return (*cursor)++ ? 0 : (size_t)snprintf(to, size, "map\n"); }
void memory_object_truncated(struct mappable *object, uint64_t first) { (void)object, (void)first; }
void memory_seal(void) {}
bool pvm;
bool memory_charge(uint64_t pages) { return (void)pages, false; }
void memory_uncharge(uint64_t pages) { (void)pages; }
uint64_t frames_allocate_contiguous(unsigned order) { return (void)order, 0; }
int irq_register(unsigned gsi, bool level, void (*handler)(void *), void *context)
{
	return (void)gsi, (void)level, (void)handler, (void)context, -ENODEV;
}
void irq_mask(unsigned gsi, bool masked) { (void)gsi, (void)masked; }
int irq_message_allocate(void (*handler)(void *), void *context, struct irq_message *message)
{
	(void)handler, (void)context, (void)message;
	return -EBUSY;
}
void irq_message_free(const struct irq_message *message) { (void)message; }
bool device_is_kernels(uint64_t page)
{
	(void)page;
	return false;
}
int64_t memory_map(uint64_t address, uint64_t length, int protection, int flags, struct mappable *object, uint64_t offset)
{
	(void)address, (void)length, (void)protection, (void)flags, (void)object, (void)offset;
	return -ENOSYS;
}

static bool reachable(uint64_t address, uint64_t length)
{
	return address >= 0x10000 && address <= USER_END && length <= USER_END - address &&
	       !(address < host_forbidden_end && address + length > host_forbidden_start);
}

int copy_from_user(void *to, uint64_t from, size_t length)
{
	if (length && !reachable(from, length))
		return -EFAULT;
	memcpy(to, (void *)from, length);
	return 0;
}

int copy_to_user(uint64_t to, const void *from, size_t length)
{
	if (length && !reachable(to, length))
		return -EFAULT;
	memcpy((void *)to, from, length);
	return 0;
}

int clear_user(uint64_t to, size_t length)
{
	if (length && !reachable(to, length))
		return -EFAULT;
	memset((void *)to, 0, length);
	return 0;
}

int64_t copy_string_from_user(char *to, uint64_t from, size_t size)
{
	for (size_t n = 0; n < size; n++) {
		if (copy_from_user(to + n, from + n, 1))
			return -EFAULT;
		if (!to[n])
			return (int64_t)n;
	}
	return -ENAMETOOLONG;
}

/* ---- time and waiting ------------------------------------------------------------------------------------------------------------------- */

EXPORT int64_t host_now = 1000000000;
EXPORT int (*host_blocked)(void); /* what happens while the thread waits; 0: nothing more will */
static struct list armed = LIST_INITIAL(armed);

int64_t time_monotonic(void) { return host_now; }
int64_t time_realtime(void) { return 1700000000ll * 1000000000 + host_now; }
int64_t deadline_after(int64_t t) { return t > FOREVER - host_now ? FOREVER : host_now + t; }
int64_t deadline_of_realtime(int64_t t) { return MAX(t - 1700000000ll * 1000000000, 0); }

void timer_cancel(struct timer *t)
{
	if (t->armed)
		list_remove(&t->node);
	t->armed = false;
}

void timer_set(struct timer *t, int64_t deadline)
{
	timer_cancel(t);
	t->deadline = deadline;
	t->armed = true;
	list_insert_before(&armed, &t->node);
}

static struct timer *next_timer(void)
{
	struct timer *first = NULL;
	LIST_FOR_EACH(node, &armed) {
		struct timer *t = CONTAINER_OF(node, struct timer, node);
		if (!first || t->deadline < first->deadline)
			first = t;
	}
	return first;
}

EXPORT void host_advance(int64_t to)
{
	struct timer *t;
	while ((t = next_timer()) && t->deadline <= to) {
		host_now = MAX(host_now, t->deadline);
		timer_cancel(t);
		t->expired(t);
	}
	host_now = MAX(host_now, to);
}

int thread_block(int64_t deadline)
{
	if (host_blocked && host_blocked())
		return 0;
	struct timer *t = next_timer();
	if (t && t->deadline <= deadline) {
		host_advance(t->deadline);
		return 0;
	}
	if (deadline == FOREVER)
		return -EINTR; /* nothing will ever come: a signal ends the wait */
	host_advance(deadline);
	return -ETIMEDOUT;
}

void wait_queue_init(struct wait_queue *q) { list_init(&q->waiters); }
void wait_queue_add(struct wait_queue *q, struct waiter *w)
{
	w->thread = current;
	w->woken = false;
	list_insert_before(&q->waiters, &w->node);
}
void wait_queue_remove(struct waiter *w) { list_remove(&w->node); }
unsigned wake(struct wait_queue *q, unsigned count)
{
	unsigned n = 0;
	for (; n < count && !list_empty(&q->waiters); n++) {
		struct waiter *w = CONTAINER_OF(q->waiters.next, struct waiter, node);
		list_remove(&w->node);
		w->woken = true;
	}
	return n;
}
int wait_on(struct wait_queue *q, int64_t deadline)
{
	struct waiter w = {0};
	wait_queue_add(q, &w);
	int error = thread_block(deadline);
	wait_queue_remove(&w);
	return error;
}

int timespec_read(uint64_t address, int64_t *nanoseconds)
{
	int64_t t[2];
	if (GET_USER(t, address))
		return -EFAULT;
	if (t[0] < 0 || t[1] < 0 || t[1] >= (int64_t)NANOSECONDS)
		return -EINVAL;
	*nanoseconds = t[0] * (int64_t)NANOSECONDS + t[1];
	return 0;
}
int timeval_read(uint64_t address, int64_t *nanoseconds)
{
	int64_t t[2];
	if (GET_USER(t, address))
		return -EFAULT;
	*nanoseconds = t[0] * (int64_t)NANOSECONDS + t[1] * 1000;
	return 0;
}
int timespec_write(uint64_t address, int64_t nanoseconds)
{
	int64_t t[2] = {nanoseconds / (int64_t)NANOSECONDS, nanoseconds % (int64_t)NANOSECONDS};
	return PUT_USER(address, t);
}
int timeval_write(uint64_t address, int64_t nanoseconds)
{
	int64_t t[2] = {nanoseconds / (int64_t)NANOSECONDS, nanoseconds % (int64_t)NANOSECONDS / 1000};
	return PUT_USER(address, t);
}
struct cpu_time process_cpu_time(void) { return (struct cpu_time){0, 0}; }

/* ---- the rest --------------------------------------------------------------------------------------------------------------------------- */

static struct thread thread = {.tid = 1, .name = "host"};
struct thread *current_thread = &thread;
struct list threads = LIST_INITIAL(threads);
unsigned thread_count = 1;
struct boot_information boot_information = {.entry = "host"};
struct options options;
struct memory_range image_range;
uint64_t fpu_feature_mask = 7;
int signal_mask_temporary(uint64_t address, uint64_t size) { return address && size != 8 ? -EINVAL : 0; }

_Noreturn void panic(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vprintf(format, arguments);
	abort();
}

void kprintf(const char *format, ...) { (void)format; }
void mark(const char *name) { (void)name; }
EXPORT char host_console[4096];
EXPORT size_t host_console_length;
EXPORT char host_input[64];
EXPORT size_t host_input_length;
void console_put(const char *bytes, size_t length)
{
	length = MIN(length, sizeof host_console - host_console_length);
	memcpy(host_console + host_console_length, bytes, length);
	host_console_length += length;
}
void console_flush(void) {}
size_t console_read(char *to, size_t size)
{
	size = MIN(size, host_input_length);
	memcpy(to, host_input, size);
	host_input_length -= size;
	memmove(host_input, host_input + size, host_input_length);
	return size;
}
bool console_input_pending(void) { return host_input_length; }
void random_bytes(void *to, size_t length) { memset(to, 0x42, length); }
void random_mix(const void *from, size_t length) { (void)from, (void)length; }

EXPORT int host_signal; /* the last signal sent to the thread */
#define STUB(name, format) \
	int64_t sys_##name(const uint64_t *argument) \
	{ \
		if (sizeof #name == sizeof "tgkill" && memcmp(#name, "tgkill", 6) == 0) \
			host_signal = (int)argument[2]; \
		return -ENOSYS; \
	}
#define NOTHING(name, format)
SYSTEM_CALLS(NOTHING, STUB, STUB)

EXPORT void host_start(uint64_t image, uint64_t length, uint64_t tmp_size)
{
	image_range = (struct memory_range){image, image + length};
	options.tmp_size = tmp_size;
	list_insert_before(&threads, &thread.all);
	image_init();
	files_init();
}

EXPORT int64_t host_call(uint64_t number, const uint64_t *argument)
{
	struct trap_frame frame = {
		.error = number, .rax = number, .rdi = argument[0], .rsi = argument[1], .rdx = argument[2], .r10 = argument[3],
		.r8 = argument[4], .r9 = argument[5],
	};
	system_call(&frame);
	return (int64_t)frame.rax;
}

EXPORT uint64_t host_tmp_pages(void) { return tmpfs_pages_used; }
EXPORT uint64_t host_tmp_inodes(void) { return tmpfs_inodes_used; }
EXPORT uint64_t host_unknown_calls(void) { return unknown_system_calls; }
