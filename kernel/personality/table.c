/* The table of system calls, and the way through it. */
#include <asm/unistd.h>

#include "personality/files.h"
#include "personality/syscalls.h"
#include "personality/trace.h"
#include "thread/thread.h"

struct system_call_row {
	int64_t (*call)(const uint64_t *argument);
	const char *name, *format;
};

#define ROW(name, format) [__NR_##name] = {sys_##name, #name, format},
static const struct system_call_row table[] = {SYSTEM_CALLS(ROW, ROW, ROW)};
#undef ROW

uint64_t unknown_system_calls;
struct unknown_call unknown_calls[UNKNOWN_CALLS_MAX];

const char *system_call_name(uint64_t number)
{
	return number < ARRAY_LENGTH(table) ? table[number].name : NULL;
}

static void count_unknown(uint64_t number)
{
	unknown_system_calls++;
	for (size_t i = 0; i < UNKNOWN_CALLS_MAX; i++) {
		if (unknown_calls[i].count && unknown_calls[i].number != number)
			continue;
		unknown_calls[i].number = number;
		unknown_calls[i].count++;
		return;
	}
}

void system_call(struct trap_frame *frame)
{
	trap_enter();
	uint64_t number = frame->error;
	const uint64_t argument[6] = {frame->rdi, frame->rsi, frame->rdx, frame->r10, frame->r8, frame->r9};

	if (number >= ARRAY_LENGTH(table) || !table[number].call) {
		count_unknown(number);
		frame->rax = (uint64_t)-ENOSYS;
		if (options.trace)
			trace_call(number, NULL, "xxxxxx:d", argument, -ENOSYS);
		return;
	}
	const struct system_call_row *row = &table[number];
	if (options.trace && (number == __NR_exit || number == __NR_exit_group))
		trace_no_return(row->name, row->format, argument);
	int64_t result = row->call(argument);
	if (number == __NR_rt_sigreturn) /* it has put every register where it belongs */
		return;
	frame->rax = (uint64_t)result;
	if (options.trace)
		trace_call(number, row->name, row->format, argument, result);
}
