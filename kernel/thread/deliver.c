/* On the way back to ring 3: signals are delivered, system calls restarted, the CPU given to others. */
#include <asm/unistd.h>

#include "thread/signal.h"

#define SYSCALL_LENGTH 2 /* of the SYSCALL instruction */

/* A signal whose default is the end: those that tell of a bug come with the crash report. */
#define REPORTED                                                                                                             \
	(SIGNAL_BIT(SIGSEGV) | SIGNAL_BIT(SIGBUS) | SIGNAL_BIT(SIGILL) | SIGNAL_BIT(SIGFPE) | SIGNAL_BIT(SIGABRT) |                \
	 SIGNAL_BIT(SIGSYS) | SIGNAL_BIT(SIGTRAP))

static _Noreturn void end_by_signal(struct trap_frame *frame, int signal)
{
	struct thread *t = current;
	/* A handler such as faulthandler's raises its signal again at the end: what counts is where it was raised first. */
	bool same = t->fault.valid && t->fault_signal == signal;

	if (SIGNAL_BIT(signal) & REPORTED)
		report_death(signal, same ? &t->fault.frame : frame, same ? &t->fault : NULL);
	else
		kprintf("ended by signal %s", signal_name(signal));
	machine_stop(128 + signal);
}

static _Noreturn void end_without_stack(struct trap_frame *frame, int signal)
{
	static char what[128];
	struct thread *t = current;

	if (!t->fault.valid) {
		t->fault = (struct fault){.frame = *frame, .address = frame->rsp, .valid = true};
		t->fault_signal = signal;
	}
	snprintf(what, sizeof what, "%s%sno room on the stack for the handler of %s", t->fault.what != NULL ? t->fault.what : "",
		 t->fault.what != NULL ? "; " : "", signal_name(signal));
	t->fault.what = what;
	t->fault_signal = SIGSEGV;
	end_by_signal(frame, SIGSEGV);
}

/* A handler is about to run in the place of a system call that was cut short. */
static void restart_after_handler(struct trap_frame *frame, const struct sigaction *action)
{
	if (frame->vector != TRAP_SYSTEM_CALL)
		return;
	frame->vector = TRAP_RESUMED;
	switch (-(int64_t)frame->rax) {
	case ERESTARTSYS:
		if (action->sa_flags & SA_RESTART)
			break;
		/* fall through */
	case ERESTARTNOHAND:
	case ERESTART_RESTARTBLOCK:
		frame->rax = (uint64_t)-EINTR;
		return;
	default:
		return;
	}
	frame->rax = frame->error;
	frame->rip -= SYSCALL_LENGTH;
}

static void restart_without_handler(struct trap_frame *frame)
{
	switch (-(int64_t)frame->rax) {
	case ERESTARTSYS:
	case ERESTARTNOHAND:
		frame->rax = frame->error;
		break;
	case ERESTART_RESTARTBLOCK:
		frame->rax = __NR_restart_syscall;
		break;
	default:
		return;
	}
	frame->vector = TRAP_RESUMED;
	frame->rip -= SYSCALL_LENGTH;
}

bool signal_deliver(struct trap_frame *frame)
{
	struct thread *t = current;
	siginfo_t info;
	int signal;

	while ((signal = pending_take(&t->pending, ~t->signal_mask, &info)) != 0 ||
	       (signal = pending_take(&process_pending, signals_of_process(t) & ~t->signal_mask, &info)) != 0) {
		struct sigaction *action = &signal_actions[signal];
		if (signal_is_ignored(signal))
			continue;
		if (action->sa_handler == SIG_DFL)
			end_by_signal(frame, signal);

		struct sigaction chosen = *action;
		if (chosen.sa_flags & SA_RESETHAND)
			action->sa_handler = SIG_DFL;
		restart_after_handler(frame, &chosen);
		uint64_t before = t->mask_saved ? t->saved_mask : t->signal_mask;
		if (!signal_frame_push(frame, signal, &chosen, &info, before) &&
		    ((chosen.sa_flags & SA_ONSTACK) == 0 || !alternate_borrow(t) || !signal_frame_push(frame, signal, &chosen, &info, before)))
			end_without_stack(frame, signal);
		t->mask_saved = false;
		uint64_t mask = t->signal_mask | chosen.sa_mask;
		if ((chosen.sa_flags & SA_NODEFER) == 0)
			mask |= SIGNAL_BIT(signal);
		signal_mask_set(mask);
		return true;
	}
	return false;
}

static void mask_restore(void)
{
	if (current->mask_saved) {
		current->mask_saved = false;
		signal_mask_set(current->saved_mask);
	}
}

static bool was_interrupted(const struct trap_frame *frame)
{
	int64_t result = (int64_t)frame->rax;
	return result == -EINTR || (result <= -ERESTARTSYS && result >= -ERESTART_RESTARTBLOCK);
}

void trap_leave(struct trap_frame *frame)
{
	struct thread *t = current;

	for (;;) {
		if (reschedule_wanted)
			thread_preempt();
		/* The mask of a ppoll() that had something to tell must not let a signal in any more. */
		if (t->mask_saved && !was_interrupted(frame))
			mask_restore();
		if (signal_pending() && signal_deliver(frame))
			continue;
		if (frame->vector == TRAP_SYSTEM_CALL)
			restart_without_handler(frame);
		if (!t->mask_saved)
			break;
		mask_restore(); /* may let another signal in */
	}
	if (!t->in_user) {
		thread_account();
		t->in_user = true;
	}
}
