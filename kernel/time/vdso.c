/* The vDSO's place in the application: [vvar], two pages of the kernel's data, and behind them [vdso], the shared object.
 *
 * It is the one exception to decision 0003 ("only the image's code is executable"): these pages are the kernel's own, in its
 * read-only part, and nothing but this file can have them mapped. */
#include <linux/mman.h>

#include "kernel.h"
#include "time/time.h"
#include "time/vdso.h"

#define DATA_PAGES 2
/* Where mappings go by chance: enough of the address space that a guess is hopeless, and clear of program, stack and mmap area. */
#define PLACE_START 0x100000000000
#define PLACE_SIZE 0x600000000000

extern char vdso_image[], vdso_image_end[];
struct vdso_data *vdso_data;
struct kvm_clock *kvm_clock;

void vdso_pages_init(void)
{
	uint64_t data = frame_allocate_zeroed(), clock = frame_allocate_zeroed();
	if (data == 0 || clock == 0)
		panic("no memory for the clock's pages");
	vdso_data = direct(data);
	kvm_clock = direct(clock);
}

static void no_reference(struct mappable *object)
{
	(void)object;
}

static uint64_t data_frame(struct mappable *object, uint64_t page, int *error)
{
	(void)object;
	if (page >= DATA_PAGES) {
		*error = -EFAULT;
		return 0;
	}
	return (page == 0 ? (uint64_t)vdso_data : (uint64_t)kvm_clock) - DIRECT_BASE;
}

static uint64_t image_frame(struct mappable *object, uint64_t page, int *error)
{
	if (page >= object->size / PAGE_SIZE) {
		*error = -EFAULT;
		return 0;
	}
	return (uint64_t)vdso_image + page * PAGE_SIZE - KERNEL_BASE;
}

static bool image_executable(struct mappable *object, uint64_t offset, uint64_t length)
{
	return offset <= object->size && length <= object->size - offset;
}

static const struct mappable_operations data_operations = {.get = no_reference, .put = no_reference, .frame = data_frame};
static const struct mappable_operations image_operations = {
	.get = no_reference, .put = no_reference, .frame = image_frame, .executable = image_executable};

static struct mappable data_object = {
	.operations = &data_operations, .size = DATA_PAGES * PAGE_SIZE, .in_place = true, .name = "[vvar]"};
static struct mappable image_object = {.operations = &image_operations, .in_place = true, .name = "[vdso]"};

uint64_t vdso_map(void)
{
	uint64_t hint = PLACE_START + ROUND_DOWN(random_u64() % PLACE_SIZE, PAGE_SIZE);
	image_object.size = (uint64_t)(vdso_image_end - vdso_image);

	/* Room for both is found by mapping the data as long as both; its end is then replaced. */
	int64_t place = memory_map(hint, DATA_PAGES * PAGE_SIZE + image_object.size, PROT_READ, MAP_PRIVATE, &data_object, 0);
	if (place < 0)
		return 0;
	uint64_t image = (uint64_t)place + DATA_PAGES * PAGE_SIZE;
	if (memory_map(image, image_object.size, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, &image_object, 0) < 0) {
		memory_unmap((uint64_t)place, DATA_PAGES * PAGE_SIZE + image_object.size);
		return 0;
	}
	return image;
}
