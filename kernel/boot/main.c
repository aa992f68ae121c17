/* The boot, in order. */
#include "boot/boot.h"
#include "cpu/cpu.h"
#include "cpu/machine.h"
#include "memory/memory.h"
#include "pvm/pvm.h"
#include "thread/thread.h"

struct options options;
uintptr_t __stack_chk_guard;
_Noreturn void __stack_chk_fail(void);

_Noreturn void __stack_chk_fail(void)
{
	panic("a kernel stack was overwritten (canary)");
}

/* Without a canary of its own: it sets the canary, and never returns. */
__attribute__((no_stack_protector)) _Noreturn void boot_main(unsigned protocol, uint64_t information)
{
	pvm_init();				/* a PVM guest, if this is one */
	console_init();				/* so that panics can speak */
	cpu_init();				/* traps, control registers */
	random_init();				/* entropy of the CPU */
	__stack_chk_guard = random_u64() & ~0xffull; /* a zero byte stops string overruns */
	boot_information_read(protocol, information);
	memory_init();				/* W^X kernel map, frames, objects */
	random_complete();			/* else of the host, or no boot */
	__stack_chk_guard = random_u64() & ~0xffull;
	acpi_init();				/* how to power off */
	apic_init();				/* interrupt controllers */
	time_init();				/* clocks and timers */
	int64_t ready = time_monotonic();
	image_init();				/* the files: checked, or no boot */
	struct program program;
	program_read(&program);			/* start file and command line */
	mark_at("kernel", ready);
	threads_init();
	files_init();				/* descriptors 0, 1, 2 */
	console_interrupts_on();
	power_button_init();
	program_start(&program);
}
