/* Nor are model-specific registers. DIES 139: general protection */
int main(void)
{
	__asm__ volatile("rdmsr" : : "c"(0xc0000082) : "eax", "edx");
	return 0;
}
