/* Formatted text into a buffer. */
#include "kernel.h"

struct output {
	char *to;
	size_t size, length;
};

static void put(struct output *o, char c)
{
	if (o->length + 1 < o->size)
		o->to[o->length] = c;
	o->length++;
}

static void put_padded(struct output *o, const char *text, size_t length, unsigned width, bool left)
{
	size_t padding = width > length ? width - length : 0;
	for (size_t i = 0; !left && i < padding; i++)
		put(o, ' ');
	for (size_t i = 0; i < length; i++)
		put(o, text[i]);
	for (size_t i = 0; left && i < padding; i++)
		put(o, ' ');
}

static void put_number(struct output *o, uint64_t value, bool negative, unsigned base, bool upper, unsigned width, bool zero, bool left)
{
	char digits[24];
	size_t n = sizeof digits;
	const char *alphabet = upper ? "0123456789ABCDEF" : "0123456789abcdef";
	do
		digits[--n] = alphabet[value % base];
	while ((value /= base) != 0);
	while (zero && !left && sizeof digits - n + negative < width && n > 1)
		digits[--n] = '0';
	if (negative)
		digits[--n] = '-';
	put_padded(o, digits + n, sizeof digits - n, width, left);
}

int vsnprintf(char *to, size_t size, const char *format, va_list arguments)
{
	struct output o = {to, size, 0};
	for (; *format != 0; format++) {
		if (*format != '%') {
			put(&o, *format);
			continue;
		}
		bool left = false, zero = false;
		unsigned width = 0, longs = 0;
		size_t precision = SIZE_MAX;
		for (format++; *format == '-' || *format == '0'; format++)
			*format == '-' ? (left = true) : (zero = true);
		if (*format == '*') {
			width = (unsigned)va_arg(arguments, int);
			format++;
		}
		for (; *format >= '0' && *format <= '9'; format++)
			width = width * 10 + (unsigned)(*format - '0');
		if (*format == '.') {
			precision = 0;
			if (*++format == '*') {
				precision = (size_t)va_arg(arguments, int);
				format++;
			}
			for (; *format >= '0' && *format <= '9'; format++)
				precision = precision * 10 + (size_t)(*format - '0');
		}
		for (; *format == 'l' || *format == 'z'; format++)
			longs++;
		switch (*format) {
		case 'd':
		case 'i': {
			int64_t value = longs > 0 ? va_arg(arguments, int64_t) : va_arg(arguments, int);
			put_number(&o, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, value < 0, 10, false, width, zero, left);
			break;
		}
		case 'u':
		case 'x':
		case 'X': {
			uint64_t value = longs > 0 ? va_arg(arguments, uint64_t) : va_arg(arguments, unsigned);
			put_number(&o, value, false, *format == 'u' ? 10 : 16, *format == 'X', width, zero, left);
			break;
		}
		case 'o': {
			uint64_t value = longs > 0 ? va_arg(arguments, uint64_t) : va_arg(arguments, unsigned);
			put_number(&o, value, false, 8, false, width, zero, left);
			break;
		}
		case 'p':
			put(&o, '0');
			put(&o, 'x');
			put_number(&o, (uintptr_t)va_arg(arguments, void *), false, 16, false, width > 2 ? width - 2 : 0, zero, left);
			break;
		case 'c': {
			char c = (char)va_arg(arguments, int);
			put_padded(&o, &c, 1, width, left);
			break;
		}
		case 's': {
			const char *text = va_arg(arguments, const char *);
			if (text == NULL)
				text = "(null)";
			put_padded(&o, text, strnlen(text, precision), width, left);
			break;
		}
		case '%':
			put(&o, '%');
			break;
		default:
			panic("a format with the unknown conversion '%c'", *format);
		}
	}
	if (size > 0)
		to[MIN(o.length, size - 1)] = 0;
	return (int)o.length;
}

int snprintf(char *to, size_t size, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	int length = vsnprintf(to, size, format, arguments);
	va_end(arguments);
	return length;
}
