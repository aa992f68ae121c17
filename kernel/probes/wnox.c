/* Data is not executable. DIES 139: execution of a page that is not code */
#include <stdint.h>

static volatile uint8_t data[] = {0xc3};

int main(void)
{
	((void (*)(void))(uintptr_t)data)();
	return 0;
}
