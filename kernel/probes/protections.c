/* The kernel tells which protections of the processor it turned on. SUCCESS */
#include <stdio.h>
#include <string.h>

int main(void)
{
	char line[256];
	FILE *file = fopen("/proc/sarab", "r");
	if (file == NULL)
		return 1;
	while (fgets(line, sizeof line, file) != NULL)
		if (strncmp(line, "processor_protections:", 22) == 0) {
			fputs(line, stdout);
			puts("SUCCESS");
		}
	return 0;
}
