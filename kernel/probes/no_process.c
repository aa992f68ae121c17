/* No second process, no other program, no power over the machine: all unknown calls. SUCCESS */
#include <errno.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
	static const int calls[] = {SYS_fork, SYS_vfork, SYS_execve, SYS_execveat, SYS_ptrace, SYS_reboot, SYS_mount, SYS_umount2, SYS_pivot_root,
				    SYS_init_module, SYS_finit_module, SYS_kexec_load, SYS_iopl, SYS_ioperm, SYS_bpf, SYS_perf_event_open,
				    SYS_process_vm_readv, SYS_process_vm_writev, SYS_userfaultfd, SYS_setns, SYS_unshare, 600, 100000};
	for (unsigned i = 0; i < sizeof calls / sizeof calls[0]; i++)
		if (syscall(calls[i], 0, 0, 0, 0, 0, 0) != -1 || errno != ENOSYS) {
			printf("call %d: errno %d\n", calls[i], errno);
			return 1;
		}
	puts("SUCCESS");
	return 0;
}
