/* The kernel command line, word by word. */
#include "kernel.h"

bool command_line_word(const char **text, char *word, size_t size)
{
	const char *s = *text;
	size_t length = 0;
	bool quoted = false;
	while (*s == ' ')
		s++;
	if (*s == 0)
		return false;
	for (; *s != 0 && (quoted || *s != ' '); s++) {
		if (*s == '"') {
			quoted = !quoted;
			continue;
		}
		if (*s == '\\' && s[1] != 0)
			s++;
		if (length + 1 < size)
			word[length++] = *s;
	}
	word[length] = 0;
	*text = s;
	return true;
}
