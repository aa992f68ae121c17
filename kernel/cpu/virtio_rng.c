/* The host's entropy, for a CPU that has no generator of its own: virtio 1.3 section 5.4.
 *
 * The device is asked once, before anything is drawn, and reset: a driver in Python may have it later. It is polled, with bounded patience,
 * for there are no interrupts and no clock yet. It is believed in what it gives, and in nothing else. */
#include "cpu/machine.h"
#include "cpu/virtio_mmio.h"
#include "memory/memory.h"

#define DEVICE_ENTROPY 4u
#define DESCRIBED "virtio_mmio.device="
#define DESCRIPTION_MAX 64
#define ENTRIES 2u
#define LOOKS 64 /* at memory, for each at a register, which is an exit: a microsecond at the least */
#define PATIENCE 1000000

struct request { /* a queue, and what the device fills */
	struct virtio_descriptor descriptor[ENTRIES];
	uint16_t available_flags, available_index, available[ENTRIES], used_event;
	uint16_t pad;
	uint16_t used_flags, used_index;
	struct virtio_used used[ENTRIES];
	uint16_t available_event;
	uint8_t bytes[RANDOM_SEED_SIZE];
};
_Static_assert(offsetof(struct request, used_flags) % 4 == 0 && sizeof(struct request) <= PAGE_SIZE, "the request is one page");

static bool wait_for(volatile uint32_t *registers, const volatile struct request *r, uint16_t index)
{
	for (unsigned looks = 0; looks < PATIENCE && registers[VIRTIO_STATUS] == VIRTIO_STATUS_RUNNING; looks++)
		for (unsigned i = 0; i < LOOKS; i++) {
			if (r->used_index == index)
				return true;
			__asm__ volatile("pause");
		}
	return false;
}

/* Has the whole request filled, by as many answers as the device likes. */
static bool ask(volatile uint32_t *registers, volatile struct request *r, uint64_t physical)
{
	uint32_t features = 0, filled = 0;
	const uint64_t queue[] = {physical + offsetof(struct request, descriptor), physical + offsetof(struct request, available_flags),
				  physical + offsetof(struct request, used_flags)};

	if (!virtio_mmio_negotiate(registers, DEVICE_ENTROPY, &features) || !virtio_mmio_queue(registers, 0, ENTRIES, queue))
		return false;
	registers[VIRTIO_STATUS] = VIRTIO_STATUS_RUNNING;
	r->available_flags = VIRTIO_NO_INTERRUPT;
	for (uint16_t index = 1; filled < sizeof r->bytes; index++) {
		r->descriptor[0].address = physical + offsetof(struct request, bytes) + filled;
		r->descriptor[0].length = (uint32_t)sizeof r->bytes - filled;
		r->descriptor[0].flags = VIRTIO_WRITE;
		__asm__ volatile("" : : : "memory");
		r->available_index = index; /* all entries name descriptor 0 */
		__asm__ volatile("mfence" : : : "memory");
		registers[VIRTIO_QUEUE_NOTIFY] = 0;
		if (!wait_for(registers, r, index))
			return false;
		uint32_t length = r->used[(uint16_t)(index - 1) % ENTRIES].length;
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
	while (*text != 0) {
		char description[DESCRIPTION_MAX] = "";
		size_t length = 0, skipped = strlen(DESCRIBED);
		uint64_t address;
		bool described = strncmp(text, DESCRIBED, skipped) == 0;
		for (text += described ? skipped : 0; *text != 0 && *text != ' '; text++)
			if (described && length + 1 < sizeof description)
				description[length++] = *text;
		if (described && virtio_mmio_describe(description, &address) && read_device(address, to))
			return true;
		while (*text == ' ')
			text++;
	}
	return false;
}
