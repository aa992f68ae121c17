/* A loader of the old kind, for a test: what Firecracker did before it knew PVH. QEMU enters it by its own PVH note; it turns to 64-bit mode
 * on an identity map of the first GiB, and jumps to ENTRY with a Linux zero page in rsi, as Documentation/arch/x86/boot.rst has it.
 * With RING it enters in that ring, with the right to all ports: what a PVM of a foreign revision does.
 * ENTRY, MEMORY (bytes) and COMMAND_LINE come from the command line of the assembler. */
	.section .note.Xen, "a", @note
	.balign 4
	.long 4, 4, 18
	.asciz "Xen"
	.long start

	.text
	.code32
	.globl start
start:
	cli
	mov $pml4, %eax
	mov %eax, %cr3
	mov $0x20, %eax
	mov %eax, %cr4
	mov $0xc0000080, %ecx
	mov $0x100, %eax
	xor %edx, %edx
	wrmsr
	mov $0x80000011, %eax
	mov %eax, %cr0
	lgdt gdt_pointer
	ljmp $0x08, $long_mode
	.code64
long_mode:
	mov $zero_page, %esi
	mov $ENTRY, %eax
#ifdef RING
	pushq $0x18 + RING
	pushq $0
	pushq $0x3002
	pushq $0x10 + RING
	push %rax
	iretq
#endif
	jmp *%rax

	.data
	.balign 4096
pml4:
	.quad pdpt + 7
	.fill 511, 8, 0
pdpt:
	.quad pd + 7
	.fill 511, 8, 0
pd:
	.set page, 0
	.rept 512
	.quad page + 0x87
	.set page, page + 0x200000
	.endr
zero_page:
	.fill 0x1e8, 1, 0
	.byte 2 /* e820_entries */
	.fill 0x228 - 0x1e9, 1, 0
	.long command_line
	.fill 0x2d0 - 0x22c, 1, 0
	.quad 0, 0x9fc00
	.long 1
	.quad 0x100000, MEMORY - 0x100000
	.long 1
	.fill 4096 - 0x2d0 - 40, 1, 0
gdt:
	.quad 0, 0x00af9b000000ffff, 0x00affb000000ffff, 0x00cff3000000ffff
gdt_pointer:
	.word 31
	.long gdt
command_line:
	.asciz COMMAND_LINE
