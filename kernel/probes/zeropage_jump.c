/* Nor can it be jumped to. DIES 139: a null pointer */
int main(void)
{
	void (*volatile nowhere)(void) = 0;
	nowhere();
	return 0;
}
