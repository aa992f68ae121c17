/* What the loader tells: PVH start information (Xen's hvm_start_info) or Linux boot_params. Both are untrusted in their lengths only. */
#include "boot/boot.h"

struct boot_information boot_information;

/* https://xenbits.xen.org/docs/unstable/misc/pvh.html, version 1 */
struct hvm_start_info {
	uint32_t magic, version, flags, module_count;
	uint64_t modules, command_line, rsdp, memory_map;
	uint32_t memory_map_entries, reserved;
};
struct hvm_memory_map_entry {
	uint64_t address, size;
	uint32_t type, reserved;
};
#define HVM_START_MAGIC 0x336ec578
#define MEMORY_TYPE_RAM 1

/* Linux Documentation/arch/x86/zero-page.rst and boot.rst */
#define ZERO_PAGE_RSDP 0x070
#define ZERO_PAGE_COMMAND_LINE_HIGH 0x0c8
#define ZERO_PAGE_E820_ENTRIES 0x1e8
#define ZERO_PAGE_COMMAND_LINE 0x228
#define ZERO_PAGE_E820_TABLE 0x2d0
#define E820_MAX 128
struct e820_entry {
	uint64_t address, size;
	uint32_t type;
} __attribute__((packed));

static const void *low_memory(uint64_t physical, uint64_t length)
{
	return physical != 0 && physical < 1u << 30 && length <= (1u << 30) - physical ? direct(physical) : NULL;
}

static void add_range(uint64_t address, uint64_t size)
{
	struct boot_information *b = &boot_information;
	uint64_t end = address + size;

	if (end < address || end > DIRECT_SIZE)
		end = DIRECT_SIZE;
	address = ROUND_UP(MAX(address, 0x100000), PAGE_SIZE); /* the first MiB is the firmware's */
	end = ROUND_DOWN(end, PAGE_SIZE);
	if (address >= end || b->range_count == ARRAY_LENGTH(b->range))
		return;
	/* Sorted by insertion; an overlap is cut so that no frame is counted twice. */
	size_t at = b->range_count;
	while (at > 0 && b->range[at - 1].start > address)
		at--;
	if (at > 0 && b->range[at - 1].end > address)
		address = b->range[at - 1].end;
	if (at < b->range_count && end > b->range[at].start)
		end = b->range[at].start;
	if (address >= end)
		return;
	memmove(&b->range[at + 1], &b->range[at], (b->range_count - at) * sizeof b->range[0]);
	b->range[at] = (struct memory_range){address, end};
	b->range_count++;
}

static void copy_command_line(uint64_t physical)
{
	const char *text = low_memory(physical, sizeof boot_information.command_line);
	if (text == NULL)
		return;
	size_t length = strnlen(text, sizeof boot_information.command_line);
	if (length == sizeof boot_information.command_line)
		panic("the kernel command line is longer than %zu bytes: shorten it", length - 1);
	memcpy(boot_information.command_line, text, length);
}

static void read_pvh(const struct hvm_start_info *info)
{
	if (info == NULL || info->magic != HVM_START_MAGIC)
		panic("the loader gave no PVH start information");
	boot_information.entry = "PVH";
	copy_command_line(info->command_line);
	boot_information.acpi_rsdp = info->rsdp;
	if (info->version < 1)
		panic("the loader's PVH start information has no memory map (version 0)");
	uint64_t count = MIN(info->memory_map_entries, 512u);
	const struct hvm_memory_map_entry *entry = low_memory(info->memory_map, count * sizeof *entry);
	for (uint64_t i = 0; entry != NULL && i < count; i++)
		if (entry[i].type == MEMORY_TYPE_RAM)
			add_range(entry[i].address, entry[i].size);
}

static uint32_t field32(const uint8_t *page, size_t offset)
{
	uint32_t value;
	memcpy(&value, page + offset, sizeof value);
	return value;
}

static void read_boot_params(const uint8_t *page)
{
	if (page == NULL)
		panic("the loader gave no boot_params");
	boot_information.entry = "boot_params";
	copy_command_line((uint64_t)field32(page, ZERO_PAGE_COMMAND_LINE_HIGH) << 32 | field32(page, ZERO_PAGE_COMMAND_LINE));
	memcpy(&boot_information.acpi_rsdp, page + ZERO_PAGE_RSDP, sizeof boot_information.acpi_rsdp);
	size_t count = MIN(page[ZERO_PAGE_E820_ENTRIES], E820_MAX);
	for (size_t i = 0; i < count; i++) {
		struct e820_entry entry;
		memcpy(&entry, page + ZERO_PAGE_E820_TABLE + i * sizeof entry, sizeof entry);
		if (entry.type == MEMORY_TYPE_RAM)
			add_range(entry.address, entry.size);
	}
}

void boot_information_read(unsigned protocol, uint64_t physical)
{
	if (protocol == BOOT_PVH)
		read_pvh(low_memory(physical, sizeof(struct hvm_start_info)));
	else
		read_boot_params(low_memory(physical, PAGE_SIZE));
	if (boot_information.range_count == 0)
		panic("the loader told of no memory");
}
