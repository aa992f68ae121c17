/* Devices for drivers in ring 3 (decision 0042): registers of the devices that the command line describes (/dev/mem), memory that a device can
 * reach (/dev/dma), interrupts as Linux's UIO gives them (/dev/irq).
 *
 * Without a described device none of them opens. Registers are never RAM and never the interrupt controllers'; but a device that can be
 * programmed can be told to write anywhere: who holds these files is trusted as the kernel is (SECURITY.md).
 */
#include <linux/mman.h>

#include "memory/memory.h"
#include "personality/windows.h"

static struct window {
	uint64_t address, size;
	unsigned line;
} windows[WINDOWS_MAX];
static size_t window_count;

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

bool device_window_describe(const char *text)
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
	if (window_count == WINDOWS_MAX || size == 0 || size > 0x10000 || address + size > 1ull << 40 || line > 23)
		return false;
	if (is_ram(start, end) || (start < 0xfed00000 && end > 0xfec00000) || (start < 0xfef00000 && end > 0xfee00000))
		return false; /* RAM, an I/O APIC or a local APIC */
	windows[window_count++] = (struct window){address, size, (unsigned)line};
	return true;
}

/* ---- /dev/mem ------------------------------------------------------------------------------------------------------------------------------ */

static void window_reference(struct mappable *object) { (void)object; }

static uint64_t window_frame(struct mappable *object, uint64_t page, int *error)
{
	uint64_t start = page << PAGE_SHIFT;
	(void)object;
	for (size_t i = 0; i < window_count; i++)
		if (start < windows[i].address + windows[i].size && windows[i].address < start + PAGE_SIZE)
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
	if (window_count == 0)
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
	if (window_count == 0)
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

/* One a line, for the machine's life: a line that was opened once can be opened again. */
struct line {
	uint32_t count, seen; /* interrupts so far, and as the last read() said */
	unsigned gsi;
	bool attached;
	struct readiness readiness;
};
static struct line lines[24];

static void line_interrupt(void *context)
{
	struct line *line = context;
	irq_mask(line->gsi, true); /* until the driver has looked and writes 1 */
	line->count++;
	readiness_changed(&line->readiness, POLLIN | POLLRDNORM);
}

static int64_t line_control(struct file *file, uint32_t request, uint64_t argument)
{
	uint32_t gsi;
	if (request != IRQ_ATTACH)
		return -ENOTTY;
	if (GET_USER(gsi, argument) != 0)
		return -EFAULT;
	if (file->object != NULL)
		return -EBUSY;
	bool described = false;
	for (size_t i = 0; i < window_count; i++)
		described = described || windows[i].line == gsi;
	if (!described)
		return -ENXIO;
	struct line *line = &lines[gsi];
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

static int64_t line_read(struct file *file, struct transfer *t, int64_t *position)
{
	struct line *line = file->object;
	(void)position;
	if (line == NULL || t->left != sizeof line->count)
		return -EINVAL;
	while (line->count == line->seen) {
		if (t->nonblocking)
			return -EAGAIN;
		if (wait_on(&line->readiness.queue, FOREVER) < 0)
			return -ERESTARTSYS;
	}
	line->seen = line->count;
	return transfer_put(t, &line->count, sizeof line->count) == sizeof line->count ? (int64_t)sizeof line->count : -EFAULT;
}

/* 1 arms the line, 0 masks it, as UIO has it; 2 makes the file readable, for a driver that leaves work for later. */
static int64_t line_write(struct file *file, struct transfer *t, int64_t *position)
{
	struct line *line = file->object;
	uint32_t armed;
	(void)position;
	if (line == NULL || t->left != sizeof armed)
		return -EINVAL;
	if (transfer_take(t, &armed, sizeof armed) != sizeof armed)
		return -EFAULT;
	if (armed > 2)
		return -EINVAL;
	if (armed == 2) {
		line->count++;
		readiness_changed(&line->readiness, POLLIN | POLLRDNORM);
	} else {
		irq_mask(line->gsi, armed == 0);
	}
	return sizeof armed;
}

static uint32_t line_poll(struct file *file, struct readiness **readiness)
{
	struct line *line = file->object;
	static struct readiness never = {WAIT_QUEUE_INITIAL(never.queue), LIST_INITIAL(never.watchers)};
	if (line == NULL) {
		*readiness = &never;
		return POLLERR;
	}
	*readiness = &line->readiness;
	return line->count != line->seen ? POLLIN | POLLRDNORM : 0;
}

const struct file_operations line_operations = {
	.read = line_read, .write = line_write, .poll = line_poll, .control = line_control,
};
