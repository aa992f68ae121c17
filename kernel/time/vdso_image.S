/* The linked vDSO, on pages of its own: they are mapped into the application. */
	.section .rodata.vdso, "a"
	.balign 4096
	.globl vdso_image, vdso_image_end
vdso_image:
	.incbin "vdso.so"
	.balign 4096
vdso_image_end:
