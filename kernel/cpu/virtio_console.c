/* A fast console where the host describes one (decision 0002): the transmit queue of a virtio console, virtio 1.3 sections 2.7 (split
 * queues), 4.2 (MMIO) and 5.3 (console), without MULTIPORT.
 *
 * Bytes are copied into a ring of their own and given to the device in descriptors of one stretch each. The device takes them while the
 * program goes on. Interrupts are never asked for: who needs room, or the end, looks at a register while there is none. That is an exit
 * into the very process that writes the bytes out, so that it costs nobody a processor while a slow reader lets the host wait.
 *
 * The device is trusted with nothing but its own work: of what it writes only the count of what it took is looked at, and one that is wrong,
 * or that takes nothing for long, is given up: what it has not taken goes the way that output went before.
 */
#include "cpu/machine.h"
#include "cpu/virtio_mmio.h"
#include "memory/memory.h"

#define DEVICE_CONSOLE 3u
#define TRANSMIT 1 /* the queue of port 0 */
#define ENTRIES 64u /* lines on their way */
#define ORDER 3 /* 32 KiB: a page for the queue, the others for bytes; a write of a page of text never waits */
#define DATA_SIZE ((PAGE_SIZE << ORDER) - PAGE_SIZE)

#define LOOKS 64 /* at memory, for each at a register */
#define PATIENCE (10 * NANOSECONDS) /* without any progress, and as many looks at a register: a host that was stopped is forgiven */
#define PATIENCE_LOOKS 1000

typedef VIRTIO_QUEUE(ENTRIES) queue_t;
_Static_assert(sizeof(queue_t) <= PAGE_SIZE, "the queue is one page");

static uint64_t described; /* physical address of the registers; 0: no such console, or given up */
static volatile uint32_t *registers; /* NULL: not set up */
static volatile queue_t *queue;
static char *data;
static uint64_t physical;
static bool event_index;

/* Positions in the stream of bytes: released <= published <= filled <= released + DATA_SIZE. */
static uint64_t filled, published, released;
static uint64_t ends[ENTRIES]; /* position after each descriptor */
static uint16_t given, taken, told; /* descriptors, modulo 65536 as the device counts; told: it was told of the first so many */

bool virtio_console_describe(const char *text)
{
	return virtio_mmio_describe(text, &described);
}

/* What it has not taken goes another way. */
static void give_up(void)
{
	registers[VIRTIO_STATUS] = VIRTIO_STATUS_FAILED;
	virtio_console_forget();
	while (released != filled) {
		uint64_t at = released % DATA_SIZE, n = MIN(filled - released, DATA_SIZE - at);
		released += n;
		console_write_plainly(data + at, n);
	}
}

void virtio_console_forget(void)
{
	registers = NULL;
	described = 0;
}

static bool negotiate(void)
{
	uint32_t features = VIRTIO_EVENT_INDEX;

	if (!virtio_mmio_negotiate(registers, DEVICE_CONSOLE, &features) || !virtio_mmio_queue(registers, TRANSMIT, ENTRIES, physical))
		return false;
	event_index = (features & VIRTIO_EVENT_INDEX) != 0;
	registers[VIRTIO_STATUS] = VIRTIO_STATUS_RUNNING;
	return true;
}

void virtio_console_start(void)
{
	if (registers != NULL || described == 0 || !commit_kernel_may_take(1 << ORDER))
		return;
	physical = frames_allocate_contiguous(ORDER);
	if (physical == 0)
		return;
	queue = direct(physical);
	data = (char *)direct(physical) + PAGE_SIZE;
	memset(direct(physical), 0, PAGE_SIZE);
	queue->available_flags = VIRTIO_NO_INTERRUPT; /* section 2.7.7.1; with event indices that is used_event's work */
	registers = device_map_open(described, VIRTIO_REGISTERS_SIZE);
	if (!negotiate())
		give_up(); /* the frames stay: it may have learnt of them */
}

/* Takes back what the device has taken. False: it says what cannot be, and is given up. */
static bool take_back(void)
{
	uint16_t count = (uint16_t)(queue->used_index - taken);
	if (count > (uint16_t)(given - taken)) {
		give_up();
		return false;
	}
	if (count != 0) {
		/* One queue of one stream is taken in order. A device that does otherwise prints nonsense, and does no other harm. */
		taken = (uint16_t)(taken + count);
		released = ends[(uint16_t)(taken - 1) % ENTRIES];
	}
	return true;
}

/* Waits until the device has taken something of what it was given, or gives it up. */
static void wait_for_progress(void)
{
	uint64_t before = released;
	int64_t end = time_monotonic() + (int64_t)PATIENCE;

	registers[VIRTIO_QUEUE_NOTIFY] = TRANSMIT; /* once more: one that has missed a word would be waited for in vain */
	for (unsigned looks = 0; time_monotonic() < end || looks < PATIENCE_LOOKS; looks++) {
		for (unsigned i = 0; i < LOOKS; i++) {
			if (!take_back() || released != before)
				return;
			__asm__ volatile("pause");
		}
		if (registers[VIRTIO_STATUS] != VIRTIO_STATUS_RUNNING)
			break;
	}
	if (take_back() && released == before)
		give_up();
}

/* One stretch of [published, filled), up to the end of the ring. */
static void give(void)
{
	uint64_t at = published % DATA_SIZE, n = MIN(filled - published, DATA_SIZE - at);
	unsigned entry = given % ENTRIES;
	queue->descriptor[entry].address = physical + PAGE_SIZE + at;
	queue->descriptor[entry].length = (uint32_t)n;
	queue->available[entry] = (uint16_t)entry;
	published += n;
	ends[entry] = published;
	given++;
	queue->used_event = (uint16_t)(given + 0x8000); /* it never gets there: no interrupts */
	__asm__ volatile("" : : : "memory");
	queue->available_index = given;
}

void virtio_console_flush(void)
{
	while (registers != NULL && published != filled)
		if ((uint16_t)(given - taken) < ENTRIES)
			give();
		else if (take_back() && (uint16_t)(given - taken) == ENTRIES)
			wait_for_progress();
	if (registers == NULL || told == given)
		return;
	/* Section 2.7.10: a device that is still at work need not be told, and an exit is saved. */
	__asm__ volatile("mfence" : : : "memory");
	uint16_t new = (uint16_t)(given - told);
	told = given;
	if (!event_index || (uint16_t)(given - queue->available_event - 1) < new)
		registers[VIRTIO_QUEUE_NOTIFY] = TRANSMIT;
}

size_t virtio_console_put(const char *bytes, size_t length)
{
	size_t done = 0;
	while (registers != NULL && done < length) {
		uint64_t at = filled % DATA_SIZE, n = MIN(MIN(length - done, released + DATA_SIZE - filled), DATA_SIZE - at);
		if (n == 0 && released + DATA_SIZE == filled) {
			virtio_console_flush();
			if (registers != NULL && take_back() && released + DATA_SIZE == filled)
				wait_for_progress();
			continue;
		}
		memcpy(data + at, bytes + done, n);
		filled += n;
		done += n;
	}
	return done;
}

void virtio_console_drain(void)
{
	virtio_console_flush();
	while (registers != NULL && take_back() && released != filled)
		wait_for_progress();
}
