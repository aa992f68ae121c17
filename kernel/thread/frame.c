/* A handler's frame on the application's stack, as Linux for x86-64 lays it out: debuggers, unwinders and faulthandler read it.
 *
 *   higher   FPU state in XSAVE's format, 64-byte aligned, a second magic number behind it
 *            struct rt_frame, so that rsp is 8 below a multiple of 16 as after a call
 *   rsp ->   the address of the restorer, which calls rt_sigreturn(2)
 */
/* clang-format off: these need each other in this order */
#include <linux/signal.h>
#include <asm/sigcontext.h>
#include <asm/ucontext.h>
/* clang-format on */

#include "kernel.h"
#include "personality/syscalls.h"
#include "thread/signal.h"

#define RED_ZONE 128 /* below rsp, of the function that was interrupted */
#define LEGACY_SIZE 512
#define SOFTWARE_BYTES 464 /* in the legacy area: struct _fpx_sw_bytes */
#define XSTATE_BV 512
#define XSTATE_LEGACY 3ull /* x87 and SSE */
/* The flags that rt_sigreturn may change: AC OF DF TF SF ZF AF PF CF RF. */
#define FLAGS_RESTORED 0x50dd5ull
#define FLAGS_HANDLER_CLEARED 0x10500ull /* RF, DF, TF */

struct rt_frame {
	uint64_t restorer;
	struct ucontext context;
	siginfo_t info;
};

static uint64_t fpu_frame_size(void)
{
	return fpu_state_size + (cpu_features.xsave ? FP_XSTATE_MAGIC2_SIZE : 0);
}

/* ---- the alternate stack ------------------------------------------------------------------------------------------------------ */

static bool within_alternate(const struct thread *t, uint64_t rsp)
{
	return rsp > t->alternate_stack && rsp - t->alternate_stack <= t->alternate_stack_size;
}

static bool on_alternate(const struct thread *t, uint64_t rsp)
{
	if (t->alternate_stack_flags & SS_AUTODISARM) /* it is disarmed while it is in use */
		return false;
	return within_alternate(t, rsp);
}

static void alternate_disable(struct thread *t)
{
	t->alternate_stack = 0;
	t->alternate_stack_size = 0;
	t->alternate_stack_flags = SS_DISABLE;
}

static int alternate_set(struct thread *t, const stack_t *stack, uint64_t rsp)
{
	uint32_t flags = (uint32_t)stack->ss_flags, mode = flags & ~SS_AUTODISARM;

	if (on_alternate(t, rsp))
		return -EPERM;
	if (mode != SS_DISABLE && mode != SS_ONSTACK && mode != 0)
		return -EINVAL;
	if (mode == SS_DISABLE) {
		alternate_disable(t);
		t->alternate_stack_flags = flags;
		return 0;
	}
	if (stack->ss_size < MINSIGSTKSZ)
		return -ENOMEM;
	t->alternate_stack = (uint64_t)stack->ss_sp;
	t->alternate_stack_size = stack->ss_size;
	t->alternate_stack_flags = flags;
	return 0;
}

static bool alternate_in_use(const struct thread *owner)
{
	LIST_FOR_EACH(node, &threads)
		if (within_alternate(owner, ((struct trap_frame *)THREAD_OF(node)->kernel_stack - 1)->rsp))
			return true;
	return false;
}

bool alternate_borrow(struct thread *t)
{
	LIST_FOR_EACH(node, &threads) {
		const struct thread *owner = THREAD_OF(node);
		if (t->alternate_stack_size == 0 && owner->alternate_stack_size != 0 && !alternate_in_use(owner)) {
			t->alternate_stack = owner->alternate_stack;
			t->alternate_stack_size = owner->alternate_stack_size;
			t->alternate_stack_flags = owner->alternate_stack_flags;
			return true;
		}
	}
	return false;
}

int64_t sys_sigaltstack(const uint64_t *argument)
{
	struct thread *t = current;
	uint64_t rsp = current_frame()->rsp;
	stack_t new, old;

	memset(&old, 0, sizeof old);
	old.ss_sp = (void *)t->alternate_stack;
	old.ss_size = t->alternate_stack_size;
	old.ss_flags = (int)(t->alternate_stack_flags & SS_AUTODISARM);
	if (t->alternate_stack_size == 0)
		old.ss_flags |= SS_DISABLE;
	else if (on_alternate(t, rsp))
		old.ss_flags |= SS_ONSTACK;

	if (argument[0] != 0) {
		if (GET_USER(new, argument[0]) != 0)
			return -EFAULT;
		int error = alternate_set(t, &new, rsp);
		if (error != 0)
			return error;
	}
	return argument[1] != 0 ? PUT_USER(argument[1], old) : 0;
}

/* ---- out ------------------------------------------------------------------------------------------------------------------------ */

/* The whole state: unlike fpu_save(), which may leave out what is as after reset, this is read by people. */
static void fpu_save_whole(void *state)
{
	if (cpu_features.xsave)
		__asm__ volatile("xsave64 (%0)" : : "r"(state), "a"((uint32_t)fpu_feature_mask), "d"(0) : "memory");
	else
		fpu_save(state);
}

static bool fpu_push(uint64_t address)
{
	uint8_t *state = current->fpu;

	fpu_save_whole(state);
	struct _fpx_sw_bytes software;
	memset(&software, 0, sizeof software);
	if (cpu_features.xsave) {
		software.magic1 = FP_XSTATE_MAGIC1;
		software.extended_size = (uint32_t)fpu_frame_size();
		software.xfeatures = fpu_feature_mask;
		software.xstate_size = fpu_state_size;
		uint32_t magic2 = FP_XSTATE_MAGIC2;
		if (PUT_USER(address + fpu_state_size, magic2) != 0)
			return false;
	}
	memcpy(state + SOFTWARE_BYTES, &software, sizeof software);
	if (copy_to_user(address, state, fpu_state_size) != 0)
		return false;
	/* The handler starts as a program does. */
	fpu_initial(state);
	fpu_restore(state);
	return true;
}

static void registers_out(struct sigcontext *to, const struct trap_frame *f)
{
	to->r8 = f->r8;
	to->r9 = f->r9;
	to->r10 = f->r10;
	to->r11 = f->r11;
	to->r12 = f->r12;
	to->r13 = f->r13;
	to->r14 = f->r14;
	to->r15 = f->r15;
	to->rdi = f->rdi;
	to->rsi = f->rsi;
	to->rbp = f->rbp;
	to->rbx = f->rbx;
	to->rdx = f->rdx;
	to->rax = f->rax;
	to->rcx = f->rcx;
	to->rsp = f->rsp;
	to->rip = f->rip;
	to->eflags = f->rflags;
	to->cs = SELECTOR_USER_CODE;
	to->ss = SELECTOR_USER_DATA;
}

bool signal_frame_push(struct trap_frame *frame, int signal, const struct sigaction *action, const siginfo_t *info, uint64_t mask)
{
	struct thread *t = current;
	struct rt_frame rt;
	uint64_t rsp = frame->rsp - RED_ZONE;
	bool entering = (action->sa_flags & SA_ONSTACK) && t->alternate_stack_size != 0 && !on_alternate(t, frame->rsp);

	if ((action->sa_flags & SA_RESTORER) == 0)
		return false;
	if (entering)
		rsp = t->alternate_stack + t->alternate_stack_size;
	uint64_t fpu = ROUND_DOWN(rsp - fpu_frame_size(), 64);
	uint64_t place = ROUND_DOWN(fpu - sizeof rt, 16) - 8;
	if (place >= USER_END || ((entering || on_alternate(t, frame->rsp)) && !within_alternate(t, place)))
		return false;

	memset(&rt, 0, sizeof rt);
	rt.restorer = (uint64_t)action->sa_restorer;
	rt.context.uc_flags = (cpu_features.xsave ? UC_FP_XSTATE : 0) | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS;
	rt.context.uc_stack.ss_sp = (void *)t->alternate_stack;
	rt.context.uc_stack.ss_size = t->alternate_stack_size;
	rt.context.uc_stack.ss_flags = (int)t->alternate_stack_flags;
	registers_out(&rt.context.uc_mcontext, frame);
	rt.context.uc_mcontext.err = t->trap_error;
	rt.context.uc_mcontext.trapno = t->trap_number;
	rt.context.uc_mcontext.cr2 = t->trap_address;
	rt.context.uc_mcontext.oldmask = mask;
	rt.context.uc_mcontext.fpstate = (void *)fpu;
	rt.context.uc_sigmask = mask;
	rt.info = *info;
	if (!fpu_push(fpu) || PUT_USER(place, rt) != 0)
		return false;
	if (t->alternate_stack_flags & SS_AUTODISARM)
		alternate_disable(t);

	frame->rdi = (uint64_t)signal;
	frame->rsi = place + offsetof(struct rt_frame, info);
	frame->rdx = place + offsetof(struct rt_frame, context);
	frame->rax = 0; /* no vector registers hold arguments: a handler may be variadic */
	frame->rsp = place;
	frame->rip = (uint64_t)action->sa_handler;
	frame->rflags &= ~FLAGS_HANDLER_CLEARED;
	frame->vector = TRAP_RESUMED;
	/* A handler outside the application's half would make IRET fault in the kernel; address 0 faults where it should. */
	if (frame->rip >= USER_END)
		frame->rip = 0;
	return true;
}

/* ---- back ----------------------------------------------------------------------------------------------------------------------- */

static bool fpu_pop(uint64_t address)
{
	uint8_t *state = current->fpu;

	if (address == 0) {
		fpu_initial(state);
		fpu_restore(state);
		return true;
	}
	/* Read beside the live state: half of it must not count when the rest cannot be reached. */
	static uint8_t incoming[FPU_STATE_MAX];
	struct _fpx_sw_bytes software;
	uint32_t magic2 = 0;
	if (copy_from_user(incoming, address, LEGACY_SIZE) != 0)
		return false;
	memcpy(&software, incoming + SOFTWARE_BYTES, sizeof software);
	bool extended = cpu_features.xsave && software.magic1 == FP_XSTATE_MAGIC1 && software.xstate_size == fpu_state_size &&
			software.extended_size >= fpu_state_size && GET_USER(magic2, address + fpu_state_size) == 0 &&
			magic2 == FP_XSTATE_MAGIC2;
	if (extended && copy_from_user(incoming, address, fpu_state_size) != 0)
		return false;
	fpu_initial(state);
	memcpy(state, incoming, extended ? fpu_state_size : LEGACY_SIZE);
	if (cpu_features.xsave && !extended) {
		uint64_t components = XSTATE_LEGACY;
		memcpy(state + XSTATE_BV, &components, sizeof components);
	}
	fpu_sanitize(state);
	fpu_restore(state);
	return true;
}

static void registers_in(struct trap_frame *f, const struct sigcontext *from)
{
	f->r8 = from->r8;
	f->r9 = from->r9;
	f->r10 = from->r10;
	f->r11 = from->r11;
	f->r12 = from->r12;
	f->r13 = from->r13;
	f->r14 = from->r14;
	f->r15 = from->r15;
	f->rdi = from->rdi;
	f->rsi = from->rsi;
	f->rbp = from->rbp;
	f->rbx = from->rbx;
	f->rdx = from->rdx;
	f->rax = from->rax;
	f->rcx = from->rcx;
	f->rsp = from->rsp;
	f->rip = from->rip;
	f->rflags = (f->rflags & ~FLAGS_RESTORED) | (from->eflags & FLAGS_RESTORED);
}

int64_t sys_rt_sigreturn(const uint64_t *argument)
{
	struct thread *t = current;
	struct trap_frame *frame = current_frame();
	struct ucontext context;

	(void)argument;
	frame->vector = TRAP_RESUMED;
	if (copy_from_user(&context, frame->rsp - sizeof(uint64_t) + offsetof(struct rt_frame, context), sizeof context) != 0 ||
	    context.uc_mcontext.rip >= USER_END || !fpu_pop((uint64_t)context.uc_mcontext.fpstate)) {
		signal_fault(frame, SIGSEGV, SI_KERNEL, frame->rsp, "rt_sigreturn of a frame that is none");
		return 0;
	}
	registers_in(frame, &context.uc_mcontext);
	if (t->fault.valid && frame->rip == t->fault.frame.rip && frame->rsp == t->fault.frame.rsp)
		t->fault.valid = false; /* handled: the program goes on where it was */
	alternate_set(t, &context.uc_stack, frame->rsp);
	signal_mask_set(context.uc_sigmask);
	return (int64_t)frame->rax;
}
