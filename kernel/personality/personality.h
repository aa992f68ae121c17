/* What the start of a program tells the personality. */
#ifndef SARAB_PERSONALITY_H
#define SARAB_PERSONALITY_H

#include "kernel.h"

/* For /proc/self: NUL-separated strings, copied. Lengths in bytes. */
void process_describe(const char *exe, const char *arguments, size_t arguments_length, const char *environment,
		      size_t environment_length, const uint64_t *auxv, size_t auxv_length);

/* The working directory at the start; absolute. 0, -ENOENT, -ENOTDIR. */
int process_start_in(const char *path);

#endif
