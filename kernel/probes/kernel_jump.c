/* Nor can it be jumped to. DIES 139: an address of the kernel */
int main(void)
{
	((void (*)(void))0xffffffff80200000)();
	return 0;
}
