/* Interrupts are not the application's to stop. DIES 139: general protection */
int main(void)
{
	__asm__ volatile("cli");
	return 0;
}
