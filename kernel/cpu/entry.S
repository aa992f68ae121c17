/* Every way into the kernel from ring 3 and every interrupt: all build a struct trap_frame (kernel.h). */
#include "layout.h"

#define TRAP_SYSTEM_CALL 256
/* struct per_cpu, cpu/cpu.c */
#define KERNEL_STACK %gs:0
#define USER_RSP %gs:8
#define SMAP %gs:16
/* offsets in struct trap_frame */
#define F_R11 (6 * 8)
#define F_RCX (11 * 8)
#define F_VECTOR (15 * 8)
#define F_RIP (17 * 8)
#define F_CS (18 * 8)
#define F_RFLAGS (19 * 8)

.macro push_registers
	push %rdi
	push %rsi
	push %rdx
	push %rcx
	push %rax
	push %r8
	push %r9
	push %r10
	push %r11
	push %rbx
	push %rbp
	push %r12
	push %r13
	push %r14
	push %r15
.endm

.macro pop_registers
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbp
	pop %rbx
	pop %r11
	pop %r10
	pop %r9
	pop %r8
	pop %rax
	pop %rcx
	pop %rdx
	pop %rsi
	pop %rdi
.endm

/* Three instructions that pvm_init() writes over: their address and length, and what is to stand there (decision 0050). */
.macro pvm_site length, a, b, c
	.pushsection .rodata.pvm_sites, "a", @progbits
	.long 771b - KERNEL_BASE
	.byte \length, \a, \b, \c
	.popsection
.endm
.macro exchange_gs
771:	swapgs
	pvm_site 3, 0x0f, 0x1f, 0x00 /* nop */
.endm
.macro return_by_sysret
771:	sysretq
	pvm_site 3, 0xcd, 0x19, 0x90 /* int 0x19, nop */
.endm
.macro return_by_iret
771:	iretq
	pvm_site 2, 0xcd, 0x17, 0x90 /* int 0x17 */
.endm

	.text
	.globl system_call_entry
system_call_entry:
	exchange_gs
	mov %rsp, USER_RSP
	mov KERNEL_STACK, %rsp
	pushq $SELECTOR_USER_DATA
	pushq USER_RSP
	push %r11
	pushq $SELECTOR_USER_CODE
	push %rcx
	push %rax
	pushq $TRAP_SYSTEM_CALL
	push_registers
	xor %ebp, %ebp
	mov %rsp, %rdi
	call system_call
	mov %rsp, %rdi
	call trap_leave

	.globl trap_return
trap_return:
	/* SYSRET only where it restores just what IRET would. */
	cmpq $TRAP_SYSTEM_CALL, F_VECTOR(%rsp)
	jne 1f
	mov F_RIP(%rsp), %rcx
	cmp %rcx, F_RCX(%rsp)
	jne 1f
	mov F_RFLAGS(%rsp), %r11
	cmp %r11, F_R11(%rsp)
	jne 1f
	test $0x10100, %r11d /* RF, TF */
	jnz 1f
	shr $47, %rcx
	jnz 1f
	pop_registers
	exchange_gs
	mov 40(%rsp), %rsp
	return_by_sysret
1:	pop_registers
	add $16, %rsp
	exchange_gs
	return_by_iret

trap_common:
	testb $3, 24(%rsp)
	jz 1f
	exchange_gs
1:	push_registers
	cld
	cmpb $0, SMAP
	je 2f
	clac
2:	xor %ebp, %ebp
	mov %rsp, %rdi
	call trap_handle
	testb $3, F_CS(%rsp)
	jz 3f
	mov %rsp, %rdi
	call trap_leave
	jmp trap_return
3:	pop_registers
	add $16, %rsp
	iretq

	/* One stub a vector, 16 bytes apart, so that their addresses need no table. */
	.balign 16
	.globl trap_stubs
trap_stubs:
	.set vector, 0
	.rept 256
	.balign 16
	.if vector != 8 && (vector < 10 || vector > 14) && vector != 17 && vector != 21
	pushq $0
	.endif
	pushq $vector
	jmp trap_common
	.set vector, vector + 1
	.endr

	/* int64_t copy_unchecked(void *to, const void *from, size_t n): 0, or -EFAULT where a page cannot be reached.
	 * trap_handle() sends a fault between the two labels to copy_fault. */
	.globl copy_unchecked, copy_unchecked_end, copy_fault
copy_unchecked:
	mov %rdx, %rcx
	shr $3, %rcx
	rep movsq
	mov %edx, %ecx
	and $7, %ecx
	rep movsb
copy_unchecked_end:
	xor %eax, %eax
	ret
copy_fault:
	mov $-14, %rax
	ret
