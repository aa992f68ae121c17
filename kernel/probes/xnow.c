/* Code is not writable. DIES 139: a write to a read-only page */
#include <stdint.h>

int main(void)
{
	*(volatile uint8_t *)(uintptr_t)main = 0xc3;
	return 0;
}
