/* Boot marks (decision 0002). They are kept and told when the machine has time: a line on the control channel takes most of a millisecond
 * of a host that takes it byte by byte, which is not to be measured. A server that waits for its first request has none yet. */
#include "cpu/cpu.h"
#include "kernel.h"

#define KEPT_MAX 8 /* the kernel's own, and a few of a program's; more are told as soon as they do not fit */
#define NAME_MAX 64
#define QUIET 1000000000 /* nanoseconds since the last mark, before a machine that idles tells them */

static struct {
	char name[NAME_MAX + 1];
	int64_t time;
} kept[KEPT_MAX];
static size_t kept_count;

void marks_tell(void)
{
	if (kept_count == 0)
		return;
	control_line("marks %ld", time_monotonic());
	for (size_t i = 0; i < kept_count; i++)
		control_line("mark %s %ld", kept[i].name, kept[i].time);
	kept_count = 0;
}

static void quiet(struct timer *t)
{
	(void)t; /* the machine has woken, and looks again before it idles */
}

void marks_idle(void)
{
	static struct timer timer = {.expired = quiet};
	if (kept_count == 0)
		return;
	if (time_monotonic() - kept[kept_count - 1].time >= QUIET)
		marks_tell();
	else if (!timer.armed)
		timer_set(&timer, kept[kept_count - 1].time + QUIET);
}

void mark_at(const char *name, int64_t time)
{
	if (!options.marks)
		return;
	if (kept_count == KEPT_MAX)
		marks_tell();
	size_t length = strnlen(name, NAME_MAX);
	memcpy(kept[kept_count].name, name, length);
	kept[kept_count].name[length] = 0;
	kept[kept_count++].time = time;
}

void mark(const char *name)
{
	mark_at(name, time_monotonic());
}
