/* Threads come and go: clone(2), exit(2), and the first one. */
#include <linux/sched.h>

#include "kernel.h"
#include "personality/syscalls.h"
#include "thread/signal.h"
#include "thread/thread.h"
#include "time/clock.h"

#define RFLAGS_USER 0x202 /* interrupts on */
#define TID_LIMIT 0x400000 /* Linux's: a futex word has bits for no more */

/* What makes a thread a thread and not a process: without them clone() would have to copy an address space. */
#define CLONE_REQUIRED (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD)
#define CLONE_KNOWN                                                                                                         \
	(CLONE_REQUIRED | CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID |        \
	 CLONE_DETACHED | CLONE_UNTRACED | CLONE_IO | CLONE_PTRACE)

struct list threads = LIST_INITIAL(threads);
unsigned thread_count;

static void sleep_over(struct timer *timer)
{
	struct thread *t = CONTAINER_OF(timer, struct thread, sleep_timer);
	t->timed_out = true;
	thread_unblock(t);
}

struct thread *thread_find(int tid)
{
	LIST_FOR_EACH(node, &threads)
		if (THREAD_OF(node)->tid == tid)
			return THREAD_OF(node);
	return NULL;
}

static int next_tid(void)
{
	static int last = 0;
	do
		last = last + 1 < TID_LIMIT ? last + 1 : PROCESS_ID + 1;
	while (thread_find(last) != NULL);
	return last;
}

const char *thread_state_name(const struct thread *t)
{
	static const char *const names[] = {"running", "ready", "blocked", "dead"};
	return names[t->state];
}

/* With a kernel stack that has room for a trap frame on top; not in the list yet. NULL: no memory. */
static struct thread *thread_make(void)
{
	/* One object, with room to align the FPU state in it. */
	size_t size = sizeof(struct thread) + fpu_state_size + 64;
	struct thread *t = allocate(size);
	if (t == NULL)
		return NULL;
	t->allocation = t;
	t->kernel_stack = kernel_stack_allocate();
	if (t->kernel_stack == 0) {
		release(t->allocation);
		return NULL;
	}
	t->fpu = (void *)ROUND_UP((uint64_t)(t + 1), 64);
	t->tid = next_tid();
	t->sleep_timer.expired = sleep_over;
	t->alternate_stack_flags = SS_DISABLE;
	list_init(&t->run);
	pending_init(&t->pending);
	return t;
}

static void thread_add(struct thread *t)
{
	list_insert_before(&threads, &t->all);
	thread_count++;
}

void threads_init(void)
{
	signals_init();
}

void thread_start_first(uint64_t rip, uint64_t rsp)
{
	struct thread *t = thread_make();
	if (t == NULL)
		panic("no memory for the first thread");
	memcpy(t->name, "main", 5);
	fpu_initial(t->fpu);
	struct trap_frame *frame = (struct trap_frame *)t->kernel_stack - 1;
	*frame = (struct trap_frame){.vector = TRAP_RESUMED, .rip = rip, .cs = SELECTOR_USER_CODE, .rflags = RFLAGS_USER, .rsp = rsp,
				     .ss = SELECTOR_USER_DATA};
	thread_add(t);
	thread_run_first(t);
	thread_enter_user(frame);
}

int64_t sys_clone(const uint64_t *argument)
{
	uint64_t flags = argument[0] & ~(uint64_t)CSIGNAL, stack = argument[1], parent_tid = argument[2], child_tid = argument[3],
		 thread_pointer = argument[4];
	struct thread *parent = current;

	if ((flags & CLONE_REQUIRED) != CLONE_REQUIRED)
		return -ENOSYS;
	if (flags & ~(uint64_t)CLONE_KNOWN)
		return -EINVAL;
	if ((flags & CLONE_SETTLS) && thread_pointer >= USER_END)
		return -EPERM;
	if (thread_count >= THREADS_MAX)
		return -EAGAIN;
	struct thread *t = thread_make();
	if (t == NULL)
		return -ENOMEM;
	if ((flags & CLONE_PARENT_SETTID) && PUT_USER(parent_tid, t->tid) < 0)
		goto unreachable;
	if ((flags & CLONE_CHILD_SETTID) && PUT_USER(child_tid, t->tid) < 0)
		goto unreachable;
	if (flags & CLONE_CHILD_CLEARTID)
		t->clear_child_tid = child_tid;

	memcpy(t->name, parent->name, sizeof t->name);
	t->signal_mask = parent->mask_saved ? parent->saved_mask : parent->signal_mask;
	fpu_save(t->fpu);
	t->fs_base = flags & CLONE_SETTLS ? thread_pointer : cpu_get_fs_base();
	t->gs_base = thread_user_gs_base();

	struct trap_frame *frame = (struct trap_frame *)t->kernel_stack - 1;
	*frame = *current_frame();
	frame->rax = 0;
	frame->vector = TRAP_RESUMED;
	if (stack != 0)
		frame->rsp = stack;
	uint64_t *top = (uint64_t *)frame;
	*--top = (uint64_t)thread_first_switch;
	for (unsigned i = 0; i < 6; i++) /* rbp, rbx, r12..r15 */
		*--top = 0;
	t->kernel_rsp = (uint64_t)top;
	t->in_user = true;
	thread_add(t);
	thread_make_ready(t);
	return t->tid;

unreachable:
	kernel_stack_free(t->kernel_stack);
	release(t->allocation);
	return -EFAULT;
}

void process_exit(int status)
{
	machine_stop(status & 0xff);
}

static _Noreturn void thread_exit(int status)
{
	struct thread *t = current;

	if (thread_count == 1)
		process_exit(status);
	robust_list_exit(t);
	if (t->clear_child_tid != 0) {
		int zero = 0;
		if (PUT_USER(t->clear_child_tid, zero) == 0)
			futex_wake_address(t->clear_child_tid, 1);
	}
	timer_cancel(&t->sleep_timer);
	posix_timers_thread_gone(t);
	pending_flush(&t->pending);
	thread_account();
	process_cpu_time_add(t);
	list_remove(&t->all);
	thread_count--;
	signals_rehome(); /* what waits for the process and only this thread was woken for */
	thread_vanish();
}

int64_t sys_exit(const uint64_t *argument)
{
	thread_exit((int)argument[0]);
}

int64_t sys_exit_group(const uint64_t *argument)
{
	process_exit((int)argument[0]);
}

int64_t sys_set_tid_address(const uint64_t *argument)
{
	current->clear_child_tid = argument[0];
	return current->tid;
}
