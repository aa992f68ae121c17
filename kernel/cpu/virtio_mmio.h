/* virtio 1.3 over MMIO (section 4.2), for the devices that the kernel drives itself: console and entropy. All others are Python's. */
#ifndef SARAB_VIRTIO_MMIO_H
#define SARAB_VIRTIO_MMIO_H

#include "kernel.h"

/* Registers, in words (section 4.2.2). */
#define VIRTIO_QUEUE_NOTIFY 20
#define VIRTIO_STATUS 28
#define VIRTIO_REGISTERS_SIZE 0x100

#define VIRTIO_STATUS_FAILED 128u
#define VIRTIO_STATUS_RUNNING 15u /* ACKNOWLEDGE, DRIVER, DRIVER_OK, FEATURES_OK */
#define VIRTIO_EVENT_INDEX (1u << 29)
#define VIRTIO_NO_INTERRUPT 1u /* a driver ring's flag */
#define VIRTIO_WRITE 2u /* a descriptor's flag: the device's to write */

struct virtio_descriptor { /* section 2.7.5 */
	uint64_t address;
	uint32_t length;
	uint16_t flags, next;
};

struct virtio_used { /* an element of the used ring, section 2.7.8 */
	uint32_t id, length;
};

/* A device that is described as "512@0xfeb00e00:23". False: that is none whose registers the kernel may have. */
bool virtio_mmio_describe(const char *text, uint64_t *physical);
/* Until FEATURES_OK. features, of the first word: those wanted, then those there are. False: it is another device, or too old. */
bool virtio_mmio_negotiate(volatile uint32_t *registers, uint32_t device, uint32_t *features);
/* The physical addresses of descriptors, driver ring and device ring. False: it has no queue of that size. */
bool virtio_mmio_queue(volatile uint32_t *registers, uint32_t queue, uint32_t size, const uint64_t physical[3]);

#endif
