/* Between the files of time/, and for the scheduler. */
#ifndef SARAB_CLOCK_H
#define SARAB_CLOCK_H

#include "kernel.h"
#include "time/scale.h"

struct thread;

extern uint64_t tsc_frequency;	 /* Hz */
extern struct scale tsc_scale;	 /* time stamp counter cycles to nanoseconds */
void clock_init(void);		 /* clock.c: the monotonic and the realtime clock */
void clock_set_realtime(int64_t realtime);

struct calibration {
	uint64_t tsc_frequency, lapic_frequency; /* Hz; the timer's with divisor 1. 0: not known */
};
/* Measures with the 8254; what is 0 on entry is filled in. False if the machine has none. */
bool calibrate(struct calibration *c);
void calibrate_lapic(struct calibration *c, uint64_t tsc_hz); /* with a counter that is known already */
#define CALIBRATION_NANOSECONDS 2000000 /* a boot waits for it; measured: right to 30 millionths */

bool kvmclock_init(void); /* true: usable, and started */
int64_t kvmclock_read(void);
int64_t kvmclock_boot_realtime(void); /* the realtime when kvmclock_read() was 0 */
uint64_t kvmclock_tsc_frequency(void);

/* Any clock of clock_gettime(2), by its number. -EINVAL: there is no such clock. */
int clock_read(int clock, int64_t *now);
int cpu_clock_read(int clock, int64_t *now);
void posix_timers_clock_set(void); /* the realtime clock has jumped */

int64_t rtc_read(void); /* the battery clock, nanoseconds since 1970; -1: there is none */

/* A timer that sets itself again does so no sooner: one that is due when its own interrupt returns would let nobody run any more. */
#define TIMER_GRAIN 100000

void timers_init(uint64_t lapic_frequency); /* 0: by time stamp counter deadline */

/* CPU time, nanoseconds. */
struct cpu_time {
	int64_t user, system;
};
struct cpu_time thread_cpu_time(struct thread *t);
struct cpu_time process_cpu_time(void);
void process_cpu_time_add(const struct thread *t); /* a thread that ends */

/* Timers on CPU time (interval.c, posix_timers.c) are looked at only while some thread runs. */
struct cpu_timer {
	struct list node;
	struct timer timer;
	int64_t (*left)(struct cpu_timer *);  /* CPU time until it is due; 0 or less: now */
	void (*due)(struct cpu_timer *);      /* may start it again */
	bool active;
};
void cpu_timer_start(struct cpu_timer *t);
void cpu_timer_stop(struct cpu_timer *t);
void cpu_timers_idle(bool idle);

#endif
