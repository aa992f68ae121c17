/* The order of boot, and the parts of it that main.c calls. */
#ifndef SARAB_BOOT_H
#define SARAB_BOOT_H

#include "kernel.h"

#define BOOT_PVH 0
#define BOOT_PARAMS 1

_Noreturn void boot_main(unsigned protocol, uint64_t information);
extern uint64_t boot_tsc; /* the time stamp counter at kernel entry */

/* Fills boot_information from what the loader left at a physical address below 1 GiB. */
void boot_information_read(unsigned protocol, uint64_t physical);

/* The start file and the command line become the first program's arguments and environment. */
struct program {
	const char *exec, *cwd;
	char *arguments;	   /* NUL-separated */
	size_t arguments_length, argument_count;
	char *environment;	   /* NUL-separated */
	size_t environment_length, environment_count;
};
void program_read(struct program *program);

/* Maps the program and its interpreter, builds its stack, enters ring 3 as thread 1. */
_Noreturn void program_start(const struct program *program);

#endif
