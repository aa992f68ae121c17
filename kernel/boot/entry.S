/* Where the machine enters the kernel: by the PVH note in 32-bit mode without paging (start information in ebx), or by the ELF entry in
 * 64-bit mode on the loader's identity map (Linux boot_params in rsi). Both go on in boot_main() at its linked address, on page
 * tables that map the first GiB three times: identity (gone soon), direct map, and where the kernel is linked. */
#include "layout.h"

#define PHYSICAL(symbol) ((symbol) - KERNEL_BASE)
#define CR0_PE_MP_ET_NE_WP_PG 0x80010033
#define CR4_PAE 0x20
#define MSR_EFER 0xc0000080
#define EFER_SCE_LME_NXE 0x901

	.section .note.Xen, "a", @note
	.balign 4
	.long 4, 4, 18 /* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.long PHYSICAL(start_pvh)

	.section .text.boot, "ax"
	.code32
	.globl start_pvh
start_pvh:
	cli
	cld
	mov $PHYSICAL(boot_pml4), %eax
	mov %eax, %cr3
	mov $CR4_PAE, %eax
	mov %eax, %cr4
	mov $MSR_EFER, %ecx
	mov $EFER_SCE_LME_NXE, %eax
	xor %edx, %edx
	wrmsr
	mov $CR0_PE_MP_ET_NE_WP_PG, %eax
	mov %eax, %cr0
	lgdt PHYSICAL(boot_gdt_pointer)
	mov %ebx, %esi
	xor %edi, %edi /* 0: PVH */
	ljmp $0x08, $PHYSICAL(long_mode)

	.code64
	.globl start_boot_params
start_boot_params:
	mov %cs, %eax
	test $3, %al
	jnz foreign_pvm
	cli
	cld
	mov $MSR_EFER, %ecx
	rdmsr
	or $EFER_SCE_LME_NXE, %eax
	wrmsr
	mov $PHYSICAL(boot_pml4), %eax
	mov %rax, %cr3
	lgdt PHYSICAL(boot_gdt_pointer)
	mov $1, %edi /* 1: boot_params */
	pushq $0x08
	pushq $PHYSICAL(long_mode)
	lretq

long_mode:
	mov %cs, %eax
	test $3, %al
	jnz foreign_pvm
	xor %eax, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %fs
	mov %eax, %gs
	mov $SELECTOR_KERNEL_DATA, %eax
	mov %eax, %ss
	movabs $high_half, %rax
	jmp *%rax
high_half:
	mov $boot_stack_top, %rsp
	xor %ebp, %ebp
	rdtsc /* the first instant: marks and the monotonic clock count from here */
	shl $32, %rdx
	or %rdx, %rax
	mov %rax, boot_tsc(%rip)
	call boot_main
	ud2

/* 64-bit code that starts in ring 3: a PVM of another revision than ours (decision 0050). Said as decision 0002 has it, with what works there. */
foreign_pvm:
	cld
	mov $0xe9, %edx
	in (%dx), %al
	cmp $0xe9, %al
	je 1f
	mov $0x3f8, %edx
1:	lea foreign_text(%rip), %rsi
	mov $foreign_text_end - foreign_text, %ecx
	rep outsb
	mov $0xea, %edx
	lea foreign_status(%rip), %rsi
	mov $foreign_status_end - foreign_status, %ecx
	rep outsb
	mov $255, %eax
	mov $0xf4, %edx
	out %eax, (%dx)
2:	hlt
	jmp 2b
foreign_text:
	.ascii "sarab: this machine's PVM is of another revision than this kernel speaks; start the machine emulated (--accel tcg)\n"
foreign_text_end:
foreign_status:
	.ascii "exit 255\n"
foreign_status_end:

	.section .data
	.balign 8192 /* PVM ignores bit 12 of the address: there it tells the application's tables from the kernel's */
	/* The user bit in the lowest table alone opens nothing: all levels must have it. (pvm/pvm.c sets the others) */
	.globl boot_pml4, boot_pdpt_low, boot_pdpt_high
boot_pml4:
	.quad PHYSICAL(boot_pdpt_low) + 3
	.fill 271, 8, 0
	.quad PHYSICAL(boot_pdpt_low) + 3 /* DIRECT_BASE */
	.fill 238, 8, 0
	.quad PHYSICAL(boot_pdpt_high) + 3
boot_pdpt_low:
	.quad PHYSICAL(boot_pd) + 3
	.fill 511, 8, 0
boot_pdpt_high:
	.fill 510, 8, 0
	.quad PHYSICAL(boot_pd) + 3 /* KERNEL_BASE */
	.quad 0
boot_pd:
	.set page, 0
	.rept 512
	.quad page + 0x87
	.set page, page + LARGE_PAGE_SIZE
	.endr

	.balign 8
boot_gdt:
	.quad 0
	.quad 0x00af9b000000ffff
	.quad 0x00cf93000000ffff
boot_gdt_end:
boot_gdt_pointer:
	.word boot_gdt_end - boot_gdt - 1
	.quad PHYSICAL(boot_gdt)

	.globl boot_tsc
	.balign 8
boot_tsc:
	.quad 0

	.section .bss
	.balign 16
	.skip KERNEL_STACK_SIZE
	.globl boot_stack_top
boot_stack_top:
