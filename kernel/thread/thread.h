/* Threads: what each one is, and what the other rooms may ask of them.
 *
 * There is one process, pid 1, whose first thread is thread 1. A thread is in the kernel only on its own kernel stack, on top of
 * which lies the trap frame of its last entry: current_frame().
 */
#ifndef SARAB_THREAD_H
#define SARAB_THREAD_H

#include <linux/signal.h>

#include "cpu/cpu.h"
#include "kernel.h"
#include "time/time.h"

/* A kernel stack and a struct thread of some 4 KiB for each. More threads than Python programs start, less than would hurt. */
#define THREADS_MAX 1024
#define THREAD_NAME_SIZE 16 /* with its NUL: PR_SET_NAME */
#define PROCESS_ID 1

/* Put into frame->vector when the frame is no longer that of a system call: nothing to restart, return by IRET. */
#define TRAP_RESUMED 257

/* A third result of a call that a signal cut short (kernel.h has the others): goes on by struct thread.restart. */
#define ERESTART_RESTARTBLOCK 516

enum thread_state { THREAD_RUNNING, THREAD_READY, THREAD_BLOCKED, THREAD_DEAD };

/* Signals that wait. A bit without a queue entry is a signal whose details found no memory. */
struct pending_signals {
	uint64_t set; /* bit n - 1: signal n */
	struct list queue;
};

struct thread {
	uint64_t kernel_rsp;   /* while it is not running */
	uint64_t kernel_stack; /* top; 0 once freed */
	struct list all, run;
	enum thread_state state;
	int tid;
	char name[THREAD_NAME_SIZE];

	/* Waiting. */
	bool woken, timed_out;
	struct timer sleep_timer;
	int64_t blocked_since; /* monotonic */

	/* Scheduling. */
	int64_t slice_left; /* nanoseconds it may still run before others do */
	bool urgent;	    /* has waited for something and it has come: goes before those that compute */

	/* CPU time, in time stamp counter cycles. */
	uint64_t user_cycles, system_cycles;
	uint64_t stamp;	   /* counter when time was last accounted */
	bool in_user;	   /* what the cycles since stamp count as */
	uint64_t voluntary_switches, involuntary_switches;

	/* Registers that the trap frame does not hold, while it is not running. */
	uint64_t fs_base, gs_base;
	void *fpu; /* 64-byte aligned, fpu_state_size */

	/* Signals. */
	uint64_t signal_mask;
	uint64_t saved_mask; /* to restore at the end of the system call, if mask_saved */
	bool mask_saved;
	uint64_t waiting_for; /* sigtimedwait: takes these though they are blocked */
	struct pending_signals pending;
	uint64_t alternate_stack, alternate_stack_size;
	uint32_t alternate_stack_flags;
	struct fault fault; /* the last trap of this thread that became a signal */
	int fault_signal;
	uint64_t trap_number, trap_error, trap_address; /* for sigcontext */

	/* What restart_syscall() goes on with. */
	struct {
		int64_t (*call)(struct thread *);
		uint64_t argument[6];
		int64_t deadline;
	} restart;

	uint64_t clear_child_tid, robust_list;
	void *allocation; /* what to release */
};

/* All threads, by struct thread.all, oldest first. */
extern struct list threads;
extern unsigned thread_count;
#define THREAD_OF(node) CONTAINER_OF(node, struct thread, all)

void threads_init(void);
/* Makes thread 1 and enters ring 3: rflags with interrupts on, every other register zero. */
_Noreturn void thread_start_first(uint64_t rip, uint64_t rsp);
struct thread *thread_find(int tid); /* NULL: none */
const char *thread_state_name(const struct thread *t);

static inline struct trap_frame *current_frame(void); /* of the current thread's last entry */

/* Called by the entry code, interrupts off, on every return to ring 3. */
void trap_leave(struct trap_frame *frame);
/* To be called at every entry from ring 3: from here on time counts as the system's. Cheap; without it all time is the user's. */
static inline void trap_enter(void);

/* ---- scheduler.c ------------------------------------------------------------------------------------------------------------- */

void thread_wake(struct thread *t); /* out of thread_block(), now or when it gets there */
void thread_unblock(struct thread *t); /* if it is blocked: for timers and signals, which leave their own word */
void thread_make_ready(struct thread *t); /* a new one */
void thread_yield(void);
void thread_preempt(void); /* reschedule_wanted */
void thread_run_first(struct thread *t); /* at boot: makes it the current one */
_Noreturn void thread_vanish(void); /* the current thread never runs again; its memory is freed by the next one */
uint64_t thread_user_gs_base(void); /* the current thread's */
void thread_set_gs_base(uint64_t base);
void thread_account(void);	    /* brings the current thread's CPU time up to date */
extern bool reschedule_wanted;

/* switch.S */
void context_switch(uint64_t *save_rsp, uint64_t load_rsp);
_Noreturn void thread_enter_user(struct trap_frame *frame);
void thread_first_switch(void); /* where a new thread's stack returns to */
void thread_started(void);	/* called by it */

/* ---- thread.c ---------------------------------------------------------------------------------------------------------------- */

_Noreturn void process_exit(int status); /* 0..255 */

/* ---- time/posix_timers.c ---- */

void posix_timers_thread_gone(const struct thread *t);

/* ---- futex.c ----------------------------------------------------------------------------------------------------------------- */

void futex_wake_address(uint64_t address, unsigned count);
void robust_list_exit(struct thread *t);

/* ---- signals ----------------------------------------------------------------------------------------------------------------- */

#define SIGNAL_BIT(n) (1ull << ((n) - 1))
#define SIGNAL_MAX 64
#define SIGNALS_UNBLOCKABLE (SIGNAL_BIT(SIGKILL) | SIGNAL_BIT(SIGSTOP))
#define SIGNAL_SET_SIZE 8

/* A forced signal of the current thread: if it is blocked or ignored the program ends. Recorded in current->fault for the report. */
void signal_fault(struct trap_frame *frame, int signal, int code, uint64_t address, const char *what);

/* Is there a signal that the current thread would take? A call that waits returns -EINTR, -ERESTARTSYS, ... then. */
bool signal_pending(void);

/* The mask of ppoll, pselect6, epoll_pwait: replaces the current thread's until the system call is over and its signals, if it was
 * interrupted, are delivered. address 0: nothing to do. -EINVAL if size is not 8, -EFAULT. */
int signal_mask_temporary(uint64_t address, uint64_t size);

const char *signal_name(int signal); /* "SIGTERM", "SIGRTMIN+3" */

static inline struct trap_frame *current_frame(void)
{
	return (struct trap_frame *)current->kernel_stack - 1;
}

static inline void trap_enter(void)
{
	uint64_t now = read_tsc();
	current->user_cycles += now - current->stamp;
	current->stamp = now;
	current->in_user = false;
}

#endif
