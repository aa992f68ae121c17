/* kernel/cpu/virtio_rng.c against a device in a thread of the same process. Argument: how the device behaves. Prints what virtio_rng_read() says,
 * and whether the bytes are the device's. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "cpu/machine.h"
#include "memory/memory.h"

#define NOT_TOLD 0xffffffffu
#define RUNNING 15

static volatile uint32_t registers[64] = {[0] = 0x74726976, [1] = 2, [2] = 4, [4] = 1, [13] = 8, [20] = NOT_TOLD};
static const char *behaviour;
struct boot_information boot_information;
bool pvm;

static bool is(const char *word) { return strcmp(behaviour, word) == 0; }

static volatile void *address(unsigned reg) { return (volatile void *)(registers[reg] | (uint64_t)registers[reg + 1] << 32); }

static void answer(unsigned count)
{
	volatile uint16_t *driver = address(36), *device = address(40);
	volatile struct { uint64_t address; uint32_t length; uint16_t flags, next; } *d = address(32);
	uint32_t given = is("pieces") ? MIN(d->length, 7) : d->length, said = is("nothing") ? 0 : is("too much") ? d->length + 1 : given;
	if (d->flags != 2 || driver[1] != count) {
		printf("a wrong request\n");
		exit(1);
	}
	if (is("stuck"))
		return;
	if (is("status")) {
		registers[28] = RUNNING | 64; /* DEVICE_NEEDS_RESET */
		return;
	}
	for (uint32_t i = 0; i < given; i++)
		((volatile uint8_t *)d->address)[i] = (uint8_t)(100 + count);
	*(volatile uint32_t *)(device + 2 + 4 * ((count - 1) % 2) + 2) = said;
	__asm__ volatile("" : : : "memory");
	device[1] = (uint16_t)count;
}

static void *device(void *unused)
{
	for (unsigned count = 0;;) {
		if (registers[20] == NOT_TOLD)
			continue; /* as a host's other processor */
		registers[20] = NOT_TOLD;
		answer(++count);
	}
	return unused;
}

bool device_description_read(const char *text, struct device_description *description)
{
	*description = (struct device_description){(uint64_t)registers, 512, 23};
	return strcmp(text, "right") == 0;
}

void *device_map_open(uint64_t physical, uint64_t length) { (void)length; return (void *)physical; }
uint64_t frames_allocate_contiguous(unsigned order) { return is("memory") ? 0 : (uint64_t)aligned_alloc(PAGE_SIZE, (size_t)PAGE_SIZE << order); }
void frame_free(uint64_t physical) { free((void *)physical); }

int main(int argc, char **argv)
{
	pthread_t thread;
	uint8_t bytes[RANDOM_SEED_SIZE] = {0};
	if (argc != 2)
		return 2;
	behaviour = argv[1];
	if (is("other kind"))
		registers[2] = 3;
	snprintf(boot_information.command_line, sizeof boot_information.command_line, "  a virtio_mmio.device=wrong %svirtio_mmio.device=right -- b",
		 is("not described") ? "x" : "");
	if (pthread_create(&thread, NULL, device, NULL) != 0)
		return 2;
	bool read = virtio_rng_read(bytes), whole = true;
	for (unsigned i = 0; i < sizeof bytes; i++)
		whole = whole && bytes[i] == 101 + (is("pieces") ? i / 7 : 0);
	printf("%s %s %u\n", read ? "read" : "refused", whole ? "whole" : "not", registers[28]);
	return 0;
}
