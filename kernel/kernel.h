/* The contract between the rooms of the kernel.
 *
 * One CPU runs the kernel at a time and it runs with interrupts off: they are taken in ring 3 and in idle() only. So kernel code is
 * never preempted, data shared by threads needs no lock, and what happens between two calls of thread_block() is atomic.
 * (More CPUs will take one lock at the entry; nothing here assumes that there is only one.)
 *
 * Errors are negative Linux errno values (-ENOMEM). Times are nanoseconds. A function that can block says so.
 */
#ifndef SARAB_KERNEL_H
#define SARAB_KERNEL_H

#include <linux/errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "layout.h"

#define KERNEL_VERSION "0.1.0"

#define ARRAY_LENGTH(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define ROUND_DOWN(x, n) ((x) & ~((uint64_t)(n) - 1))
#define ROUND_UP(x, n) ROUND_DOWN((x) + (uint64_t)(n) - 1, n)
#define CONTAINER_OF(pointer, type, member) ((type *)((char *)(pointer) - offsetof(type, member)))
#define PRINTF_LIKE(text, first) __attribute__((format(printf, text, first)))

#define NANOSECONDS 1000000000ull
#define FOREVER INT64_MAX /* a deadline that never comes */

/* ---- lib: strings, lists, printing ------------------------------------------------------------------------------------------- */

void *memcpy(void *restrict to, const void *restrict from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int byte, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
size_t strnlen(const char *s, size_t limit);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strchr(const char *s, int c);

/* %d %i %u %x %X %c %s %.*s %p %% with l, ll, z, widths, 0 and -. Returns the length it would have had; always terminates (size > 0). */
int snprintf(char *to, size_t size, const char *format, ...) PRINTF_LIKE(3, 4);
int vsnprintf(char *to, size_t size, const char *format, va_list arguments);
/* "16M", "64K", "1G", "4096" -> bytes; false if it is no size. */
bool parse_size(const char *text, uint64_t *size);

struct list {
	struct list *next, *previous;
};
#define LIST_INITIAL(name) {&(name), &(name)}
static inline void list_init(struct list *l) { l->next = l->previous = l; }
static inline bool list_empty(const struct list *l) { return l->next == l; }
static inline void list_insert_before(struct list *at, struct list *node) /* of a list's head: append */
{
	node->next = at;
	node->previous = at->previous;
	at->previous->next = node;
	at->previous = node;
}
static inline void list_remove(struct list *node) /* and make it an empty list, so that removing twice is harmless */
{
	node->previous->next = node->next;
	node->next->previous = node->previous;
	list_init(node);
}
#define LIST_FOR_EACH(node, head) for (struct list *node = (head)->next; node != (head); node = node->next)
#define LIST_FOR_EACH_SAFE(node, head) \
	for (struct list *node = (head)->next, *node##_next = node->next; node != (head); node = node##_next, node##_next = node->next)

/* ---- boot: what the machine told us ------------------------------------------------------------------------------------------ */

struct memory_range {
	uint64_t start, end; /* physical; RAM only */
};

struct boot_information {
	const char *entry;		 /* "PVH" or "boot_params" */
	char command_line[8192];
	uint64_t acpi_rsdp;		 /* physical; 0: not told */
	size_t range_count;
	struct memory_range range[64];
};
extern struct boot_information boot_information;

#define VIRTIO_WORD "virtio_mmio.device=" /* of the command line, as Linux takes it (Documentation/admin-guide/kernel-parameters.txt) */
/* The next word of the command line into word (unquoted), as much of it as has room. False at the end. */
bool command_line_word(const char **text, char *word, size_t size);

/* Options before "--" on the command line and in the start file. */
struct options {
	bool trace, marks, seal;
	bool escaped_input; /* the host tells the end of the input apart from its bytes */
	uint64_t tmp_size;
};
extern struct options options;

/* ---- console and control channel (cpu/console.c, cpu/power.c) ------------------------------------------------------------------- */

/* All ways out of the console wait for the host, and let nothing else run meanwhile: a reader that is slow stops the machine. */
void console_write(const char *bytes, size_t length);
void console_put(const char *bytes, size_t length); /* the same in pieces, with console_flush() after the last */
void console_flush(void);
size_t console_read(char *to, size_t size);		 /* what has come in; 0: nothing yet, or, if input is pending, the end */
bool console_input_pending(void);			 /* console_read() has bytes or the end */
void kprintf(const char *format, ...) PRINTF_LIKE(1, 2); /* one line, "sarab: " before it and a newline after it */
void control_line(const char *format, ...) PRINTF_LIKE(1, 2);
void mark_at(const char *name, int64_t time);
void mark(const char *name); /* now: a boot mark for the control channel, if asked for (cpu/marks.c) */
void marks_tell(void);	     /* what has been kept of them: at the machine's end */
void marks_idle(void);	     /* the machine is about to idle, and may have time for them */

_Noreturn void panic(const char *format, ...) PRINTF_LIKE(1, 2); /* the kernel's own mistake, or no way on: report, status 255 */
_Noreturn void machine_stop(int status);			 /* the end; see decision 0002 */
#define ASSERT(condition) ((condition) ? (void)0 : panic("%s:%d: %s", __FILE__, __LINE__, #condition))

/* ---- memory: frames and kernel objects ---------------------------------------------------------------------------------------- */

/* Physical frames. 0 when there is none left. */
uint64_t frame_allocate(void);		   /* not cleared */
uint64_t frame_allocate_zeroed(void);
void frame_free(uint64_t physical);
uint64_t frames_allocate_contiguous(unsigned order); /* 2^order frames, aligned to their size, not cleared */
void frames_free_contiguous(uint64_t physical, unsigned order);
uint64_t frames_free_count(void);
uint64_t frames_total_count(void);
static inline void *direct(uint64_t physical) { return (void *)(DIRECT_BASE + physical); } /* where RAM is seen by the kernel */

/* Kernel objects, up to 1 MiB, 16-byte aligned. allocate() clears. NULL when out of memory. */
void *allocate(size_t size);
void release(void *object); /* NULL is allowed */

/* Strict commit accounting: what the application may write to must be there. charge() is false when it is not. In pages. */
bool memory_charge(uint64_t pages);
void memory_uncharge(uint64_t pages);
uint64_t memory_available_pages(void); /* what can still be charged */
/* For frames that no mapping charges for (/tmp's): a zeroed one if one is left that nobody was promised, else 0; and its return. */
uint64_t commit_take_uncharged(void);
void commit_give_back(uint64_t frame, bool charged);
/* Decision 0003: from now on no new executable mapping at all. */
void memory_seal(void);

/* ---- memory: the application's address space ----------------------------------------------------------------------------------- */

/* What can be mapped besides anonymous memory: image files, /tmp files. Reference-counted by its owner. */
struct mappable;
struct mappable_operations {
	void (*get)(struct mappable *);
	void (*put)(struct mappable *);
	/* The frame of a page, allocated if the object is writable and has none yet. 0 with *error = -EFAULT: past the end (SIGBUS);
	 * -ENOMEM: no memory. The frame stays the object's. */
	uint64_t (*frame)(struct mappable *, uint64_t page, int *error);
	/* Is [offset, offset + length) executable code of the image (decision 0003)? NULL: never. */
	bool (*executable)(struct mappable *, uint64_t offset, uint64_t length);
	/* Is frame() of this page, which is within the size, next to no work? Then it is mapped before it is asked for. NULL: always. */
	bool (*there)(struct mappable *, uint64_t page);
	/* The bytes of such a page, good until the next call, for somebody's own copy of it. NULL: in_place is false, or they are frame()'s. */
	const void *(*peek)(struct mappable *, uint64_t page);
};
struct mappable {
	const struct mappable_operations *operations;
	uint64_t size;		/* bytes now */
	bool in_place;		/* frames never change or go: may be mapped eagerly */
	uint64_t eager;		/* not 0: no more of a mapping of the file's start, for ld.so maps the other segments over the rest */
	bool writable;		/* MAP_SHARED with PROT_WRITE is possible */
	bool closures;		/* libffi's: asked for as code, mapped without execute permission, its jumps made by cpu/trampoline.c */
	bool uncached;		/* device registers: the CPU caches nothing of them. Shared mappings only */
	const char *name;	/* for /proc/self/maps and reports; stable while referenced */
	uint64_t inode_number;
};

/* The work of mmap(2) once the file is known. object NULL: anonymous. Returns the address or -errno. */
int64_t memory_map(uint64_t address, uint64_t length, int protection, int flags, struct mappable *object, uint64_t offset);
int memory_unmap(uint64_t address, uint64_t length);
void memory_object_truncated(struct mappable *object, uint64_t first_page); /* forget its frames from there on in every mapping */
/* One line of /proc/self/maps a call; *cursor starts at 0; returns its length, 0 at the end. */
size_t memory_describe(uint64_t *cursor, char *to, size_t size);
uint64_t memory_resident_pages(void);
uint64_t memory_virtual_pages(void);

/* Copies between kernel and application; they fault pages in, and return -EFAULT for what cannot be reached. */
int copy_from_user(void *to, uint64_t from, size_t length);
int copy_to_user(uint64_t to, const void *from, size_t length);
int clear_user(uint64_t to, size_t length);
/* Length without the NUL, or -EFAULT, or -ENAMETOOLONG when there is no NUL within size bytes. */
int64_t copy_string_from_user(char *to, uint64_t from, size_t size);
#define GET_USER(value, address) copy_from_user(&(value), (address), sizeof(value))
#define PUT_USER(address, value) copy_to_user((address), &(value), sizeof(value))

/* ---- entropy (cpu/random.c) -------------------------------------------------------------------------------------------------- */

#define RANDOM_MOST (32u << 20) /* bytes of one call, as Linux had it for long: nobody else runs meanwhile, and it is 0.1 s */
void random_bytes(void *to, size_t length);
void random_mix(const void *from, size_t length); /* adds to what the generator has; known bytes take nothing away */
static inline uint64_t random_u64(void)
{
	uint64_t value;
	random_bytes(&value, sizeof value);
	return value;
}

/* ---- cpu: traps, interrupts ---------------------------------------------------------------------------------------------------- */

/* What the entry code pushes, for system calls, faults and interrupts alike; rt_sigreturn and clone rewrite it. */
struct trap_frame {
	uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
	uint64_t vector; /* of the trap or interrupt; TRAP_SYSTEM_CALL for a system call */
	uint64_t error;	 /* the CPU's error code; for a system call its number */
	uint64_t rip, cs, rflags, rsp, ss;
};
#define TRAP_SYSTEM_CALL 256
static inline bool from_user(const struct trap_frame *f) { return (f->cs & 3) == 3; }

/* A machine interrupt line (GSI). The handler runs with interrupts off, and must not block. -EBUSY: the line has one. */
int irq_register(unsigned gsi, bool level, void (*handler)(void *context), void *context);
void irq_mask(unsigned gsi, bool masked); /* a registered line; it is open after irq_register() */
/* A message-signalled interrupt: what a PCI device must write, and where, for the handler to be called (under the same rules). -EBUSY: none is
 * free. Given back, a late message does nothing. */
struct irq_message {
	uint64_t address;
	uint32_t data, reserved;
};
int irq_message_allocate(void (*handler)(void *context), void *context, struct irq_message *message);
void irq_message_free(const struct irq_message *message);

/* FPU, SSE, AVX state in XSAVE's standard format. */
extern uint32_t fpu_state_size;	  /* at most FPU_STATE_MAX */
extern uint64_t fpu_feature_mask; /* XCR0; 3 when the CPU has FXSAVE only */
#define FPU_STATE_MAX 4096
void fpu_save(void *state);	     /* 64-byte aligned */
void fpu_restore(const void *state); /* the state must be valid: see fpu_sanitize */
void fpu_initial(void *state);	     /* the state of a new program */
void fpu_sanitize(void *state);	     /* make bytes that came from the application safe to restore */

/* Thread pointer registers of the application. */
void cpu_set_fs_base(uint64_t base);
uint64_t cpu_get_fs_base(void);

/* ---- thread: scheduling and waiting ---------------------------------------------------------------------------------------------- */

struct thread; /* thread/thread.h */
extern struct thread *current_thread; /* set by the scheduler */
#define current current_thread

struct wait_queue {
	struct list waiters;
};
#define WAIT_QUEUE_INITIAL(name) {LIST_INITIAL((name).waiters)}
void wait_queue_init(struct wait_queue *q);

/* A thread's place in one queue; poll() has many. Lives on the waiting thread's stack or in its heap. */
struct waiter {
	struct list node;
	struct thread *thread;
	bool woken;
};
void wait_queue_add(struct wait_queue *q, struct waiter *w);  /* for the current thread */
void wait_queue_remove(struct waiter *w);		      /* harmless if woken or never added */
/* Wakes up to count waiters in order of arrival: each is taken off its queue and marked woken. Returns how many. */
unsigned wake(struct wait_queue *q, unsigned count);
#define WAKE_ALL UINT32_MAX

/* Blocks the current thread until it is woken through any of its waiters, a signal arrives, or the monotonic clock passes the deadline.
 * 0, -EINTR (a signal is pending and not blocked), or -ETIMEDOUT. May return 0 without cause: re-check in a loop. */
int thread_block(int64_t deadline);
/* Add to q, block, remove. The caller has just checked that its condition does not hold. */
int wait_on(struct wait_queue *q, int64_t deadline);

/* Internal result of a system call that a signal cut short: restarted or turned into EINTR by SA_RESTART, as in Linux. */
#define ERESTARTSYS 512
#define ERESTARTNOHAND 514 /* EINTR if a handler runs, restarted if none does */

/* ---- thread: time ------------------------------------------------------------------------------------------------------------------ */

int64_t time_monotonic(void); /* since kernel entry, more or less; never goes back */
int64_t time_realtime(void);  /* since 1970-01-01 UTC */

struct timer {
	struct list node;
	int64_t deadline; /* monotonic */
	void (*expired)(struct timer *);
	bool armed;
};
void timer_set(struct timer *t, int64_t deadline); /* armed already: moved */
void timer_cancel(struct timer *t);

/* Sends a signal to the process: a power button, a timer. Kernel-made (SI_KERNEL). */
void signal_process(int signal);

/* ---- image ------------------------------------------------------------------------------------------------------------------------- */

struct image_node {
	uint32_t name_offset;
	uint16_t name_length, mode;
	uint64_t data_offset, size;
	uint32_t first_child, child_count, parent, flags;
	uint64_t reserved;
};
#define IMAGE_PAGE_ALIGNED 1u

extern struct memory_range image_range; /* physical; empty when there is no image */
const char *image_check(const void *base, uint64_t available); /* NULL when it is sound, else what is wrong: a phrase for the refusal */
void image_init(void);					   /* find, check, or refuse to boot */
const struct image_node *image_node(uint32_t number);	   /* number < image_node_count() */
uint32_t image_node_count(void);
const char *image_name(const struct image_node *node);	   /* name_length bytes, no NUL */
/* Bytes of a file or a link, which lie where they will stay; [offset, offset + length) is within its size. What is compressed of them is
 * decompressed first; and if that is damaged, it is the end. */
const void *image_data(const struct image_node *node, uint64_t offset, uint64_t length);
bool image_there(const struct image_node *node, uint64_t offset); /* decompressed already, or never compressed */
/* The page at offset of a file that lies on pages, to be copied at once: what has to be decompressed for it does not stay. */
const void *image_peek(const struct image_node *node, uint64_t offset);
int64_t image_child(const struct image_node *directory, const char *name, size_t length); /* node number or -ENOENT */
int64_t image_lookup(const char *path);			   /* absolute, no symbolic links; node number or -ENOENT */

/* ---- personality -------------------------------------------------------------------------------------------------------------------- */

/* "512@0xfeb00000:16", registers and interrupt line. False: it describes none, or one that is the kernel's. */
struct device_description {
	uint64_t address, size;
	unsigned line;
};
bool device_description_read(const char *text, struct device_description *description);
/* A device that a driver in ring 3 may have: "512@0xfeb00000:16", registers and interrupt line. What nobody described stays closed. False: it
 * describes none, or one that is the kernel's. (personality/windows.c) */
bool device_window_describe(const char *text);
/* The same for everything on PCI (the kernel option "pci"): configuration, the registers of its devices, message-signalled interrupts. */
void device_pci_allow(void);
void files_init(void); /* mounts, and descriptors 0, 1, 2 on the console */
void console_input_arrived(void); /* called by the console's interrupt */
/* The image file as something to map (exec, ld.so): with a reference. NULL: no such regular file or no memory. */
struct mappable *image_mappable(uint32_t node);

void system_call(struct trap_frame *frame); /* personality/table.c: called by the entry code, sets frame->rax */
extern uint64_t unknown_system_calls;

#endif
