/* The vDSO's code, once written to, is code no more. DIES 139: pages that were written were to become executable (W^X) */
#include "check.h"
#include <sys/auxv.h>
#include <sys/mman.h>

int main(void)
{
	char *image = (char *)getauxval(AT_SYSINFO_EHDR);
	CHECK(image != NULL);
	if (mprotect(image, 4096, PROT_READ | PROT_WRITE) == 0)
		image[0x800] = (char)0xc3;
	mprotect(image, 4096, PROT_READ | PROT_EXEC);
	((void (*)(void))(image + 0x800))();
	puts("the vDSO was changed");
	return 0;
}
