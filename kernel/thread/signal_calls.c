/* The system calls about signals. */
#include "kernel.h"
#include "personality/syscalls.h"
#include "thread/signal.h"

#define FLAGS_KNOWN (SA_NOCLDSTOP | SA_NOCLDWAIT | SA_SIGINFO | SA_ONSTACK | SA_RESTART | SA_NODEFER | SA_RESETHAND | SA_RESTORER)

static bool is_signal(int64_t n)
{
	return n >= 1 && n <= SIGNAL_MAX;
}

int64_t sys_rt_sigaction(const uint64_t *argument)
{
	int signal = (int)argument[0];
	struct sigaction new, old;

	if (argument[3] != SIGNAL_SET_SIZE || !is_signal(signal))
		return -EINVAL;
	if (argument[1] != 0) {
		if (signal == SIGKILL || signal == SIGSTOP)
			return -EINVAL;
		if (GET_USER(new, argument[1]) != 0)
			return -EFAULT;
		/* Programs find out by this which flags exist. */
		new.sa_flags &= FLAGS_KNOWN;
		new.sa_mask &= ~SIGNALS_UNBLOCKABLE;
	}
	old = signal_actions[signal];
	if (argument[2] != 0 && PUT_USER(argument[2], old) != 0)
		return -EFAULT;
	if (argument[1] != 0) {
		signal_actions[signal] = new;
		if (signal_is_ignored(signal)) { /* POSIX: what waits is forgotten */
			pending_discard(&process_pending, SIGNAL_BIT(signal));
			LIST_FOR_EACH(node, &threads)
				pending_discard(&THREAD_OF(node)->pending, SIGNAL_BIT(signal));
		}
	}
	return 0;
}

int64_t sys_rt_sigprocmask(const uint64_t *argument)
{
	uint64_t old = current->signal_mask, set;

	if (argument[3] != SIGNAL_SET_SIZE)
		return -EINVAL;
	if (argument[1] != 0) {
		if (GET_USER(set, argument[1]) != 0)
			return -EFAULT;
		switch ((int)argument[0]) {
		case SIG_BLOCK: signal_mask_set(old | set); break;
		case SIG_UNBLOCK: signal_mask_set(old & ~set); break;
		case SIG_SETMASK: signal_mask_set(set); break;
		default: return -EINVAL;
		}
	}
	return argument[2] != 0 ? PUT_USER(argument[2], old) : 0;
}

int64_t sys_rt_sigpending(const uint64_t *argument)
{
	uint64_t set = (current->pending.set | process_pending.set) & current->signal_mask;
	if (argument[1] > SIGNAL_SET_SIZE)
		return -EINVAL;
	return copy_to_user(argument[0], &set, argument[1]);
}

int64_t sys_rt_sigsuspend(const uint64_t *argument)
{
	if (argument[0] == 0)
		return argument[1] == SIGNAL_SET_SIZE ? -EFAULT : -EINVAL;
	int error = signal_mask_temporary(argument[0], argument[1]);
	if (error != 0)
		return error;
	while (!signal_pending())
		thread_block(FOREVER);
	return -ERESTARTNOHAND;
}

int64_t sys_pause(const uint64_t *argument)
{
	(void)argument;
	while (!signal_pending())
		thread_block(FOREVER);
	return -ERESTARTNOHAND;
}

int64_t sys_rt_sigtimedwait(const uint64_t *argument)
{
	struct thread *t = current;
	uint64_t set;
	int64_t deadline = FOREVER;
	siginfo_t info;
	int signal, result = 0;

	if (argument[3] != SIGNAL_SET_SIZE)
		return -EINVAL;
	if (GET_USER(set, argument[0]) != 0)
		return -EFAULT;
	set &= ~SIGNALS_UNBLOCKABLE;
	if (argument[2] != 0) {
		int error = timespec_read(argument[2], &deadline);
		if (error != 0)
			return error;
		deadline = deadline_after(deadline);
	}
	for (;;) {
		if ((signal = pending_take(&t->pending, set, &info)) != 0 || (signal = pending_take(&process_pending, set, &info)) != 0)
			break;
		if (result != 0)
			return result == -ETIMEDOUT ? -EAGAIN : -EINTR;
		t->waiting_for = set;
		result = thread_block(deadline);
		t->waiting_for = 0;
	}
	if (argument[1] != 0 && PUT_USER(argument[1], info) != 0)
		return -EFAULT;
	return signal;
}

/* ---- sending ------------------------------------------------------------------------------------------------------------------- */

static int64_t send_plain(struct thread *to, int signal, int code)
{
	siginfo_t info;
	if (signal == 0)
		return 0;
	memset(&info, 0, sizeof info);
	info.si_signo = signal;
	info.si_code = code;
	info.si_pid = PROCESS_ID;
	return signal_send(to, &info);
}

int64_t sys_kill(const uint64_t *argument)
{
	int pid = (int)argument[0], signal = (int)argument[1];

	if (signal != 0 && !is_signal(signal))
		return -EINVAL;
	/* The process, its group; there is nobody for "everybody else" (-1). */
	if (pid != PROCESS_ID && pid != 0)
		return -ESRCH;
	return send_plain(NULL, signal, SI_USER);
}

static int64_t send_to_thread(int pid, int tid, int signal)
{
	if (tid <= 0 || pid == 0 || (signal != 0 && !is_signal(signal)))
		return -EINVAL;
	struct thread *t = thread_find(tid);
	if (t == NULL || (pid > 0 && pid != PROCESS_ID))
		return -ESRCH;
	return send_plain(t, signal, SI_TKILL);
}

int64_t sys_tkill(const uint64_t *argument)
{
	return send_to_thread(-1, (int)argument[0], (int)argument[1]);
}

int64_t sys_tgkill(const uint64_t *argument)
{
	int pid = (int)argument[0];
	return pid <= 0 ? -EINVAL : send_to_thread(pid, (int)argument[1], (int)argument[2]);
}

static int64_t send_queued(struct thread *to, int signal, uint64_t address)
{
	siginfo_t info;
	if (GET_USER(info, address) != 0)
		return -EFAULT;
	if (signal != 0 && !is_signal(signal))
		return -EINVAL;
	info.si_signo = signal;
	return signal == 0 ? 0 : signal_send(to, &info);
}

int64_t sys_rt_sigqueueinfo(const uint64_t *argument)
{
	if ((int)argument[0] != PROCESS_ID)
		return -ESRCH;
	return send_queued(NULL, (int)argument[1], argument[2]);
}

int64_t sys_rt_tgsigqueueinfo(const uint64_t *argument)
{
	struct thread *t = thread_find((int)argument[1]);
	if ((int)argument[0] <= 0 || (int)argument[1] <= 0)
		return -EINVAL;
	if ((int)argument[0] != PROCESS_ID || t == NULL)
		return -ESRCH;
	return send_queued(t, (int)argument[2], argument[3]);
}
