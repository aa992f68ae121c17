/* System calls on the console, as strace prints them. */
#include "personality/trace.h"

#include <linux/fcntl.h>
#include <linux/mman.h>

#include "thread/thread.h"

#define LINE_MAX 480
#define SHOWN_MAX 32 /* bytes of a string or buffer, as strace's default */
#define PATH_SHOWN_MAX 160

struct line {
	char text[LINE_MAX];
	size_t length;
};

static void add(struct line *l, const char *format, ...) PRINTF_LIKE(2, 3);
static void add(struct line *l, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	int n = vsnprintf(l->text + l->length, LINE_MAX - l->length, format, arguments);
	va_end(arguments);
	l->length = MIN(l->length + (size_t)MAX(n, 0), LINE_MAX - 1);
}

static void add_bytes(struct line *l, const char *bytes, size_t length, bool more)
{
	add(l, "\"");
	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)bytes[i];
		if (c == '\n')
			add(l, "\\n");
		else if (c == '\t')
			add(l, "\\t");
		else if (c == '"' || c == '\\')
			add(l, "\\%c", c);
		else if (c < ' ' || c > '~')
			add(l, "\\x%02x", c);
		else
			add(l, "%c", c);
	}
	add(l, more ? "\"..." : "\"");
}

static void add_buffer(struct line *l, uint64_t address, uint64_t length)
{
	char bytes[SHOWN_MAX];
	size_t shown = MIN(length, sizeof bytes);
	if (copy_from_user(bytes, address, shown))
		add(l, "0x%llx", (unsigned long long)address);
	else
		add_bytes(l, bytes, shown, shown < length);
}

static void add_string(struct line *l, uint64_t address)
{
	char bytes[PATH_SHOWN_MAX];
	int64_t length = copy_string_from_user(bytes, address, sizeof bytes);
	if (length == -ENAMETOOLONG)
		add_bytes(l, bytes, sizeof bytes, true);
	else if (length < 0)
		add(l, address ? "0x%llx" : "NULL", (unsigned long long)address);
	else
		add_bytes(l, bytes, (size_t)length, false);
}

static const char *const error_names[] = {
	[EPERM] = "EPERM", [ENOENT] = "ENOENT", [ESRCH] = "ESRCH", [EINTR] = "EINTR", [EIO] = "EIO", [ENXIO] = "ENXIO", [E2BIG] = "E2BIG",
	[ENOEXEC] = "ENOEXEC", [EBADF] = "EBADF", [ECHILD] = "ECHILD", [EAGAIN] = "EAGAIN", [ENOMEM] = "ENOMEM", [EACCES] = "EACCES",
	[EFAULT] = "EFAULT", [EBUSY] = "EBUSY", [EEXIST] = "EEXIST", [EXDEV] = "EXDEV", [ENODEV] = "ENODEV", [ENOTDIR] = "ENOTDIR",
	[EISDIR] = "EISDIR", [EINVAL] = "EINVAL", [ENFILE] = "ENFILE", [EMFILE] = "EMFILE", [ENOTTY] = "ENOTTY", [ETXTBSY] = "ETXTBSY",
	[EFBIG] = "EFBIG", [ENOSPC] = "ENOSPC", [ESPIPE] = "ESPIPE", [EROFS] = "EROFS", [EMLINK] = "EMLINK", [EPIPE] = "EPIPE",
	[EDOM] = "EDOM", [ERANGE] = "ERANGE", [EDEADLK] = "EDEADLK", [ENAMETOOLONG] = "ENAMETOOLONG", [ENOSYS] = "ENOSYS",
	[ENOTEMPTY] = "ENOTEMPTY", [ELOOP] = "ELOOP", [ENODATA] = "ENODATA", [EOVERFLOW] = "EOVERFLOW", [ENOTSOCK] = "ENOTSOCK",
	[EMSGSIZE] = "EMSGSIZE", [EOPNOTSUPP] = "EOPNOTSUPP", [EAFNOSUPPORT] = "EAFNOSUPPORT", [ECONNRESET] = "ECONNRESET",
	[EISCONN] = "EISCONN", [ENOTCONN] = "ENOTCONN", [ETIMEDOUT] = "ETIMEDOUT", [ECONNREFUSED] = "ECONNREFUSED",
	[ENOPROTOOPT] = "ENOPROTOOPT", [EPROTONOSUPPORT] = "EPROTONOSUPPORT", [EOWNERDEAD] = "EOWNERDEAD", [EPROTOTYPE] = "EPROTOTYPE",
	[ESOCKTNOSUPPORT] = "ESOCKTNOSUPPORT",
};

const char *error_name(int error)
{
	return error > 0 && (size_t)error < ARRAY_LENGTH(error_names) ? error_names[error] : NULL;
}

struct flag {
	uint32_t bits;
	const char *name;
};
#define FLAG(name) {name, #name}

static const struct flag protections[] = {FLAG(PROT_READ), FLAG(PROT_WRITE), FLAG(PROT_EXEC), {0}};
static const struct flag mappings[] = {
	FLAG(MAP_SHARED_VALIDATE), FLAG(MAP_SHARED), FLAG(MAP_PRIVATE), FLAG(MAP_FIXED), FLAG(MAP_ANONYMOUS), FLAG(MAP_FIXED_NOREPLACE),
	FLAG(MAP_GROWSDOWN), FLAG(MAP_DENYWRITE), FLAG(MAP_NORESERVE), FLAG(MAP_POPULATE), FLAG(MAP_STACK), FLAG(MAP_HUGETLB), {0},
};
static const struct flag openings[] = {
	FLAG(O_CREAT), FLAG(O_EXCL), FLAG(O_NOCTTY), FLAG(O_TRUNC), FLAG(O_APPEND), FLAG(O_NONBLOCK), FLAG(O_LARGEFILE), FLAG(O_TMPFILE),
	FLAG(O_DIRECTORY), FLAG(O_NOFOLLOW), FLAG(O_CLOEXEC), FLAG(O_PATH), {0},
};

static void add_flags(struct line *l, uint64_t value, const struct flag *flags, const char *between)
{
	for (; flags->bits; flags++)
		if ((value & flags->bits) == flags->bits) {
			add(l, "%s%s", between, flags->name);
			between = "|";
			value &= ~(uint64_t)flags->bits;
		}
	if (value || !*between)
		add(l, value ? "%s0x%llx" : "%s0", between, (unsigned long long)value);
}

/* Results: only what the call has written may be looked at, so buffers are as long as the result says. */
static void add_arguments(struct line *l, const char *format, const uint64_t *argument, int64_t result)
{
	for (int i = 0; i < 6 && format[i] && format[i] != ':'; i++) {
		uint64_t value = argument[i];
		if (i)
			add(l, ", ");
		switch (format[i]) {
		case 'd':
			add(l, "%lld", (int64_t)(int32_t)value == (int64_t)value || value >> 32 ? (long long)value : (long long)(int32_t)value);
			break;
		case 'f':
			if ((int32_t)value == AT_FDCWD)
				add(l, "AT_FDCWD");
			else
				add(l, "%d", (int32_t)value);
			break;
		case 'u':
			add(l, "%llu", (unsigned long long)value);
			break;
		case 'o':
			add(l, "0%llu%llu%llu%llu", (unsigned long long)(value >> 9 & 7), (unsigned long long)(value >> 6 & 7),
			    (unsigned long long)(value >> 3 & 7), (unsigned long long)(value & 7));
			break;
		case 'P':
			if (value)
				add_flags(l, value, protections, "");
			else
				add(l, "PROT_NONE");
			break;
		case 'M':
			add_flags(l, value, mappings, "");
			break;
		case 'O':
			add(l, "%s", (const char *const[]){"O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE"}[value & O_ACCMODE]);
			add_flags(l, value & ~(uint64_t)O_ACCMODE, openings, "|");
			if ((value & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY))) == 0)
				return; /* the mode behind it means nothing */
			break;
		case 's':
			add_string(l, value);
			break;
		case 'b':
			if (result < 0)
				add(l, "0x%llx", (unsigned long long)value);
			else
				add_buffer(l, value, MIN((uint64_t)result, argument[i + 1]));
			break;
		case 'p':
			if (!value) {
				add(l, "NULL");
				break;
			}
			__attribute__((fallthrough));
		default:
			add(l, "0x%llx", (unsigned long long)value);
		}
	}
}

static char result_letter(const char *format)
{
	const char *colon = strchr(format, ':');
	return colon ? colon[1] : 'd';
}

void trace_call(uint64_t number, const char *name, const char *format, const uint64_t *argument, int64_t result)
{
	struct line l = {.length = 0};
	if (name)
		add(&l, "[%d] %s(", current->tid, name);
	else
		add(&l, "[%d] syscall_%llu(", current->tid, (unsigned long long)number);
	add_arguments(&l, format, argument, result);
	if (result < 0 && result >= -4095) {
		const char *error = error_name((int)-result);
		if (error)
			add(&l, ") = -1 %s", error);
		else if (result == -ERESTARTSYS || result == -ERESTARTNOHAND)
			add(&l, ") = ? interrupted");
		else
			add(&l, ") = -1 errno %d", (int)-result);
	} else if (result_letter(format) == 'x') {
		add(&l, ") = 0x%llx", (unsigned long long)result);
	} else {
		add(&l, ") = %lld", (long long)result);
	}
	kprintf("%s", l.text);
}

void trace_no_return(const char *name, const char *format, const uint64_t *argument)
{
	struct line l = {.length = 0};
	add(&l, "[%d] %s(", current->tid, name);
	add_arguments(&l, format, argument, 0);
	add(&l, ") = ?");
	kprintf("%s", l.text);
}
