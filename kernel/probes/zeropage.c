/* Nothing is mapped at address 0. DIES 139: a null pointer */
int main(void)
{
	return *(volatile int *)0;
}
