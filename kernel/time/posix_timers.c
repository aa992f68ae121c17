/* timer_create(2) and its family: timers with an identity, that send a signal or nothing. */
#include <linux/time.h>

#include "kernel.h"
#include "personality/syscalls.h"
#include "thread/signal.h"
#include "thread/thread.h"
#include "time/clock.h"

#ifndef TIMER_ABSTIME
#define TIMER_ABSTIME 1
#endif
#define TIMERS_MAX 256 /* of the process: an identity is an index */
#define OVERRUN_MAX INT32_MAX /* DELAYTIMER_MAX */
/* A timer whose signal nobody takes comes again no sooner, whatever its interval: all of them together must leave time to the program. */
#define UNHEARD_GRAIN 1000000

struct posix_timer {
	int id, clock, notify;
	int64_t interval;
	int64_t at;		/* on its clock; 0: not set */
	struct timer timer;	/* for clocks of time */
	struct cpu_timer cpu_timer; /* for clocks of CPU time */
	bool realtime;		/* at is absolute on the realtime clock, which may be set */
	struct thread *thread;	/* SIGEV_THREAD_ID; NULL: the process */
	bool thread_gone;
	struct signal_entry entry;
	bool queued;
	int64_t pending_overrun, last_overrun; /* expirations while it was queued; of the last one delivered */
};

static struct posix_timer *timers[TIMERS_MAX];

static bool is_cpu_clock(int clock)
{
	return clock < 0 || clock == CLOCK_PROCESS_CPUTIME_ID || clock == CLOCK_THREAD_CPUTIME_ID;
}

static bool is_realtime(int clock)
{
	return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_ALARM || clock == CLOCK_TAI;
}

static int64_t clock_now(const struct posix_timer *t)
{
	int64_t now = 0;
	clock_read(t->clock, &now); /* a thread that has ended: its clock stands at 0, and the timer never comes */
	return now;
}

static int64_t advance(struct posix_timer *t, int64_t now);
static void arm(struct posix_timer *t, int64_t earliest);

/* The next expiration is waited for from now on: a timer that is faster than its signals are taken costs no interrupts meanwhile. */
static void entry_taken(struct signal_entry *entry)
{
	struct posix_timer *t = CONTAINER_OF(entry, struct posix_timer, entry);
	t->queued = false;
	if (t->at != 0 && !is_cpu_clock(t->clock) && !t->timer.armed) {
		int64_t now = t->realtime ? time_realtime() : time_monotonic();
		int64_t expirations = now >= t->at ? advance(t, now) : 0;
		t->pending_overrun = MIN(t->pending_overrun + expirations, OVERRUN_MAX);
		arm(t, time_monotonic() + TIMER_GRAIN);
	}
	t->last_overrun = t->pending_overrun;
	t->pending_overrun = 0;
	entry->info.si_overrun = (int)t->last_overrun;
}

static void notify(struct posix_timer *t, int64_t expirations)
{
	if (t->notify == SIGEV_NONE || t->thread_gone)
		return;
	if (t->queued) {
		t->pending_overrun = MIN(t->pending_overrun + expirations, OVERRUN_MAX);
		return;
	}
	t->pending_overrun = MIN(expirations - 1, OVERRUN_MAX);
	t->queued = signal_send_entry(t->thread, &t->entry);
}

/* Moves `at` past now; how often it has expired. Behind the end of time nothing comes any more. */
static int64_t advance(struct posix_timer *t, int64_t now)
{
	if (t->interval == 0) {
		t->at = 0;
		return 1;
	}
	int64_t expirations = (now - t->at) / t->interval + 1;
	if (__builtin_add_overflow(t->at, expirations * t->interval, &t->at))
		t->at = FOREVER;
	return expirations;
}

static void arm(struct posix_timer *t, int64_t earliest)
{
	timer_set(&t->timer, MAX(t->realtime ? deadline_of_realtime(t->at) : t->at, earliest));
}

static void expired(struct timer *timer)
{
	struct posix_timer *t = CONTAINER_OF(timer, struct posix_timer, timer);
	int64_t now = t->realtime ? time_realtime() : time_monotonic();
	if (now >= t->at)
		notify(t, advance(t, now));
	if (t->at != 0 && !t->queued)
		arm(t, time_monotonic() + UNHEARD_GRAIN);
}

static int64_t cpu_left(struct cpu_timer *cpu_timer)
{
	struct posix_timer *t = CONTAINER_OF(cpu_timer, struct posix_timer, cpu_timer);
	return t->at - clock_now(t);
}

static void cpu_due(struct cpu_timer *cpu_timer)
{
	struct posix_timer *t = CONTAINER_OF(cpu_timer, struct posix_timer, cpu_timer);
	notify(t, advance(t, clock_now(t)));
	if (t->at == 0)
		cpu_timer_stop(cpu_timer);
}

static void disarm(struct posix_timer *t)
{
	timer_cancel(&t->timer);
	cpu_timer_stop(&t->cpu_timer);
	t->at = 0;
}

static struct posix_timer *timer_by_id(uint64_t id)
{
	return id < TIMERS_MAX ? timers[id] : NULL;
}

void posix_timers_clock_set(void)
{
	for (int i = 0; i < TIMERS_MAX; i++)
		if (timers[i] != NULL && timers[i]->realtime && timers[i]->at != 0 && !timers[i]->queued)
			arm(timers[i], 0);
}

void posix_timers_thread_gone(const struct thread *thread)
{
	for (int i = 0; i < TIMERS_MAX; i++) {
		struct posix_timer *t = timers[i];
		if (t == NULL || t->thread != thread)
			continue;
		if (t->queued)
			signal_entry_cancel(&t->entry, t->thread);
		t->queued = false;
		t->thread = NULL;
		t->thread_gone = true;
	}
}

/* ---- system calls ------------------------------------------------------------------------------------------------------------------ */

static int event_check(const struct sigevent *event, struct posix_timer *t)
{
	t->notify = event->sigev_notify;
	if (t->notify == SIGEV_NONE)
		return 0;
	if (event->sigev_signo < 1 || event->sigev_signo > SIGNAL_MAX)
		return -EINVAL;
	if (t->notify == (SIGEV_SIGNAL | SIGEV_THREAD_ID)) {
		t->thread = thread_find(event->sigev_notify_thread_id);
		return t->thread != NULL ? 0 : -EINVAL;
	}
	/* SIGEV_THREAD is the C library's affair: it asks for SIGEV_THREAD_ID. */
	return t->notify == SIGEV_SIGNAL ? 0 : -EINVAL;
}

int64_t sys_timer_create(const uint64_t *argument)
{
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
	int64_t now;
	int id = 0;

	int error = clock_read((int)argument[0], &now);
	if (error != 0)
		return error;
	if (argument[1] != 0 && GET_USER(event, argument[1]) != 0)
		return -EFAULT;
	while (id < TIMERS_MAX && timers[id] != NULL)
		id++;
	if (id == TIMERS_MAX)
		return -EAGAIN;
	struct posix_timer *t = allocate(sizeof *t);
	if (t == NULL)
		return -EAGAIN;
	t->id = id;
	t->clock = (int)argument[0];
	if (t->clock == CLOCK_THREAD_CPUTIME_ID) /* the creator's, whoever asks later */
		t->clock = (int)(~(unsigned)current->tid << 3 | 6);
	t->timer.expired = expired;
	t->cpu_timer.left = cpu_left;
	t->cpu_timer.due = cpu_due;
	error = event_check(&event, t);
	if (error == 0 && PUT_USER(argument[2], id) != 0)
		error = -EFAULT;
	if (error != 0) {
		release(t);
		return error;
	}
	list_init(&t->entry.node);
	t->entry.taken = entry_taken;
	t->entry.info.si_signo = event.sigev_signo;
	t->entry.info.si_code = SI_TIMER;
	t->entry.info.si_tid = id;
	if (argument[1] != 0)
		t->entry.info.si_value = event.sigev_value;
	else
		t->entry.info.si_int = id;
	timers[id] = t;
	return 0;
}

static int remaining_write(struct posix_timer *t, uint64_t address)
{
	int64_t left = 0;
	if (t->at != 0) {
		int64_t now = is_cpu_clock(t->clock) ? clock_now(t) : t->realtime ? time_realtime() : time_monotonic();
		left = MAX(t->at - now, 1); /* 0 would say that it is not set */
		if (t->interval != 0 && now >= t->at) /* nobody has taken its signal yet */
			left = t->interval - (now - t->at) % t->interval;
	}
	return timespec_write(address, t->interval) != 0 || timespec_write(address + sizeof(struct timespec), left) != 0 ? -EFAULT : 0;
}

int64_t sys_timer_settime(const uint64_t *argument)
{
	struct posix_timer *t = timer_by_id(argument[0]);
	bool absolute = argument[1] & TIMER_ABSTIME;
	int64_t interval, value;

	if (t == NULL || argument[2] == 0)
		return -EINVAL;
	int error = timespec_read(argument[2], &interval);
	if (error == 0)
		error = timespec_read(argument[2] + sizeof(struct timespec), &value);
	if (error == 0 && argument[3] != 0)
		error = remaining_write(t, argument[3]);
	if (error != 0)
		return error;

	disarm(t);
	if (t->queued) {
		signal_entry_cancel(&t->entry, t->thread);
		t->queued = false;
	}
	t->pending_overrun = t->last_overrun = 0;
	t->interval = interval;
	t->realtime = absolute && is_realtime(t->clock);
	if (value == 0)
		return 0;
	if (is_cpu_clock(t->clock)) {
		int64_t now = clock_now(t);
		t->at = absolute ? value : value >= FOREVER - now ? FOREVER : now + value;
		cpu_timer_start(&t->cpu_timer);
	} else {
		t->at = absolute ? value : deadline_after(value);
		arm(t, 0);
	}
	return 0;
}

int64_t sys_timer_gettime(const uint64_t *argument)
{
	struct posix_timer *t = timer_by_id(argument[0]);
	return t != NULL ? remaining_write(t, argument[1]) : -EINVAL;
}

int64_t sys_timer_getoverrun(const uint64_t *argument)
{
	struct posix_timer *t = timer_by_id(argument[0]);
	return t != NULL ? t->last_overrun : -EINVAL;
}

int64_t sys_timer_delete(const uint64_t *argument)
{
	struct posix_timer *t = timer_by_id(argument[0]);
	if (t == NULL)
		return -EINVAL;
	disarm(t);
	if (t->queued)
		signal_entry_cancel(&t->entry, t->thread);
	timers[t->id] = NULL;
	release(t);
	return 0;
}
