/* The report of a death: what happened, where, with which registers, among which mappings. Python's own stacks are printed before it by
 * faulthandler, which the first program installs. */
#include "memory/memory.h"

#define STACK_WORDS 16

static const char *const signal_names[] = {
	[1] = "SIGHUP", [2] = "SIGINT", [3] = "SIGQUIT", [4] = "SIGILL", [5] = "SIGTRAP", [6] = "SIGABRT", [7] = "SIGBUS", [8] = "SIGFPE",
	[9] = "SIGKILL", [10] = "SIGUSR1", [11] = "SIGSEGV", [12] = "SIGUSR2", [13] = "SIGPIPE", [14] = "SIGALRM", [15] = "SIGTERM",
	[24] = "SIGXCPU", [25] = "SIGXFSZ", [26] = "SIGVTALRM", [27] = "SIGPROF", [31] = "SIGSYS",
};

static void report_registers(const struct trap_frame *f)
{
	kprintf("  rip %016lx  rsp %016lx  rflags %lx", f->rip, f->rsp, f->rflags);
	kprintf("  rax %016lx  rbx %016lx  rcx %016lx  rdx %016lx", f->rax, f->rbx, f->rcx, f->rdx);
	kprintf("  rsi %016lx  rdi %016lx  rbp %016lx  r8  %016lx", f->rsi, f->rdi, f->rbp, f->r8);
	kprintf("  r9  %016lx  r10 %016lx  r11 %016lx  r12 %016lx", f->r9, f->r10, f->r11, f->r12);
	kprintf("  r13 %016lx  r14 %016lx  r15 %016lx", f->r13, f->r14, f->r15);
}

static void report_mapping(const char *what, uint64_t address)
{
	char text[512];
	memory_describe_address(address, text, sizeof text);
	kprintf("  %s %016lx: %s", what, address, text);
}

void report_death(int signal, const struct trap_frame *frame, const struct fault *fault)
{
	const char *name = signal > 0 && (size_t)signal < ARRAY_LENGTH(signal_names) ? signal_names[signal] : NULL;
	bool fault_known = fault != NULL && fault->valid;

	kprintf("ended by signal %d (%s)%s%s", signal, name != NULL ? name : "real-time", fault_known && fault->what != NULL ? ": " : "",
		fault_known && fault->what != NULL ? fault->what : "");
	const struct trap_frame *f = fault_known ? &fault->frame : frame;
	if (fault_known)
		report_mapping("address", fault->address);
	report_mapping("code at", f->rip);
	report_registers(f);
	char line[256];
	int length = 0;
	for (unsigned i = 0; i < STACK_WORDS; i++) {
		uint64_t word;
		if (GET_USER(word, f->rsp + 8 * i) != 0)
			break;
		length += snprintf(line + length, sizeof line - (size_t)length, " %016lx", word);
		if (i % 4 == 3) {
			kprintf("  stack%s", line);
			length = 0;
		}
	}
}
