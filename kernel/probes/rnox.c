/* Constants are not executable. DIES 139: execution of a page that is not code */
#include <stdint.h>

static const uint8_t constant[] = {0xc3};

int main(void)
{
	((void (*)(void))(uintptr_t)constant)();
	return 0;
}
