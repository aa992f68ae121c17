/* Devices for drivers in ring 3 (decision 0042): registers of the devices that the command line describes (/dev/mem), memory that a device can
 * reach (/dev/dma), interrupts as Linux's UIO gives them (/dev/irq), PCI's configuration (/dev/port).
 *
 * Without a described device none of them opens. Registers are never RAM and never the interrupt controllers'; but a device that can be
 * programmed can be told to write anywhere: who holds these files is trusted as the kernel is (SECURITY.md).
 */
#include <linux/mman.h>

#include "cpu/cpu.h"
#include "memory/memory.h"
#include "personality/windows.h"

static struct device_description windows[WINDOWS_MAX];
static size_t window_count;
static bool pci_allowed;

/* ---- description ------------------------------------------------------------------------------------------------------------------------ */

static bool parse_number(const char **text, uint64_t *value)
{
	const char *s = *text;
	unsigned base = 10;
	if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) {
		base = 16;
		s += 2;
	}
	uint64_t n = 0;
	const char *first = s;
	for (;; s++) {
		unsigned digit = *s >= '0' && *s <= '9' ? (unsigned)(*s - '0') : *s >= 'a' && *s <= 'f' ? (unsigned)(*s - 'a' + 10) : 99;
		if (digit >= base)
			break;
		if (n > UINT64_MAX / 32)
			return false;
		n = n * base + digit;
	}
	*text = s;
	*value = n;
	return s != first;
}

static bool is_ram(uint64_t start, uint64_t end)
{
	if (start < 0x100000)
		return true; /* the firmware's */
	for (size_t i = 0; i < boot_information.range_count; i++)
		if (start < boot_information.range[i].end && boot_information.range[i].start < end)
			return true;
	return false;
}

bool device_description_read(const char *text, struct device_description *description)
{
	uint64_t size, address, line;
	if (!parse_number(&text, &size))
		return false;
	if (*text == 'K' || *text == 'k') {
		size <<= 10;
		text++;
	}
	if (*text++ != '@' || !parse_number(&text, &address) || *text++ != ':' || !parse_number(&text, &line))
		return false;
	if (*text != 0 && *text != ':') /* Linux's fourth field is an id, which we do not need */
		return false;
	uint64_t start = ROUND_DOWN(address, PAGE_SIZE), end = ROUND_UP(address + size, PAGE_SIZE);
	if (size == 0 || size > 0x10000 || address + size > 1ull << 40 || line > 23)
		return false;
	if (is_ram(start, end) || (start < 0xfed00000 && end > 0xfec00000) || (start < 0xfef00000 && end > 0xfee00000))
		return false; /* RAM, an I/O APIC or a local APIC */
	*description = (struct device_description){address, size, (unsigned)line};
	return true;
}

bool device_window_describe(const char *text)
{
	if (window_count == WINDOWS_MAX || !device_description_read(text, &windows[window_count]))
		return false;
	window_count++;
	return true;
}

void device_pci_allow(void)
{
	pci_allowed = true;
}

static bool any_device(void)
{
	return window_count != 0 || pci_allowed;
}

/* Where PCI's registers may be: outside RAM and outside what firmware keeps at the end of it; not from the I/O APIC up to 4 GiB, where the
 * interrupt controllers, timers and the firmware's ROM are. */
#define FIXED_START 0xfec00000ull
#define FIXED_END 0x100000000ull
#define FIRMWARE_ALIGNMENT 0x100000ull
static bool may_be_pci(uint64_t page)
{
	uint64_t low_end = 0, high_end = FIXED_END;
	for (size_t i = 0; i < boot_information.range_count; i++) {
		uint64_t end = boot_information.range[i].end;
		if (end <= FIXED_END)
			low_end = MAX(low_end, end);
		else
			high_end = MAX(high_end, end);
	}
	uint64_t top = cpuid(0x80000000, 0).eax >= 0x80000008 ? 1ull << MIN(cpuid(0x80000008, 0).eax & 0xff, 40u) : 1ull << 36;
	return (page >= ROUND_UP(low_end, FIRMWARE_ALIGNMENT) && page < FIXED_START) || (page >= high_end && page < top);
}

/* ---- /dev/mem ------------------------------------------------------------------------------------------------------------------------------ */

static void window_reference(struct mappable *object) { (void)object; }

static uint64_t window_frame(struct mappable *object, uint64_t page, int *error)
{
	uint64_t start = page << PAGE_SHIFT;
	(void)object;
	bool allowed = pci_allowed && may_be_pci(start);
	for (size_t i = 0; i < window_count; i++)
		allowed = allowed || (start < windows[i].address + windows[i].size && windows[i].address < start + PAGE_SIZE);
	if (allowed && !device_is_kernels(start))
		return start;
	*error = -EFAULT;
	return 0;
}

static const struct mappable_operations window_object_operations = {
	.get = window_reference, .put = window_reference, .frame = window_frame,
};
static struct mappable window_object = {
	.operations = &window_object_operations, .size = 1ull << 40, .writable = true, .uncached = true, .name = "/dev/mem",
};

static int window_map(struct file *file, int flags, struct mappable **object)
{
	(void)file;
	if (!any_device())
		return -ENXIO; /* no device was described */
	if (flags == 0)
		return -EINVAL; /* a private copy of registers is none of them */
	*object = &window_object;
	return 0;
}

const struct file_operations window_operations = {.map = window_map};

/* ---- /dev/dma ------------------------------------------------------------------------------------------------------------------------------ */

static uint64_t dma_total;

struct dma {
	struct mappable mappable;
	uint64_t physical;
	uint32_t references;
};

static struct dma *dma_of(struct mappable *object)
{
	return CONTAINER_OF(object, struct dma, mappable);
}

static void dma_get(struct mappable *object)
{
	dma_of(object)->references++;
}

/* The frames are never given to anybody else: no driver's word that its device has stopped is good enough for that. */
static void dma_put(struct mappable *object)
{
	if (--dma_of(object)->references == 0)
		release(dma_of(object));
}

static uint64_t dma_frame(struct mappable *object, uint64_t page, int *error)
{
	if (page << PAGE_SHIFT >= object->size) {
		*error = -EFAULT;
		return 0;
	}
	return dma_of(object)->physical + (page << PAGE_SHIFT);
}

static const struct mappable_operations dma_object_operations = {.get = dma_get, .put = dma_put, .frame = dma_frame};

static int64_t dma_control(struct file *file, uint32_t request, uint64_t argument)
{
	struct dma_region region;
	if (request != DMA_ALLOCATE)
		return -ENOTTY;
	if (GET_USER(region, argument) != 0)
		return -EFAULT;
	if (!any_device())
		return -ENXIO;
	if (file->object != NULL)
		return -EBUSY;
	if (region.size == 0 || region.size > DMA_REGION_MAX)
		return -EINVAL;
	unsigned order = 0;
	while ((uint64_t)PAGE_SIZE << order < region.size)
		order++;
	uint64_t bytes = (uint64_t)PAGE_SIZE << order;
	if (bytes > DMA_TOTAL_MAX - dma_total || !memory_charge(bytes >> PAGE_SHIFT))
		return -ENOMEM;
	memory_uncharge(bytes >> PAGE_SHIFT); /* taken at once: no promise is left open */
	struct dma *dma = allocate(sizeof *dma);
	uint64_t physical = dma != NULL ? frames_allocate_contiguous(order) : 0;
	if (physical == 0) {
		release(dma);
		return -ENOMEM;
	}
	memset(direct(physical), 0, bytes);
	dma_total += bytes;
	*dma = (struct dma){
		.mappable = {.operations = &dma_object_operations, .size = bytes, .in_place = true, .writable = true, .name = "/dev/dma"},
		.physical = physical,
		.references = 1,
	};
	file->object = dma;
	region = (struct dma_region){bytes, physical};
	return PUT_USER(argument, region) != 0 ? -EFAULT : 0;
}

static int dma_map(struct file *file, int flags, struct mappable **object)
{
	struct dma *dma = file->object;
	if (dma == NULL)
		return -ENXIO;
	if (flags == 0)
		return -EINVAL;
	*object = &dma->mappable;
	return 0;
}

static void dma_close(struct file *file)
{
	struct dma *dma = file->object;
	if (dma != NULL)
		dma_put(&dma->mappable);
}

const struct file_operations dma_operations = {.map = dma_map, .control = dma_control, .close = dma_close};

/* ---- /dev/irq ------------------------------------------------------------------------------------------------------------------------------ */

/* A line is the machine's, and stays when its file is closed; a message is its file's. */
struct interrupt {
	uint32_t count, seen; /* interrupts so far, and as the last read() said */
	unsigned gsi;
	bool attached, is_message;
	struct irq_message message;
	struct readiness readiness;
};
static struct interrupt lines[24];

static void arrived(struct interrupt *interrupt)
{
	interrupt->count++;
	readiness_changed(&interrupt->readiness, POLLIN | POLLRDNORM);
}

static void line_interrupt(void *context)
{
	struct interrupt *line = context;
	irq_mask(line->gsi, true); /* until the driver has looked and writes 1 */
	arrived(line);
}

static void message_interrupt(void *context)
{
	arrived(context);
}

static int line_attach(struct file *file, uint64_t argument)
{
	uint32_t gsi;
	if (GET_USER(gsi, argument) != 0)
		return -EFAULT;
	bool described = false;
	for (size_t i = 0; i < window_count; i++)
		described = described || windows[i].line == gsi;
	if (!described)
		return -ENXIO;
	struct interrupt *line = &lines[gsi];
	if (!line->attached) {
		readiness_init(&line->readiness);
		line->gsi = gsi;
		int error = irq_register(gsi, true, line_interrupt, line);
		if (error != 0)
			return error;
		irq_mask(gsi, true);
		line->attached = true;
	}
	file->object = line;
	return 0;
}

static int message_attach(struct file *file, uint64_t argument)
{
	if (!pci_allowed)
		return -ENXIO;
	struct interrupt *interrupt = allocate(sizeof *interrupt);
	if (interrupt == NULL)
		return -ENOMEM;
	readiness_init(&interrupt->readiness);
	interrupt->is_message = true;
	int error = irq_message_allocate(message_interrupt, interrupt, &interrupt->message);
	if (error != 0) {
		release(interrupt);
		return error;
	}
	file->object = interrupt;
	return PUT_USER(argument, interrupt->message) != 0 ? -EFAULT : 0;
}

static int64_t interrupt_control(struct file *file, uint32_t request, uint64_t argument)
{
	if (request != IRQ_ATTACH && request != IRQ_MESSAGE)
		return -ENOTTY;
	if (file->object != NULL)
		return -EBUSY;
	return request == IRQ_ATTACH ? line_attach(file, argument) : message_attach(file, argument);
}

static int64_t interrupt_read(struct file *file, struct transfer *t, int64_t *position)
{
	struct interrupt *interrupt = file->object;
	(void)position;
	if (interrupt == NULL || t->left != sizeof interrupt->count)
		return -EINVAL;
	while (interrupt->count == interrupt->seen) {
		if (t->nonblocking)
			return -EAGAIN;
		if (wait_on(&interrupt->readiness.queue, FOREVER) < 0)
			return -ERESTARTSYS;
	}
	interrupt->seen = interrupt->count;
	return transfer_put(t, &interrupt->count, sizeof interrupt->count) == sizeof interrupt->count ? (int64_t)sizeof interrupt->count : -EFAULT;
}

/* 1 arms the line, 0 masks it, as UIO has it (a message has no mask: its device holds its tongue); 2 makes the file readable, for a driver that
 * leaves work for later. */
static int64_t interrupt_write(struct file *file, struct transfer *t, int64_t *position)
{
	struct interrupt *interrupt = file->object;
	uint32_t value;
	(void)position;
	if (interrupt == NULL || t->left != sizeof value)
		return -EINVAL;
	if (transfer_take(t, &value, sizeof value) != sizeof value)
		return -EFAULT;
	if (value > 2)
		return -EINVAL;
	if (value == 2)
		arrived(interrupt);
	else if (!interrupt->is_message)
		irq_mask(interrupt->gsi, value == 0);
	return sizeof value;
}

static uint32_t interrupt_poll(struct file *file, struct readiness **readiness)
{
	struct interrupt *interrupt = file->object;
	static struct readiness never = {WAIT_QUEUE_INITIAL(never.queue), LIST_INITIAL(never.watchers)};
	if (interrupt == NULL) {
		*readiness = &never;
		return POLLERR;
	}
	*readiness = &interrupt->readiness;
	return interrupt->count != interrupt->seen ? POLLIN | POLLRDNORM : 0;
}

static void interrupt_close(struct file *file)
{
	struct interrupt *interrupt = file->object;
	if (interrupt == NULL || !interrupt->is_message)
		return;
	irq_message_free(&interrupt->message);
	release(interrupt);
}

const struct file_operations line_operations = {
	.read = interrupt_read, .write = interrupt_write, .poll = interrupt_poll, .control = interrupt_control, .close = interrupt_close,
};

/* ---- /dev/port ----------------------------------------------------------------------------------------------------------------------------- */

/* PCI's configuration (PCI 3.0 section 3.2.2.3.2): the address at 0xcf8, 32 bits at once, and the data from 0xcfc on; no other port. (The byte
 * at 0xcf9 resets the machine.) */
#define PCI_ADDRESS 0xcf8
#define PCI_DATA 0xcfc

static bool port_possible(int64_t port, size_t size)
{
	if (port == PCI_ADDRESS)
		return size == 4;
	return port >= PCI_DATA && port + (int64_t)size <= PCI_DATA + 4 && (size == 1 || size == 2 || size == 4) && port % (int64_t)size == 0;
}

/* 0, or why an access of this size to this port is refused. */
static int64_t port_check(int64_t port, size_t size)
{
	if (!pci_allowed)
		return -ENXIO;
	return port_possible(port, size) ? 0 : -EPERM;
}

static int64_t port_read(struct file *file, struct transfer *t, int64_t *position)
{
	(void)file;
	int64_t refused = port_check(*position, t->left);
	if (refused)
		return refused;
	uint16_t port = (uint16_t)*position;
	size_t size = t->left;
	uint32_t value = size == 1 ? in8(port) : size == 2 ? in16(port) : in32(port);
	return transfer_put(t, &value, size) == size ? (int64_t)size : -EFAULT;
}

static int64_t port_write(struct file *file, struct transfer *t, int64_t *position)
{
	uint32_t value = 0;
	(void)file;
	int64_t refused = port_check(*position, t->left);
	if (refused)
		return refused;
	uint16_t port = (uint16_t)*position;
	size_t size = t->left;
	if (transfer_take(t, &value, size) != size)
		return -EFAULT;
	if (size == 1)
		out8(port, (uint8_t)value);
	else if (size == 2)
		out16(port, (uint16_t)value);
	else
		out32(port, value);
	return (int64_t)size;
}

const struct file_operations port_operations = {.read = port_read, .write = port_write, .seek = file_seek};
