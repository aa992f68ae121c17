/* Finding, negotiating and setting up a virtio device over MMIO, virtio 1.3 sections 3.1.1 and 4.2.3. */
#include "cpu/virtio_mmio.h"

#define MAGIC 0
#define VERSION 1
#define DEVICE 2
#define DEVICE_FEATURES 4
#define DEVICE_FEATURES_SELECT 5
#define DRIVER_FEATURES 8
#define DRIVER_FEATURES_SELECT 9
#define QUEUE_SELECT 12
#define QUEUE_SIZE_MAX 13
#define QUEUE_SIZE 14
#define QUEUE_READY 17
#define QUEUE_ADDRESS 32 /* descriptors, driver ring, device ring: 64 bits and as much of a gap each */

#define MAGIC_VALUE 0x74726976u
#define VERSION_VALUE 2u
#define STATUS_ACKNOWLEDGE 1u
#define STATUS_DRIVER 2u
#define STATUS_FEATURES_OK 8u
#define FEATURE_VERSION_1 (1u << 0) /* in the second word */

#define DRIVER_RING(entries) (sizeof(struct virtio_descriptor) * (entries))
#define DEVICE_RING(entries) (DRIVER_RING(entries) + 8 + 2 * (entries))
typedef VIRTIO_QUEUE(64) example;
_Static_assert(offsetof(example, available_flags) == DRIVER_RING(64) && offsetof(example, used_flags) == DEVICE_RING(64) && DEVICE_RING(64) % 4 == 0,
	       "the queue lies as the device is told");

bool virtio_mmio_describe(const char *text, uint64_t *physical)
{
	struct device_description d;
	if (!device_description_read(text, &d) || d.size < VIRTIO_REGISTERS_SIZE || d.address % 4 != 0)
		return false;
	*physical = d.address;
	return true;
}

bool virtio_mmio_negotiate(volatile uint32_t *registers, uint32_t device, uint32_t *features)
{
	if (registers[MAGIC] != MAGIC_VALUE || registers[VERSION] != VERSION_VALUE || registers[DEVICE] != device)
		return false;
	registers[VIRTIO_STATUS] = 0;
	registers[VIRTIO_STATUS] = STATUS_ACKNOWLEDGE;
	registers[VIRTIO_STATUS] = STATUS_ACKNOWLEDGE | STATUS_DRIVER;
	registers[DEVICE_FEATURES_SELECT] = 1;
	if ((registers[DEVICE_FEATURES] & FEATURE_VERSION_1) == 0)
		return false;
	registers[DEVICE_FEATURES_SELECT] = 0;
	*features &= registers[DEVICE_FEATURES];
	registers[DRIVER_FEATURES_SELECT] = 1;
	registers[DRIVER_FEATURES] = FEATURE_VERSION_1;
	registers[DRIVER_FEATURES_SELECT] = 0;
	registers[DRIVER_FEATURES] = *features;
	registers[VIRTIO_STATUS] = STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK;
	return (registers[VIRTIO_STATUS] & STATUS_FEATURES_OK) != 0;
}

bool virtio_mmio_queue(volatile uint32_t *registers, uint32_t queue, uint32_t size, uint64_t physical)
{
	const uint64_t parts[] = {physical, physical + DRIVER_RING(size), physical + DEVICE_RING(size)};

	registers[QUEUE_SELECT] = queue;
	if (registers[QUEUE_SIZE_MAX] < size)
		return false;
	registers[QUEUE_SIZE] = size;
	for (unsigned i = 0; i < 3; i++) {
		registers[QUEUE_ADDRESS + 4 * i] = (uint32_t)parts[i];
		registers[QUEUE_ADDRESS + 4 * i + 1] = (uint32_t)(parts[i] >> 32);
	}
	registers[QUEUE_READY] = 1;
	return true;
}
