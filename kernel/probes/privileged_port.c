/* Nor are I/O ports. DIES 139: general protection */
int main(void)
{
	__asm__ volatile("outb %%al, $0xf4" : : "a"(0));
	return 0;
}
