/* The host's entropy, for a CPU that has no generator of its own: virtio 1.3 section 5.4.
 *
 * The device is asked once, before anything is drawn, and reset: a driver in Python may have it later. It is polled, with bounded patience,
 * for there are no interrupts and no clock yet. It is believed in what it gives, and in nothing else. */
#include "cpu/machine.h"
#include "cpu/virtio_mmio.h"
#include "memory/memory.h"

#define DEVICE_ENTROPY 4u
#define WORD_MAX 96 /* of one that describes a device */
#define ENTRIES 2u
#define LOOKS 64 /* at memory, for each at a register, which is an exit: a microsecond at the least */
#define PATIENCE 1000000

struct request {
	VIRTIO_QUEUE(ENTRIES) queue;
	uint8_t bytes[RANDOM_SEED_SIZE]; /* what the device fills */
};
_Static_assert(sizeof(struct request) <= PAGE_SIZE, "the request is one page");

static bool wait_for(volatile uint32_t *registers, const volatile struct request *r, uint16_t index)
{
	for (unsigned looks = 0; looks < PATIENCE && registers[VIRTIO_STATUS] == VIRTIO_STATUS_RUNNING; looks++)
		for (unsigned i = 0; i < LOOKS; i++) {
			if (r->queue.used_index == index)
				return true;
			__asm__ volatile("pause");
		}
	return false;
}

/* Has the whole request filled, by as many answers as the device likes. */
static bool ask(volatile uint32_t *registers, volatile struct request *r, uint64_t physical)
{
	uint32_t features = 0, filled = 0;

	if (!virtio_mmio_negotiate(registers, DEVICE_ENTROPY, &features) || !virtio_mmio_queue(registers, 0, ENTRIES, physical))
		return false;
	registers[VIRTIO_STATUS] = VIRTIO_STATUS_RUNNING;
	r->queue.available_flags = VIRTIO_NO_INTERRUPT;
	for (uint16_t index = 1; filled < sizeof r->bytes; index++) {
		r->queue.descriptor[0].address = physical + offsetof(struct request, bytes) + filled;
		r->queue.descriptor[0].length = (uint32_t)sizeof r->bytes - filled;
		r->queue.descriptor[0].flags = VIRTIO_WRITE;
		__asm__ volatile("" : : : "memory");
		r->queue.available_index = index; /* all entries name descriptor 0 */
		__asm__ volatile("mfence" : : : "memory");
		registers[VIRTIO_QUEUE_NOTIFY] = 0;
		if (!wait_for(registers, r, index))
			return false;
		uint32_t length = r->queue.used[(uint16_t)(index - 1) % ENTRIES].length;
		if (length == 0 || length > sizeof r->bytes - filled)
			return false;
		filled += length;
	}
	return true;
}

static bool read_device(uint64_t address, void *to)
{
	uint64_t physical = frames_allocate_contiguous(0);
	if (physical == 0)
		return false;
	memset(direct(physical), 0, PAGE_SIZE);
	struct request *r = direct(physical);
	volatile uint32_t *registers = device_map_open(address, VIRTIO_REGISTERS_SIZE);
	bool read = ask(registers, r, physical);
	memcpy(to, r->bytes, sizeof r->bytes);
	memset(r->bytes, 0, sizeof r->bytes);
	if (read) {
		registers[VIRTIO_STATUS] = 0;
		frame_free(physical);
	}
	return read; /* else the page stays: the device may have learnt of it */
}

bool virtio_rng_read(void *to)
{
	const char *text = boot_information.command_line;
	char word[WORD_MAX];
	uint64_t address;
	while (command_line_word(&text, word, sizeof word))
		if (strncmp(word, VIRTIO_WORD, strlen(VIRTIO_WORD)) == 0 && virtio_mmio_describe(word + strlen(VIRTIO_WORD), &address) &&
		    read_device(address, to))
			return true;
	return false;
}
