/* The start file and the kernel command line (decision 0002): options, arguments, environment. */
#include <linux/stat.h>

#include "boot/boot.h"
#include "cpu/machine.h"

#define START_FILE "/boot/start"
#define START_FILE_LIMIT 65536
#define TMP_DEFAULT (16ull << 20)
#define CONSOLE_WORD "virtio_console="

struct words { /* NUL-separated */
	char *text;
	size_t length, size, count;
};

static void words_add(struct words *w, const char *word, size_t length)
{
	if (length + 1 > w->size - w->length)
		panic("the arguments and the environment together are longer than %zu bytes", w->size);
	memcpy(w->text + w->length, word, length);
	w->length += length + 1;
	w->count++;
}

/* NAME=value: takes the place of an earlier NAME. */
static void environment_set(struct words *w, const char *word, size_t length)
{
	size_t name = 0;
	while (name < length && word[name] != '=')
		name++;
	for (size_t at = 0; at < w->length;) {
		size_t old = strlen(w->text + at) + 1;
		if (old > name && memcmp(w->text + at, word, name) == 0 && w->text[at + name] == '=') {
			memmove(w->text + at, w->text + at + old, w->length - at - old);
			w->length -= old;
			memset(w->text + w->length, 0, old);
			w->count--;
			break;
		}
		at += old;
	}
	words_add(w, word, length);
}

static void set_tmp_size(const char *text)
{
	if (!parse_size(text, &options.tmp_size))
		panic("tmp=%s is no size: give a number of bytes, or 64K, 16M, 1G", text);
}

static void set_option(struct words *environment, const char *word)
{
	if (strcmp(word, "trace") == 0)
		options.trace = true;
	else if (strcmp(word, "marks") == 0)
		options.marks = true;
	else if (strcmp(word, "seal") == 0)
		options.seal = true;
	else if (strncmp(word, "tmp=", 4) == 0)
		set_tmp_size(word + 4);
	else if (strcmp(word, "pci") == 0)
		device_pci_allow();
	else if (strncmp(word, CONSOLE_WORD, strlen(CONSOLE_WORD)) == 0) {
		if (!virtio_console_describe(word + strlen(CONSOLE_WORD)))
			kprintf("'%s' describes no console: SIZE@ADDRESS:LINE does; it is ignored", word);
	} else if (strcmp(word, "input=escaped") == 0)
		options.escaped_input = true;
	else if (((word[0] >= 'A' && word[0] <= 'Z') || word[0] == '_') && strchr(word, '=') != NULL)
		environment_set(environment, word, strlen(word));
	else
		kprintf("the kernel option '%s' is not known; it is ignored", word);
}

static void read_command_line(struct words *arguments, struct words *environment)
{
	static char word[sizeof boot_information.command_line];
	const char *text = boot_information.command_line;
	bool for_application = false;

	while (command_line_word(&text, word, sizeof word)) {
		if (strncmp(word, VIRTIO_WORD, strlen(VIRTIO_WORD)) == 0) {
			if (!device_window_describe(word + strlen(VIRTIO_WORD)))
				kprintf("'%s' describes no device: SIZE@ADDRESS:LINE does; it is ignored", word);
			continue;
		}
		if (for_application)
			words_add(arguments, word, strlen(word));
		else if (strcmp(word, "--") == 0)
			for_application = true;
		else
			set_option(environment, word);
	}
}

static char *copy_word(const char *from, size_t length)
{
	char *to = allocate(length + 1);
	if (to == NULL)
		panic("out of memory while reading %s", START_FILE);
	memcpy(to, from, length);
	return to;
}

static void start_line(struct program *p, struct words *arguments, struct words *environment, const char *line, size_t length)
{
	size_t key = 0;
	while (key < length && line[key] != ' ')
		key++;
	if (length == 0)
		return;
	const char *value = copy_word(line + MIN(key + 1, length), length - MIN(key + 1, length));
	size_t value_length = strlen(value);

	if (key == 4 && memcmp(line, "exec", 4) == 0)
		p->exec = value;
	else if (key == 3 && memcmp(line, "cwd", 3) == 0)
		p->cwd = value;
	else if (key == 3 && memcmp(line, "arg", 3) == 0)
		words_add(arguments, value, value_length);
	else if (key == 3 && memcmp(line, "env", 3) == 0)
		environment_set(environment, value, value_length);
	else if (key == 3 && memcmp(line, "tmp", 3) == 0)
		set_tmp_size(value);
	else if (key == 6 && memcmp(line, "option", 6) == 0)
		set_option(environment, value);
	else
		panic("%s has a line that this kernel does not know: '%.*s'", START_FILE, (int)MIN(length, 80u), line);
	if (value != p->exec && value != p->cwd)
		release((void *)(uintptr_t)value);
}

void program_read(struct program *program)
{
	int64_t number = image_lookup(START_FILE);
	if (number < 0 || !S_ISREG(image_node((uint32_t)number)->mode) || image_node((uint32_t)number)->size > START_FILE_LIMIT)
		panic("this image cannot be booted: it has no %s; build it again with 'sarab build'", START_FILE);
	const struct image_node *node = image_node((uint32_t)number);
	const char *text = image_data(node, 0, node->size), *end = text + node->size;

	/* Every word comes from one of the two texts, and is followed by something there; but for our own two. */
	size_t size = node->size + sizeof boot_information.command_line + sizeof "SARAB_MARKS=1" + sizeof "SARAB_SEAL=1";
	struct words arguments = {allocate(size), 0, size, 0}, environment = {allocate(size), 0, size, 0};
	if (arguments.text == NULL || environment.text == NULL)
		panic("out of memory while reading %s", START_FILE);

	options.tmp_size = TMP_DEFAULT;
	*program = (struct program){.cwd = "/"};
	while (text < end) {
		const char *line = text;
		while (text < end && *text != '\n')
			text++;
		start_line(program, &arguments, &environment, line, (size_t)(text - line));
		text++;
	}
	if (program->exec == NULL)
		panic("this image cannot be booted: its %s names no program", START_FILE);
	if (arguments.count == 0)
		words_add(&arguments, program->exec, strlen(program->exec));
	read_command_line(&arguments, &environment);
	if (options.marks)
		environment_set(&environment, "SARAB_MARKS=1", 13);
	if (options.seal)
		environment_set(&environment, "SARAB_SEAL=1", 12);

	program->arguments = arguments.text;
	program->arguments_length = arguments.length;
	program->argument_count = arguments.count;
	program->environment = environment.text;
	program->environment_length = environment.length;
	program->environment_count = environment.count;
}
