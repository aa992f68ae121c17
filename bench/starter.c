/*
 * The first process of the Linux guest: what a careful engineer would write instead of an init system.
 *
 * It does what the machine needs before Python can run and no more: /proc, /dev, a console. Then it runs the program
 * that /boot/start names (the same file that the sarab kernel reads; docs/decisions/0002), waits, lets the console
 * drain and resets the machine, which ends QEMU. It says on the control channel (port 0xea) when it begins ("mark user")
 * and what the program's status was ("exit N"), as the sarab kernel does.
 */
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

enum { CONTROL_PORT = 0xea, START_SIZE_MAX = 65536, WORDS_MAX = 256 };

static char start_text[START_SIZE_MAX + 1];
static char *arguments[WORDS_MAX + 1];
static char *environment[WORDS_MAX + 1];

static void tell(const char *text)
{
	for (; *text != '\0'; text++)
		outb((unsigned char)*text, CONTROL_PORT);
}

static void tell_status(int status)
{
	char digits[] = "exit 000\n";

	digits[5] = (char)('0' + status / 100 % 10);
	digits[6] = (char)('0' + status / 10 % 10);
	digits[7] = (char)('0' + status % 10);
	tell(digits);
}

/* Return the value of a line "KEY VALUE" if its key is `key`, else NULL. */
static char *value_of(char *line, const char *key)
{
	size_t length = strlen(key);

	return strncmp(line, key, length) == 0 && line[length] == ' ' ? line + length + 1 : NULL;
}

int main(void)
{
	char *path = NULL;
	size_t argument_count = 0, environment_count = 0;
	int console, file, status = 0;
	pid_t child;

	ioperm(CONTROL_PORT, 1, 1);
	tell("mark user\n");
	mount("proc", "/proc", "proc", 0, NULL);
	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	console = open("/dev/ttyS0", O_RDWR);
	dup2(console, 0);
	dup2(console, 1);
	dup2(console, 2);

	file = open("/boot/start", O_RDONLY);
	if (file < 0 || read(file, start_text, START_SIZE_MAX) <= 0)
		tell("no /boot/start\n");
	for (char *line = strtok(start_text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
		char *value;

		if ((value = value_of(line, "exec")) != NULL)
			path = value;
		else if ((value = value_of(line, "arg")) != NULL && argument_count < WORDS_MAX)
			arguments[argument_count++] = value;
		else if ((value = value_of(line, "env")) != NULL && environment_count < WORDS_MAX)
			environment[environment_count++] = value;
		else if ((value = value_of(line, "cwd")) != NULL)
			(void)!chdir(value);
	}

	child = vfork();
	if (child == 0) {
		execve(path != NULL ? path : "", arguments, environment);
		_exit(127);
	}
	waitpid(child, &status, 0);
	tcdrain(1);
	tell_status(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
	reboot(RB_AUTOBOOT);
	return 1;
}
