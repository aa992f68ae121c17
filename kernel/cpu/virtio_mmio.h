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

/* A split queue of an even number of entries in one piece, as virtio_mmio_queue() tells the device of it (sections 2.7.5, 2.7.6, 2.7.8). */
#define VIRTIO_QUEUE(entries)                                                                                                          \
	struct {                                                                                                                       \
		struct virtio_descriptor descriptor[entries];                                                                          \
		uint16_t available_flags, available_index, available[entries], used_event;                                             \
		uint16_t pad; /* what follows begins at a multiple of 4 */                                                              \
		uint16_t used_flags, used_index;                                                                                       \
		struct virtio_used used[entries];                                                                                      \
		uint16_t available_event;                                                                                              \
	}

/* A device that is described as "512@0xfeb00e00:23". False: that is none whose registers the kernel may have. */
bool virtio_mmio_describe(const char *text, uint64_t *physical);
/* Until FEATURES_OK. features, of the first word: those wanted, then those there are. False: it is another device, or too old. */
bool virtio_mmio_negotiate(volatile uint32_t *registers, uint32_t device, uint32_t *features);
/* The queue is a VIRTIO_QUEUE(size) at a physical address. False: the device has none of that size. */
bool virtio_mmio_queue(volatile uint32_t *registers, uint32_t queue, uint32_t size, uint64_t physical);

#endif
