/* A look at a model-specific register that may not exist. */
	.text
	/* uint64_t pvm_read_msr_if_any(uint32_t msr) */
	.globl pvm_read_msr_if_any, pvm_no_such_register
pvm_read_msr_if_any:
	mov %edi, %ecx
	rdmsr
	shl $32, %rdx
	or %rdx, %rax
	ret

	/* The general-protection fault of that RDMSR: go on after it with zero. */
pvm_no_such_register:
	add $8, %rsp
	addq $2, (%rsp)
	xor %eax, %eax
	xor %edx, %edx
	iretq
