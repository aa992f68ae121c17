/* Interrupt controllers: the old PIC silenced, the local APIC, and the I/O APIC where the machine has one. Intel SDM volume 3 chapter 11. */
#include "cpu/cpu.h"
#include "thread/thread.h"

#define MSR_APIC_BASE 0x1b
#define APIC_BASE_ENABLED 0x800u
#define APIC_BASE_X2APIC 0x400u
#define MSR_X2APIC 0x800
#define LAPIC_ID 0x20
#define LAPIC_EOI 0xb0
#define LAPIC_SPURIOUS 0xf0
#define LAPIC_LVT_TIMER 0x320
#define LVT_MASKED 0x10000u
#define IO_APIC_PHYSICAL 0xfec00000
#define IO_APIC_VERSION 1
#define IO_APIC_REDIRECTION 0x10
#define LINES 24
#define MESSAGES 32 /* vectors for them: a dozen cards, with some to spare */
#define MESSAGE_ADDRESS 0xfee00000u
#define MESSAGE_DESTINATION_SHIFT 12

static volatile uint32_t *lapic; /* NULL: x2APIC */
static volatile uint32_t *io_apic;
static struct {
	void (*handler)(void *);
	void *context;
	bool level;
} lines[LINES];

static struct {
	void (*handler)(void *);
	void *context;
} messages[MESSAGES];

void interrupt_handle(unsigned vector);

uint32_t lapic_read(unsigned reg)
{
	return lapic != NULL ? lapic[reg / 4] : (uint32_t)read_msr(MSR_X2APIC + reg / 16);
}

void lapic_write(unsigned reg, uint32_t value)
{
	if (lapic != NULL)
		lapic[reg / 4] = value;
	else
		write_msr(MSR_X2APIC + reg / 16, value);
}

static uint32_t io_apic_read(unsigned reg)
{
	io_apic[0] = reg;
	return io_apic[4];
}

static void io_apic_write(unsigned reg, uint32_t value)
{
	io_apic[0] = reg;
	io_apic[4] = value;
}

void apic_init(void)
{
	out8(0x21, 0xff); /* the PIC: all lines masked */
	out8(0xa1, 0xff);

	uint64_t base = read_msr(MSR_APIC_BASE);
	if (cpu_features.x2apic && cpu_features.kvm)
		base |= APIC_BASE_X2APIC;
	write_msr(MSR_APIC_BASE, base | APIC_BASE_ENABLED);
	if ((base & APIC_BASE_X2APIC) == 0)
		lapic = device_map(base & 0xffffff000, PAGE_SIZE);
	lapic_write(LAPIC_SPURIOUS, 0x100 | VECTOR_SPURIOUS);
	lapic_write(LAPIC_LVT_TIMER, LVT_MASKED);

	io_apic = device_map(IO_APIC_PHYSICAL, PAGE_SIZE);
	uint32_t version = io_apic_read(IO_APIC_VERSION);
	if (version == 0xffffffff || version == 0) {
		io_apic = NULL;
		return;
	}
	if (pvm)
		return; /* KVM's own begins with all lines masked, no firmware of such a machine opens one, and each access is emulated: 3.5 us */
	/* Mostly they are closed already; a write can take a hypervisor milliseconds (QEMU's own IO-APIC in front of KVM). */
	for (unsigned i = 0; i < LINES && i <= (version >> 16 & 0xff); i++)
		if ((io_apic_read(IO_APIC_REDIRECTION + 2 * i) & LVT_MASKED) == 0)
			io_apic_write(IO_APIC_REDIRECTION + 2 * i, LVT_MASKED);
}

static uint32_t lapic_id(void)
{
	return lapic != NULL ? lapic_read(LAPIC_ID) >> 24 : lapic_read(LAPIC_ID);
}

int irq_register(unsigned gsi, bool level, void (*handler)(void *context), void *context)
{
	if (gsi >= LINES || io_apic == NULL)
		return -ENODEV;
	if (lines[gsi].handler != NULL)
		return -EBUSY;
	lines[gsi].handler = handler;
	lines[gsi].context = context;
	lines[gsi].level = level;
	io_apic_write(IO_APIC_REDIRECTION + 2 * gsi + 1, lapic_id() << 24);
	io_apic_write(IO_APIC_REDIRECTION + 2 * gsi, (VECTOR_LINES + gsi) | (level ? 0x8000u : 0));
	return 0;
}

void irq_mask(unsigned gsi, bool masked)
{
	ASSERT(gsi < LINES && lines[gsi].handler != NULL);
	io_apic_write(IO_APIC_REDIRECTION + 2 * gsi, (VECTOR_LINES + gsi) | (lines[gsi].level ? 0x8000u : 0) | (masked ? LVT_MASKED : 0));
}

/* Intel SDM volume 3 section 11.11: fixed delivery, edge, to this CPU. */
int irq_message_allocate(void (*handler)(void *context), void *context, struct irq_message *message)
{
	unsigned i = 0;
	while (i < MESSAGES && messages[i].handler != NULL)
		i++;
	if (i == MESSAGES)
		return -EBUSY;
	messages[i].handler = handler;
	messages[i].context = context;
	*message = (struct irq_message){MESSAGE_ADDRESS | lapic_id() << MESSAGE_DESTINATION_SHIFT, VECTOR_MESSAGES + i, 0};
	return 0;
}

void irq_message_free(const struct irq_message *message)
{
	messages[message->data - VECTOR_MESSAGES].handler = NULL;
}

void interrupt_handle(unsigned vector)
{
	if (vector == VECTOR_SPURIOUS)
		return; /* takes no EOI */
	/* Before the EOI: a handler that masks a level-triggered line must not see it again for the same event. */
	if (vector >= VECTOR_LINES && vector < VECTOR_LINES + LINES && lines[vector - VECTOR_LINES].handler != NULL)
		lines[vector - VECTOR_LINES].handler(lines[vector - VECTOR_LINES].context);
	if (vector >= VECTOR_MESSAGES && vector < VECTOR_MESSAGES + MESSAGES && messages[vector - VECTOR_MESSAGES].handler != NULL)
		messages[vector - VECTOR_MESSAGES].handler(messages[vector - VECTOR_MESSAGES].context);
	lapic_write(LAPIC_EOI, 0);
	if (vector == VECTOR_TIMER)
		timer_interrupt();
}
