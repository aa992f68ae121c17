/* Code that was made writable and written cannot be made executable again. DIES 139: pages that were written were to become executable (W^X) */
#include <stdint.h>
#include <sys/mman.h>

__attribute__((aligned(4096), noinline)) static int patched(void)
{
	__asm__ volatile(".skip 4096, 0x90");
	return 1;
}

int main(void)
{
	void *page = (void *)((uintptr_t)patched & ~4095ul);
	mprotect(page, 4096, PROT_READ | PROT_WRITE);
	*(volatile uint8_t *)page = 0xc3;
	mprotect(page, 4096, PROT_READ | PROT_EXEC);
	return patched();
}
