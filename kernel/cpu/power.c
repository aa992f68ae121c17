/* The end of the machine (decision 0002) and the request for it: ACPI 6.5 sections 4.8 (fixed hardware) and 5.6.9 (generic events). */
#include <asm/signal.h>

#include "cpu/cpu.h"
#include "cpu/machine.h"

#define DEBUG_EXIT 0xf4
#define PM1_POWER_BUTTON 0x100u
#define PM1_SLEEP_ENABLE 0x2000u
#define PM1_SCI_ENABLE 1u
#define FADT_HARDWARE_REDUCED (1u << 20)
/* QEMU's microvm: its generic event device and reduced-hardware registers (docs/specs/acpi_hw_reduced_hotplug.rst names the first). */
#define GED_SELECTOR 0xfea00000
#define GED_POWER_DOWN 2u
#define GED_LINE 9

static struct {
	uint16_t pm1_event, pm1_control, smi_command, sci_line;
	uint8_t acpi_enable, pm1_event_length;
	uint64_t sleep_control; /* hardware-reduced: physical address */
} acpi;
static volatile uint32_t *ged;
static volatile uint8_t *sleep_control;

struct table {
	char signature[4];
	uint32_t length;
	uint8_t rest[28];
};

static bool sums_to_zero(const uint8_t *bytes, size_t length)
{
	uint8_t sum = 0;
	for (size_t i = 0; i < length; i++)
		sum = (uint8_t)(sum + bytes[i]);
	return sum == 0;
}

/* The firmware's tables lie in RAM or in reserved memory; both are read through the device window. */
static const uint8_t *table_map(uint64_t physical)
{
	if (physical == 0 || physical >= 1ull << 40)
		return NULL;
	const uint8_t *header = device_map(physical, sizeof(struct table));
	uint32_t length;
	memcpy(&length, header + 4, sizeof length);
	if (length < sizeof(struct table) || length > 0x10000)
		return NULL;
	const uint8_t *whole = device_map(physical, length);
	return sums_to_zero(whole, length) ? whole : NULL;
}

static uint64_t field(const uint8_t *table, size_t offset, size_t size)
{
	uint32_t length;
	uint64_t value = 0;
	memcpy(&length, table + 4, sizeof length);
	if (offset + size <= length)
		memcpy(&value, table + offset, size);
	return value;
}

static const uint8_t *find_rsdp(void)
{
	if (boot_information.acpi_rsdp != 0 && boot_information.acpi_rsdp < 1ull << 40) {
		const uint8_t *told = device_map(boot_information.acpi_rsdp, 36);
		if (memcmp(told, "RSD PTR ", 8) == 0 && sums_to_zero(told, 20))
			return told;
	}
	const uint8_t *bios = direct(0);
	for (uint64_t at = 0xe0000; at < 0x100000; at += 16)
		if (memcmp(bios + at, "RSD PTR ", 8) == 0 && sums_to_zero(bios + at, 20))
			return bios + at;
	return NULL;
}

static const uint8_t *find_table(const char *signature)
{
	const uint8_t *rsdp = find_rsdp();
	if (rsdp == NULL)
		return NULL;
	uint64_t address = 0;
	size_t entry_size = rsdp[15] >= 2 ? 8 : 4;
	memcpy(&address, rsdp + (entry_size == 8 ? 24 : 16), entry_size);
	const uint8_t *root = table_map(address);
	if (root == NULL)
		return NULL;
	uint32_t length;
	memcpy(&length, root + 4, sizeof length);
	for (size_t at = 36; at + entry_size <= length; at += entry_size) {
		uint64_t entry = field(root, at, entry_size);
		if (entry == 0 || entry >= 1ull << 40)
			continue;
		if (memcmp(device_map(entry, sizeof(struct table)), signature, 4) == 0)
			return table_map(entry);
	}
	return NULL;
}

void acpi_init(void)
{
	const uint8_t *fadt = find_table("FACP");
	if (fadt == NULL)
		return;
	if (field(fadt, 112, 4) & FADT_HARDWARE_REDUCED) {
		acpi.sleep_control = field(fadt, 244 + 4, 8);
		if (field(fadt, 244, 1) == 0 && acpi.sleep_control != 0 && acpi.sleep_control < 1ull << 40)
			sleep_control = device_map(acpi.sleep_control, 1);
		return;
	}
	acpi.sci_line = (uint16_t)field(fadt, 46, 2);
	acpi.smi_command = (uint16_t)field(fadt, 48, 4);
	acpi.acpi_enable = (uint8_t)field(fadt, 52, 1);
	acpi.pm1_event = (uint16_t)field(fadt, 56, 4);
	acpi.pm1_control = (uint16_t)field(fadt, 64, 4);
	acpi.pm1_event_length = (uint8_t)field(fadt, 88, 1);
}

static void pm1_event(void *context)
{
	(void)context;
	uint16_t status = in16(acpi.pm1_event);
	out16(acpi.pm1_event, status); /* acknowledge all */
	if (status & PM1_POWER_BUTTON)
		signal_process(SIGTERM);
}

static void generic_event(void *context)
{
	(void)context;
	if (*ged & GED_POWER_DOWN) /* reading clears */
		signal_process(SIGTERM);
}

void power_button_init(void)
{
	if (sleep_control != NULL) {
		ged = device_map(GED_SELECTOR, 4);
		irq_register(GED_LINE, false, generic_event, NULL);
	} else if (acpi.pm1_event != 0 && acpi.pm1_event_length >= 4) {
		if (acpi.smi_command != 0 && acpi.acpi_enable != 0 && (in16(acpi.pm1_control) & PM1_SCI_ENABLE) == 0)
			out8(acpi.smi_command, acpi.acpi_enable);
		out16(acpi.pm1_event, PM1_POWER_BUTTON);
		out16((uint16_t)(acpi.pm1_event + acpi.pm1_event_length / 2), PM1_POWER_BUTTON);
		irq_register(acpi.sci_line, true, pm1_event, NULL);
	}
}

void acpi_power_off(void)
{
	if (sleep_control != NULL)
		*sleep_control = 0x20 | 5 << 2; /* SLP_EN, SLP_TYP 5 */
	else if (acpi.pm1_control != 0)
		/* SLP_TYP of S5 is in the DSDT's \_S5; QEMU's machines say 0 there. */
		out16(acpi.pm1_control, PM1_SLEEP_ENABLE);
}

void machine_stop(int status)
{
	__asm__ volatile("cli");
	marks_tell();
	virtio_console_drain();
	control_line("exit %d", status);
	out32(DEBUG_EXIT, (uint32_t)status);
	acpi_power_off();
	out8(0x64, 0xfe);
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) no_table = {0, 0};
	__asm__ volatile("lidt %0\n\tint3" : : "m"(no_table));
	for (;;)
		__asm__ volatile("hlt");
}
