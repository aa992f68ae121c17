/* libffi's closures (ctypes and cffi callbacks) are small pieces of code that libffi writes into memory. Here no such page is executable; so
 * what they do is done for them, as PaX does under the name EMUTRAMP: when the application jumps to one, the page fault finds the exact
 * bytes of libffi's template, loads r10 and jumps to the target, which must itself be the image's code. No page becomes executable, and no
 * other instruction is emulated.
 *
 * libffi reads in /proc/self/status, line "PaX:", that no page may be written and executed (M), and then writes its closures through one
 * mapping of a memfd named "libffi" and jumps to another, which it asks for as executable: that mapping succeeds without being so (struct
 * mappable, closures). Newer versions believe E, and ask for nothing. */
#include "cpu/cpu.h"

#define TEMPLATE_MAX 24

static const struct {
	uint8_t length; /* the target follows */
	uint8_t code[TEMPLATE_MAX];
} templates[] = {
	/* libffi 3.3 and newer: endbr64; lea -0xb(%rip), %r10; jmp *7(%rip); nopl 0(%rax) */
	{24, {0xf3, 0x0f, 0x1e, 0xfa, 0x4c, 0x8d, 0x15, 0xf5, 0xff, 0xff, 0xff, 0xff, 0x25, 0x07, 0, 0, 0, 0x0f, 0x1f, 0x80, 0, 0, 0, 0}},
	/* 3.2.9x: lea -7(%rip), %r10; jmp *3(%rip); nopl (%rax) */
	{16, {0x4c, 0x8d, 0x15, 0xf9, 0xff, 0xff, 0xff, 0xff, 0x25, 0x03, 0, 0, 0, 0x0f, 0x1f, 0}},
};

bool trampoline_emulate(struct trap_frame *frame)
{
	uint8_t code[TEMPLATE_MAX];
	uint64_t target;

	for (size_t i = 0; i < ARRAY_LENGTH(templates); i++) {
		size_t length = templates[i].length;
		if (copy_from_user(code, frame->rip, length) != 0 || memcmp(code, templates[i].code, length) != 0)
			continue;
		if (GET_USER(target, frame->rip + length) != 0 || target >= USER_END)
			return false;
		frame->r10 = frame->rip;
		frame->rip = target;
		return true;
	}
	return false;
}
