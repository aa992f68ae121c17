/* The kernel's memory is not readable. DIES 139: an address of the kernel */
int main(void)
{
	return *(volatile int *)0xffffffff80200000;
}
