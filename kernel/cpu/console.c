/* The console and the control channel (decision 0002): the debug console where the machine has one, else the 16550; and for a program that
 * prints more than a little the virtio console, where the host describes one. */
#include "cpu/cpu.h"
#include "cpu/machine.h"

#define DEBUG_CONSOLE 0xe9
#define CONTROL 0xea
#define CONTROL_PRESENT 0x5a
#define SERIAL 0x3f8
#define SERIAL_LINE 4
#define IER 1
#define FCR 2
#define LCR 3
#define MCR 4
#define LSR 5
#define NO_DEVICE 0xff /* what a port without a device reads as */
#define LSR_DATA 0x01
#define LSR_TRANSMIT_EMPTY 0x20
#define TRANSMIT_PATIENCE 100000 /* polls; a console that takes nothing must not stop the guest */

#define FAST_FROM 64 /* bytes. To set the virtio console up costs what the ports take for about so many; a hello prints less */

static bool debug_console, control, serial;
static bool at_line_start = true;
static bool panicking;
static uint64_t written; /* by the ports, until the fast console is tried */

static uint8_t input[4096];
static size_t input_first, input_count;

/* The escapes of input=escaped: after ESCAPE, END is the end of the input and any other byte is itself. */
#define ESCAPE 0x10
#define END 0x04
static bool input_escape, input_ended;

static void port_write(uint16_t port, const char *bytes, size_t length)
{
	__asm__ volatile("rep outsb" : "+S"(bytes), "+c"(length) : "d"(port) : "memory");
}

void console_init(void)
{
	/* Each access is 25 us of a host that emulates the ports in a process of its own. So: no more than a line of bytes in memory needs,
	 * which has no speed, and whose interrupt is asked for by console_interrupts_on(). */
	debug_console = in8(DEBUG_CONSOLE) == DEBUG_CONSOLE;
	control = in8(CONTROL) == CONTROL_PRESENT;
	serial = in8(SERIAL + LSR) != NO_DEVICE;
	if (!serial)
		return;
	out8(SERIAL + LCR, 3); /* 8N1 */
	out8(SERIAL + FCR, 0xc1); /* FIFO on, and an interrupt for 14 bytes or a pause: five times the speed of one for each */
	out8(SERIAL + MCR, 0x0b);
}

static void serial_write(const char *bytes, size_t length)
{
	static bool stalled; /* patience was lost: drop until the transmitter is free again */
	for (size_t i = 0; i < length; i++) {
		unsigned patience = stalled ? 1 : TRANSMIT_PATIENCE;
		while (patience > 0 && (in8(SERIAL + LSR) & LSR_TRANSMIT_EMPTY) == 0)
			patience--;
		stalled = patience == 0;
		if (!stalled)
			out8(SERIAL, (uint8_t)bytes[i]);
	}
}

void console_write_plainly(const char *bytes, size_t length)
{
	if (debug_console)
		port_write(DEBUG_CONSOLE, bytes, length);
	else if (serial)
		serial_write(bytes, length);
}

void console_put(const char *bytes, size_t length)
{
	if (length == 0)
		return;
	at_line_start = bytes[length - 1] == '\n';
	written += length;
	if (written > FAST_FROM && !panicking) /* a panic may come from whoever owns the memory that the start would ask for */
		virtio_console_start();
	size_t taken = virtio_console_put(bytes, length);
	if (taken < length)
		console_write_plainly(bytes + taken, length - taken);
}

void console_flush(void)
{
	virtio_console_flush();
}

void console_write(const char *bytes, size_t length)
{
	console_put(bytes, length);
	console_flush();
}

static void print_line(const char *format, va_list arguments)
{
	char line[1024];
	int length = vsnprintf(line, sizeof line, format, arguments);
	if (!at_line_start)
		console_put("\n", 1);
	console_put("sarab: ", 7);
	console_put(line, MIN((size_t)length, sizeof line - 1));
	console_write("\n", 1);
}

void kprintf(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	print_line(format, arguments);
	va_end(arguments);
}

void control_line(const char *format, ...)
{
	if (!control)
		return;
	char line[256];
	va_list arguments;
	va_start(arguments, format);
	int length = vsnprintf(line, sizeof line - 1, format, arguments);
	va_end(arguments);
	size_t end = MIN((size_t)length, sizeof line - 2);
	line[end] = '\n';
	port_write(CONTROL, line, end + 1);
}

/* ---- input --------------------------------------------------------------------------------------------------------------------- */

static void accept(uint8_t byte)
{
	if (input_ended)
		return;
	if (options.escaped_input) {
		bool escaped = input_escape;
		input_escape = !escaped && byte == ESCAPE;
		if (input_escape)
			return;
		if (escaped && byte == END) {
			input_ended = true;
			return;
		}
	}
	input[(input_first + input_count++) % sizeof input] = byte;
}

static void receive(void *context)
{
	(void)context;
	bool arrived = false;
	while ((in8(SERIAL + LSR) & LSR_DATA) != 0) {
		if (input_count == sizeof input) {
			out8(SERIAL + IER, 0); /* the rest waits in the device until console_read() makes room */
			break;
		}
		accept(in8(SERIAL));
		arrived = true;
	}
	if (arrived)
		console_input_arrived();
}

void console_interrupts_on(void)
{
	if (serial && irq_register(SERIAL_LINE, false, receive, NULL) == 0) {
		out8(SERIAL + IER, 1);
		receive(NULL);
		if (options.escaped_input)
			control_line("input"); /* switching the FIFO on has lost what came before; nothing is lost from here on */
	}
}

size_t console_read(char *to, size_t size)
{
	size_t n = 0;
	for (; n < size && input_count > 0; n++, input_count--) {
		to[n] = (char)input[input_first];
		input_first = (input_first + 1) % sizeof input;
	}
	if (serial && n > 0)
		out8(SERIAL + IER, 1);
	return n;
}

bool console_input_pending(void)
{
	return input_count > 0 || input_ended;
}

/* ---- the kernel's own end ----------------------------------------------------------------------------------------------------------- */

void panic(const char *format, ...)
{
	__asm__ volatile("cli");
	if (panicking) {
		virtio_console_forget(); /* it may be the cause */
		machine_stop(255);
	}
	panicking = true;
	va_list arguments;
	va_start(arguments, format);
	print_line(format, arguments);
	va_end(arguments);
	const uint64_t *frame = __builtin_frame_address(0);
	for (unsigned depth = 0; depth < 16 && frame != NULL && (uint64_t)frame >= STACKS_BASE; depth++) {
		if (frame[1] < KERNEL_BASE)
			break;
		kprintf("  at %016lx", frame[1]);
		frame = (const uint64_t *)frame[0];
	}
	machine_stop(255);
}
