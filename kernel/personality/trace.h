/* The option trace: system calls on the console, as strace prints them. */
#ifndef SARAB_TRACE_H
#define SARAB_TRACE_H

#include "kernel.h"

/* One line for a call that is over. format as in syscalls.h; name NULL: unknown. */
void trace_call(uint64_t number, const char *name, const char *format, const uint64_t *argument, int64_t result);
void trace_no_return(const char *name, const char *format, const uint64_t *argument);
const char *error_name(int error); /* "ENOENT"; NULL: none */

#endif
