/* Constants are not writable. DIES 139: a write to a read-only page */
#include <stdint.h>

static const char constant[] = "constant";

int main(void)
{
	*(volatile char *)(uintptr_t)constant = 'C';
	return 0;
}
