/* Signals: what is sent, what waits, and to whom it goes. */
#include "thread/signal.h"

#include "time/clock.h"

#define TRAPS                                                                                                                \
	(SIGNAL_BIT(SIGSEGV) | SIGNAL_BIT(SIGBUS) | SIGNAL_BIT(SIGILL) | SIGNAL_BIT(SIGTRAP) | SIGNAL_BIT(SIGFPE) |                \
	 SIGNAL_BIT(SIGSYS))
/* Nobody could continue what a job-control signal stopped, so they stop nothing. */
#define DEFAULT_IGNORES                                                                                                      \
	(SIGNAL_BIT(SIGCHLD) | SIGNAL_BIT(SIGURG) | SIGNAL_BIT(SIGWINCH) | SIGNAL_BIT(SIGCONT) | SIGNAL_BIT(SIGSTOP) |             \
	 SIGNAL_BIT(SIGTSTP) | SIGNAL_BIT(SIGTTIN) | SIGNAL_BIT(SIGTTOU))

struct pending_signals process_pending;
struct sigaction signal_actions[SIGNAL_MAX + 1];
static unsigned queued;

void signals_init(void)
{
	pending_init(&process_pending);
}

const char *signal_name(int signal)
{
	static const char *const names[] = {
		"0",	   "SIGHUP",  "SIGINT",	 "SIGQUIT", "SIGILL",	 "SIGTRAP", "SIGABRT",	"SIGBUS",
		"SIGFPE",  "SIGKILL", "SIGUSR1", "SIGSEGV", "SIGUSR2",	 "SIGPIPE", "SIGALRM",	"SIGTERM",
		"SIGSTKFLT", "SIGCHLD", "SIGCONT", "SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGURG",
		"SIGXCPU", "SIGXFSZ", "SIGVTALRM", "SIGPROF", "SIGWINCH", "SIGIO", "SIGPWR",	"SIGSYS"};
	static char realtime[16];
	if (signal >= 0 && (size_t)signal < ARRAY_LENGTH(names))
		return names[signal];
	snprintf(realtime, sizeof realtime, "SIGRTMIN+%d", signal - 32); /* the kernel's numbers: glibc keeps the first two */
	return realtime;
}

/* ---- queues --------------------------------------------------------------------------------------------------------------------- */

void pending_init(struct pending_signals *p)
{
	p->set = 0;
	list_init(&p->queue);
}

static void entry_done(struct signal_entry *entry)
{
	if (entry->taken != NULL) {
		entry->taken(entry);
	} else {
		queued--;
		release(entry);
	}
}

void pending_discard(struct pending_signals *p, uint64_t set)
{
	LIST_FOR_EACH_SAFE(node, &p->queue) {
		struct signal_entry *entry = CONTAINER_OF(node, struct signal_entry, node);
		if (SIGNAL_BIT(entry->info.si_signo) & set) {
			list_remove(node);
			entry_done(entry);
		}
	}
	p->set &= ~set;
}

void pending_flush(struct pending_signals *p)
{
	pending_discard(p, ~0ull);
}

static bool is_queued(const struct pending_signals *p, int signal)
{
	LIST_FOR_EACH(node, &p->queue)
		if (CONTAINER_OF(node, struct signal_entry, node)->info.si_signo == signal)
			return true;
	return false;
}

int pending_take(struct pending_signals *p, uint64_t set, siginfo_t *info)
{
	uint64_t candidates = p->set & set;
	if (candidates == 0)
		return 0;
	if (candidates & TRAPS)
		candidates &= TRAPS;
	int signal = __builtin_ctzll(candidates) + 1;

	memset(info, 0, sizeof *info);
	info->si_signo = signal;
	info->si_code = SI_USER;
	LIST_FOR_EACH(node, &p->queue) {
		struct signal_entry *entry = CONTAINER_OF(node, struct signal_entry, node);
		if (entry->info.si_signo != signal)
			continue;
		list_remove(node);
		if (entry->taken != NULL) { /* it completes its details */
			entry->taken(entry);
			*info = entry->info;
		} else {
			*info = entry->info;
			entry_done(entry);
		}
		break;
	}
	if (!is_queued(p, signal))
		p->set &= ~SIGNAL_BIT(signal);
	return signal;
}

/* ---- sending -------------------------------------------------------------------------------------------------------------------- */

bool signal_default_ignores(int signal)
{
	return SIGNAL_BIT(signal) & DEFAULT_IGNORES;
}

bool signal_is_ignored(int signal)
{
	__sighandler_t handler = signal_actions[signal].sa_handler;
	return handler == SIG_IGN || (handler == SIG_DFL && signal_default_ignores(signal));
}

/* Ignored signals are not kept, but for who blocks them or waits for them. */
static bool drops(const struct thread *to, int signal)
{
	uint64_t bit = SIGNAL_BIT(signal);
	if (!signal_is_ignored(signal))
		return false;
	if (to != NULL)
		return ((to->signal_mask | to->waiting_for) & bit) == 0;
	if (!list_empty(&threads) && (THREAD_OF(threads.next)->signal_mask & bit))
		return false;
	LIST_FOR_EACH(node, &threads)
		if (THREAD_OF(node)->waiting_for & bit)
			return false;
	return true;
}

static bool takes(const struct thread *t, uint64_t bit)
{
	return (~t->signal_mask | t->waiting_for) & bit;
}

static void notify(struct thread *to, uint64_t bit)
{
	if (to != NULL) {
		if (takes(to, bit))
			thread_unblock(to);
		return;
	}
	/* To the process: as signals_of_process() says. */
	struct thread *chosen = NULL;
	LIST_FOR_EACH(node, &threads) {
		struct thread *t = THREAD_OF(node);
		if (!takes(t, bit))
			continue;
		if (t->waiting_for & bit) {
			chosen = t;
			break;
		}
		if (chosen == NULL)
			chosen = t;
	}
	if (chosen != NULL)
		thread_unblock(chosen);
}

static struct pending_signals *pending_of(struct thread *to)
{
	return to != NULL ? &to->pending : &process_pending;
}

bool signal_send_entry(struct thread *to, struct signal_entry *entry)
{
	uint64_t bit = SIGNAL_BIT(entry->info.si_signo);
	if (drops(to, entry->info.si_signo))
		return false;
	list_insert_before(&pending_of(to)->queue, &entry->node);
	pending_of(to)->set |= bit;
	notify(to, bit);
	return true;
}

void signal_entry_cancel(struct signal_entry *entry, struct thread *to)
{
	struct pending_signals *p = pending_of(to);
	list_remove(&entry->node);
	if (!is_queued(p, entry->info.si_signo))
		p->set &= ~SIGNAL_BIT(entry->info.si_signo);
}

int signal_send(struct thread *to, const siginfo_t *info)
{
	int signal = info->si_signo;
	uint64_t bit = SIGNAL_BIT(signal);
	struct pending_signals *p = pending_of(to);

	if (drops(to, signal))
		return 0;
	if (signal < SIGRTMIN && (p->set & bit))
		return 0; /* one of a kind */
	struct signal_entry *entry = queued < SIGNALS_QUEUED_MAX ? allocate(sizeof *entry) : NULL;
	if (entry == NULL && signal >= SIGRTMIN && info->si_code != SI_USER && info->si_code != SI_TKILL)
		return -EAGAIN;
	if (entry != NULL) {
		queued++;
		entry->info = *info;
		list_insert_before(&p->queue, &entry->node);
	}
	p->set |= bit;
	notify(to, bit);
	return 0;
}

void signal_send_kernel(struct thread *to, int signal)
{
	siginfo_t info;
	memset(&info, 0, sizeof info);
	info.si_signo = signal;
	info.si_code = SI_KERNEL;
	signal_send(to, &info);
}

void signal_process(int signal)
{
	signal_send_kernel(NULL, signal);
}

void signal_fault(struct trap_frame *frame, int signal, int code, uint64_t address, const char *what)
{
	struct thread *t = current;
	siginfo_t info;

	t->fault.frame = *frame;
	t->fault.address = address;
	t->fault.what = what;
	t->fault.valid = true;
	t->fault_signal = signal;
	t->trap_number = frame->vector < 32 ? frame->vector : 0;
	t->trap_error = frame->vector < 32 ? frame->error : 0;
	t->trap_address = address;

	if ((t->signal_mask & SIGNAL_BIT(signal)) || signal_actions[signal].sa_handler == SIG_IGN) {
		signal_actions[signal].sa_handler = SIG_DFL; /* nobody is there to handle it, and it cannot wait */
		t->signal_mask &= ~SIGNAL_BIT(signal);
	}
	memset(&info, 0, sizeof info);
	info.si_signo = signal;
	info.si_code = code;
	if (code > 0 && code != SI_KERNEL)
		info.si_addr = (void *)address;
	pending_discard(&t->pending, SIGNAL_BIT(signal)); /* what the trap says goes before what somebody sent */
	signal_send(t, &info);
}

/* ---- masks ---------------------------------------------------------------------------------------------------------------------- */

uint64_t signals_of_process(const struct thread *t)
{
	uint64_t set = process_pending.set;
	bool older = true;
	if (set == 0)
		return 0;
	LIST_FOR_EACH(node, &threads) {
		const struct thread *other = THREAD_OF(node);
		if (other == t)
			older = false;
		else
			set &= ~(other->waiting_for | (older ? ~other->signal_mask : 0)) | t->waiting_for;
	}
	return set;
}

bool signal_pending(void)
{
	return (current->pending.set | signals_of_process(current)) & (~current->signal_mask | current->waiting_for);
}

/* A thread that was woken for a signal of the process may no longer take it: somebody else must. */
void signals_rehome(void)
{
	for (uint64_t set = process_pending.set; set != 0; set &= set - 1)
		notify(NULL, set & -set);
}

void signal_mask_set(uint64_t mask)
{
	current->signal_mask = mask & ~SIGNALS_UNBLOCKABLE;
	if (process_pending.set & mask)
		signals_rehome();
}

int signal_mask_temporary(uint64_t address, uint64_t size)
{
	uint64_t mask;
	if (address == 0)
		return 0;
	if (size != SIGNAL_SET_SIZE)
		return -EINVAL;
	if (GET_USER(mask, address) != 0)
		return -EFAULT;
	if (!current->mask_saved)
		current->saved_mask = current->signal_mask;
	current->mask_saved = true;
	signal_mask_set(mask);
	return 0;
}
