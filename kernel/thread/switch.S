/* From one thread's kernel stack to another's. Only what C functions must preserve is kept here; the trap frame has the rest. */
	.text
	/* void context_switch(uint64_t *save_rsp, uint64_t load_rsp) */
	.globl context_switch
context_switch:
	push %rbp
	push %rbx
	push %r12
	push %r13
	push %r14
	push %r15
	mov %rsp, (%rdi)
	mov %rsi, %rsp
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbx
	pop %rbp
	ret

	/* A new thread's stack: what context_switch pops, this address, its trap frame. */
	.globl thread_first_switch
thread_first_switch:
	xor %ebp, %ebp
	call thread_started
	mov %rsp, %rdi
	call trap_leave
	jmp trap_return

	/* void thread_enter_user(struct trap_frame *): leaves the stack that it is called on for ever. */
	.globl thread_enter_user
thread_enter_user:
	mov %rdi, %rsp
	jmp thread_first_switch
