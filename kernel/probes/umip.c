/* Where the kernel's tables lie is not told (UMIP). DIES 139: general protection */
int main(void)
{
	struct {
		unsigned short limit;
		unsigned long base;
	} __attribute__((packed)) table;
	__asm__ volatile("sidt %0" : "=m"(table));
	return 0;
}
