/* The system calls of the CPU and of entropy. */
#include <asm/prctl.h>
#include <linux/random.h>

#include "cpu/cpu.h"
#include "personality/syscalls.h"
#include "thread/thread.h"

int64_t sys_arch_prctl(const uint64_t *argument)
{
	uint64_t address = argument[1], value;
	switch (argument[0]) {
	case ARCH_SET_FS:
		if (address >= USER_END)
			return -EPERM;
		cpu_set_fs_base(address);
		return 0;
	case ARCH_SET_GS:
		if (address >= USER_END)
			return -EPERM;
		thread_set_gs_base(address);
		return 0;
	case ARCH_GET_FS:
		value = cpu_get_fs_base();
		return PUT_USER(address, value);
	case ARCH_GET_GS:
		value = thread_user_gs_base();
		return PUT_USER(address, value);
	default:
		return -EINVAL; /* no CPUID faulting, no shadow stacks */
	}
}

int64_t sys_getrandom(const uint64_t *argument)
{
	uint64_t to = argument[0], length = MIN(argument[1], RANDOM_MOST), done = 0;
	uint8_t chunk[256];

	if ((argument[2] & ~(uint64_t)(GRND_NONBLOCK | GRND_RANDOM | GRND_INSECURE)) != 0 ||
	    (argument[2] & (GRND_RANDOM | GRND_INSECURE)) == (GRND_RANDOM | GRND_INSECURE))
		return -EINVAL;
	while (done < length) {
		size_t n = MIN(length - done, sizeof chunk);
		random_bytes(chunk, n);
		if (copy_to_user(to + done, chunk, n) != 0)
			return done > 0 ? (int64_t)done : -EFAULT;
		done += n;
	}
	memset(chunk, 0, sizeof chunk);
	return (int64_t)done;
}
