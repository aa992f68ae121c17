/* Between the files of thread/ that do signals, and for timers that send them. */
#ifndef SARAB_SIGNAL_H
#define SARAB_SIGNAL_H

#include "thread/thread.h"

/* Entries of all queues together (RLIMIT_SIGPENDING): a bound on what sigqueue() can make the kernel keep. */
#define SIGNALS_QUEUED_MAX 1024

struct signal_entry {
	struct list node;
	siginfo_t info;
	/* An entry that belongs to a timer: called when it is taken off the queue, instead of releasing it. */
	void (*taken)(struct signal_entry *);
};

extern struct pending_signals process_pending;
extern struct sigaction signal_actions[SIGNAL_MAX + 1]; /* by number */

void signals_init(void);
void pending_init(struct pending_signals *p);
void pending_flush(struct pending_signals *p);
void pending_discard(struct pending_signals *p, uint64_t set);
/* The next signal of a set, into *info; 0: none. Traps first, then by number. */
int pending_take(struct pending_signals *p, uint64_t set, siginfo_t *info);
/* Puts an entry of a timer's on the queue of a thread, or with NULL of the process. False: the signal is ignored. */
bool signal_send_entry(struct thread *to, struct signal_entry *entry);
void signal_entry_cancel(struct signal_entry *entry, struct thread *to);

/* To a thread, or with NULL to the process. -EAGAIN: no room for the details of a realtime signal that has some. */
int signal_send(struct thread *to, const siginfo_t *info);
void signal_send_kernel(struct thread *to, int signal);
bool signal_is_ignored(int signal); /* by its action now */
bool signal_default_ignores(int signal);
/* What waits for the process and is this thread's: not what another waits for in sigwait(), else the oldest's who does not block it. Linux gives
 * the main thread the first chance, too, and Python counts on it: a handler that runs in another thread interrupts no call of the main one. */
uint64_t signals_of_process(const struct thread *t);
void signals_rehome(void); /* wakes threads for what waits for the process */
void signal_mask_set(uint64_t mask);

/* deliver.c: the signal of the frame's thread: sets up the handler, or ends the program. False: there was none to handle. */
bool signal_deliver(struct trap_frame *frame);
/* frame.c: makes the handler's frame on the application's stack. False: no room. */
bool signal_frame_push(struct trap_frame *frame, int signal, const struct sigaction *action, const siginfo_t *info, uint64_t mask);
/* A thread that ran over its stack takes for its handler the alternate one of another that nobody is on: faulthandler gives one to the main
 * thread alone, and without any nobody would hear where Python was. Linux does not. False: there is none. */
bool alternate_borrow(struct thread *t);

#endif
