/* The heap is not executable. DIES 139: execution of a page that is not code */
#include <stdint.h>
#include <stdlib.h>

int main(void)
{
	volatile uint8_t *code = malloc(64);
	code[0] = 0xc3;
	((void (*)(void))(uintptr_t)code)();
	return 0;
}
