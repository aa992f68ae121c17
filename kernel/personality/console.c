/* The console as a file: bytes as they come, no terminal. */
#include "personality/console.h"

#define END_OF_INPUT 0x04 /* at the start of a read: the end, as a terminal's ^D */

static struct readiness readiness = {WAIT_QUEUE_INITIAL(readiness.queue), LIST_INITIAL(readiness.watchers)};

void console_input_arrived(void)
{
	readiness_changed(&readiness, POLLIN | POLLRDNORM);
}

static int64_t console_file_read(struct file *file, struct transfer *t, int64_t *position)
{
	char bytes[256];
	(void)file, (void)position;
	if (!t->left)
		return 0;
	while (!console_input_pending()) {
		if (t->nonblocking)
			return -EAGAIN;
		if (wait_on(&readiness.queue, FOREVER) < 0)
			return -ERESTARTSYS;
	}
	/* The first byte alone, to see whether it is the end; what follows an end stays in the device for the next read. */
	if (!console_read(bytes, 1))
		return 0; /* the end, which the host told */
	if (bytes[0] == END_OF_INPUT && !options.escaped_input)
		return 0;
	size_t length = 1 + console_read(bytes + 1, MIN(sizeof bytes, t->left) - 1);
	return (int64_t)transfer_put(t, bytes, length);
}

#define WRITE_PIECE 512
#define WRITE_MOST (16 << 20) /* bytes a call: nobody else runs until the host has them */
static int64_t console_file_write(struct file *file, struct transfer *t, int64_t *position)
{
	char bytes[WRITE_PIECE];
	int64_t done = 0;
	(void)file, (void)position;
	while (t->left && done < WRITE_MOST) {
		size_t n = transfer_take(t, bytes, sizeof bytes);
		console_put(bytes, n);
		done += (int64_t)n;
		if (t->fault)
			break;
	}
	console_flush();
	return done;
}

static uint32_t console_poll(struct file *file, struct readiness **r)
{
	(void)file;
	*r = &readiness;
	return POLLOUT | POLLWRNORM | (console_input_pending() ? POLLIN | POLLRDNORM : 0u);
}

const struct file_operations console_operations = {
	.read = console_file_read,
	.write = console_file_write,
	.poll = console_poll,
};
