/* kernel/cpu/virtio_console.c against a device in the same process, which works when it was told to, bit by bit, or errs in one way.
 * Arguments: how the device errs ("good": not at all), after how many descriptors it does, seed, writes. What the device took and then what
 * went another way must together be what was written; a difference ends it with a line and status 1. Prints both lengths. */
#include <stdio.h>
#include <stdlib.h>

#include "cpu/machine.h"
#include "memory/memory.h"

#define NOT_TOLD 0xffffffffu
#define TOTAL_MAX (4u << 20)

static uint32_t registers[64] = {[0] = 0x74726976, [1] = 2, [2] = 3, [4] = 1u << 29 | 1, [13] = 64, [20] = NOT_TOLD};
static char written[TOTAL_MAX], came[TOTAL_MAX];
static size_t written_length, came_length, taken_length;
static const char *error;
static unsigned errs_after, descriptors;
static uint16_t seen;
static bool awake, asked_for_interrupt;
static int64_t now;
static uint64_t state;
bool pvm;

static uint64_t next(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	return state ^= state << 17;
}

static uint64_t address(unsigned reg) { return registers[reg] | (uint64_t)registers[reg + 1] << 32; }

/* Takes up to so many descriptors, if it was told of any since it last had none. */
static void device_works(unsigned count)
{
	if (registers[17] == 0 || registers[28] != 15)
		return;
	awake = awake || registers[20] == 1;
	registers[20] = NOT_TOLD;
	volatile uint16_t *driver = (uint16_t *)address(36), *device = (uint16_t *)address(40);
	volatile uint8_t *table = (uint8_t *)address(32);
	for (; awake && count > 0; count--) {
		if (seen == driver[1]) {
			awake = false;
			return;
		}
		if (descriptors >= errs_after && strcmp(error, "stuck") == 0)
			return;
		if (descriptors >= errs_after && strcmp(error, "count") == 0) {
			device[1] = (uint16_t)(driver[1] + 1000);
			return;
		}
		if (descriptors >= errs_after && strcmp(error, "status") == 0) {
			registers[28] |= 64; /* DEVICE_NEEDS_RESET */
			return;
		}
		volatile uint8_t *d = table + 16 * driver[2 + seen % 64];
		const char *from = (const char *)*(volatile uint64_t *)d;
		uint32_t length = *(volatile uint32_t *)(d + 8);
		memcpy(came + came_length, from, length);
		came_length += length;
		taken_length = came_length;
		descriptors++;
		seen++;
		*(volatile uint32_t *)(device + 2 + 4 * (device[1] % 64)) = driver[2 + (seen - 1) % 64];
		uint16_t old = device[1];
		device[1] = (uint16_t)(old + 1);
		uint16_t used_event = driver[2 + 64]; /* section 2.7.10: does the driver want to hear of this one? */
		asked_for_interrupt = asked_for_interrupt || used_event == old;
		if (strcmp(error, "always told") != 0)
			device[2 + 4 * 64] = seen; /* available_event */
	}
}

int64_t time_monotonic(void)
{
	device_works(1 + next() % 3);
	return now += 1000000;
}

void console_write_plainly(const char *bytes, size_t length)
{
	memcpy(came + came_length, bytes, length);
	came_length += length;
}

bool device_description_read(const char *text, struct device_description *description)
{
	(void)text;
	*description = (struct device_description){(uint64_t)registers, 512, 23};
	return true;
}

void *device_map_open(uint64_t physical, uint64_t length) { (void)length; return (void *)physical; }
bool commit_kernel_may_take(uint64_t pages) { (void)pages; return strcmp(error, "memory") != 0; }
uint64_t frames_allocate_contiguous(unsigned order) { return (uint64_t)aligned_alloc(PAGE_SIZE, (size_t)PAGE_SIZE << order); }

int main(int argc, char **argv)
{
	if (argc != 5)
		return 2;
	error = argv[1];
	errs_after = (unsigned)atoi(argv[2]);
	state = strtoull(argv[3], NULL, 10) * 2 + 1;
	if (strcmp(error, "magic") == 0)
		registers[0] = 0;
	if (strcmp(error, "legacy") == 0)
		registers[1] = 1;
	if (strcmp(error, "other kind") == 0)
		registers[2] = 4;
	if (strcmp(error, "no features") == 0)
		registers[4] = 0;
	if (strcmp(error, "always told") == 0)
		registers[4] = 1; /* no event indices: it must hear of each */
	if (strcmp(error, "small queue") == 0)
		registers[13] = 32;
	virtio_console_describe("");
	virtio_console_start();
	for (int i = atoi(argv[4]); i > 0; i--) {
		size_t length = next() % 100 == 0 ? next() % 70000 : next() % 300;
		length = MIN(length, TOTAL_MAX - written_length);
		for (size_t at = 0; at < length; at++)
			written[written_length + at] = (char)next();
		size_t first = length > 0 ? next() % length : 0, parts[2] = {first, length - first}, done = written_length;
		for (int part = 0; part < 2; part++) { /* one write in two pieces, and told of once */
			size_t took = virtio_console_put(written + done, parts[part]);
			if (took < parts[part])
				console_write_plainly(written + done + took, parts[part] - took);
			done += parts[part];
		}
		virtio_console_flush();
		written_length = done;
		if (registers[17] == 1 && registers[28] == 15 && !awake && registers[20] == NOT_TOLD && seen != ((uint16_t *)address(36))[1]) {
			printf("the device sleeps, and was not told of what lies there\n");
			return 1;
		}
		device_works(next() % 4);
	}
	virtio_console_drain();
	if (asked_for_interrupt) {
		printf("an interrupt was asked for\n");
		return 1;
	}
	/* Who lies about what it took gets nothing more, and the last of what it did take comes twice. */
	size_t other = came_length - taken_length, twice = strcmp(error, "count") == 0 ? 7 * PAGE_SIZE : 0;
	if (came_length < written_length || came_length > written_length + twice || memcmp(came, written, taken_length) != 0 ||
	    memcmp(came + taken_length, written + written_length - other, other) != 0) {
		printf("%zu bytes were written and %zu came, or others\n", written_length, came_length);
		return 1;
	}
	printf("%zu %zu\n", taken_length, other);
	return 0;
}
