/* Devices for drivers in ring 3 (decision 0042): /dev/mem, /dev/dma, /dev/irq. */
#ifndef SARAB_WINDOWS_H
#define SARAB_WINDOWS_H

#include "personality/files.h"

/* ioctl of /dev/dma: the argument's size becomes the file's memory, contiguous and zeroed; its physical address comes back. Once a file. */
struct dma_region {
	uint64_t size, physical;
};
#define DMA_ALLOCATE 0xc0105301u /* _IOWR('S', 1, struct dma_region) */
/* ioctl of /dev/irq: the file is for this interrupt line from now on. Once a file. */
#define IRQ_ATTACH 0x40045302u /* _IOW('S', 2, uint32_t) */
/* ioctl of /dev/irq: the file is for a new message-signalled interrupt, and the device is to write this. Once a file; "pci" only. */
#define IRQ_MESSAGE 0x80105303u /* _IOR('S', 3, struct irq_message) */

#define DMA_REGION_MAX (4ull << 20)  /* the buddy allocator's largest block */
#define DMA_TOTAL_MAX (128ull << 20) /* of a machine: rings and buffers of a dozen cards */
#define WINDOWS_MAX 32		     /* QEMU's microvm has 24 slots */

extern const struct file_operations window_operations, dma_operations, line_operations, port_operations;

#endif
