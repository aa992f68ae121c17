/* Time: helpers for system calls that take times, and what the other rooms may ask of the clocks. Nanoseconds everywhere. */
#ifndef SARAB_TIME_H
#define SARAB_TIME_H

#include "kernel.h"

/* Finds clocks and timer of the machine. After apic_init(). */
void time_init(void);
/* The timer's interrupt. */
void timer_interrupt(void);

/* Maps the vDSO into the application, read-only. Its ELF header's address for AT_SYSINFO_EHDR; 0: without memory. */
uint64_t vdso_map(void);

/* Reads a struct timespec or timeval as nanoseconds (saturating). -EFAULT; -EINVAL for what is negative or not normalized. */
int timespec_read(uint64_t address, int64_t *nanoseconds);
int timeval_read(uint64_t address, int64_t *nanoseconds);
int timespec_write(uint64_t address, int64_t nanoseconds);
int timeval_write(uint64_t address, int64_t nanoseconds);

/* The monotonic time that is so far from now; FOREVER at most. */
int64_t deadline_after(int64_t nanoseconds);
/* The monotonic time of a realtime; FOREVER at most, 0 at least. */
int64_t deadline_of_realtime(int64_t realtime);

/* Woken when somebody sets the realtime clock: who waits for a realtime must think again. */
extern struct wait_queue clock_was_set;

#endif
