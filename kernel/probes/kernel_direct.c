/* Nor is RAM behind its back. DIES 139: an address of the kernel */
int main(void)
{
	return *(volatile int *)0xffff888000200000;
}
