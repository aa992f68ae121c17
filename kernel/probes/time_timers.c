/* Interval timers and POSIX timers come when they should, as often as they should, to whom they should. SUCCESS */
#include "check.h"
#include <sys/time.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

static volatile int count, overruns, last_value, last_thread;
static volatile sig_atomic_t other_count;

static void counts(int signal, siginfo_t *info, void *context)
{
	(void)signal, (void)context;
	count++;
	overruns += info->si_overrun;
	last_value = info->si_value.sival_int;
	last_thread = gettid();
}

static void counts_other(int signal, siginfo_t *info, void *context)
{
	(void)signal, (void)info, (void)context;
	other_count++;
}

static void interval_timers(void)
{
	struct itimerval setting = {{0, 10000}, {0, 10000}}, old, none = {{0, 0}, {0, 0}};
	handle(SIGALRM, counts_other, SA_RESTART);
	int64_t before = now();
	CHECK(setitimer(ITIMER_REAL, &setting, NULL) == 0);
	while (other_count < 10)
		pause();
	CHECK(now() - before >= 99 * MILLISECOND && now() - before < 2000 * MILLISECOND);
	CHECK(getitimer(ITIMER_REAL, &old) == 0 && old.it_interval.tv_usec == 10000 && old.it_value.tv_usec <= 10000);
	CHECK(setitimer(ITIMER_REAL, &none, &old) == 0 && old.it_interval.tv_usec == 10000);
	CHECK(getitimer(ITIMER_REAL, &old) == 0 && old.it_value.tv_usec == 0 && old.it_value.tv_sec == 0);
	CHECK(alarm(100) == 0 && alarm(0) == 100);
	CHECK(setitimer(7, &setting, NULL) == -1 && errno == EINVAL);

	/* On CPU time: not while nobody computes. */
	other_count = 0;
	handle(SIGPROF, counts_other, SA_RESTART);
	CHECK(setitimer(ITIMER_PROF, &setting, NULL) == 0);
	sleep_ns(100 * MILLISECOND);
	CHECK(other_count <= 2);
	int64_t used = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	before = now();
	other_count = 0;
	while (other_count < 5)
		CHECK(now() - before < 5 * SECOND);
	CHECK(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - used >= 35 * MILLISECOND);
	CHECK(setitimer(ITIMER_PROF, &none, NULL) == 0);
	other_count = 0;
	handle(SIGVTALRM, counts_other, SA_RESTART);
	setting.it_interval.tv_usec = 0;
	CHECK(setitimer(ITIMER_VIRTUAL, &setting, NULL) == 0);
	before = now();
	while (other_count < 1)
		CHECK(now() - before < 5 * SECOND);
}

static void posix_timers(void)
{
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN, .sigev_value.sival_int = 4711};
	struct itimerspec setting = {timespec_of(5 * MILLISECOND), timespec_of(5 * MILLISECOND)}, left;
	timer_t timer, many[100];
	sigset_t set;
	handle(SIGRTMIN, counts, SA_RESTART);
	CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0 && timer_settime(timer, 0, &setting, NULL) == 0);
	while (count < 4)
		pause();
	CHECK(last_value == 4711);
	CHECK(timer_gettime(timer, &left) == 0 && left.it_interval.tv_nsec == 5 * MILLISECOND && left.it_value.tv_nsec <= 5 * MILLISECOND);

	/* Blocked for a while: one signal, and how many it stands for. */
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	CHECK(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
	sleep_ns(60 * MILLISECOND);
	count = overruns = 0;
	CHECK(pthread_sigmask(SIG_UNBLOCK, &set, NULL) == 0);
	CHECK(count >= 1 && count <= 2 && overruns >= 8 && overruns < 30 && timer_getoverrun(timer) >= 0);
	CHECK(timer_delete(timer) == 0 && timer_settime(timer, 0, &setting, NULL) == -1 && errno == EINVAL);
	count = 0;
	sleep_ns(20 * MILLISECOND);
	CHECK(count == 0);

	/* Once, at a time of the realtime clock, to this thread. */
	event.sigev_notify = SIGEV_THREAD_ID;
	event.sigev_notify_thread_id = gettid();
	CHECK(timer_create(CLOCK_REALTIME, &event, &timer) == 0);
	int64_t at = clock_ns(CLOCK_REALTIME) + 20 * MILLISECOND;
	setting = (struct itimerspec){{0, 0}, timespec_of(at)};
	CHECK(timer_settime(timer, TIMER_ABSTIME, &setting, NULL) == 0);
	while (count < 1)
		pause();
	CHECK(clock_ns(CLOCK_REALTIME) >= at && last_thread == gettid() && timer_delete(timer) == 0);

	/* On this thread's CPU time. */
	count = 0;
	event.sigev_notify = SIGEV_SIGNAL;
	CHECK(timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &timer) == 0);
	setting = (struct itimerspec){{0, 0}, timespec_of(20 * MILLISECOND)};
	int64_t before = now(), used = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	CHECK(timer_settime(timer, 0, &setting, NULL) == 0);
	while (count < 1)
		CHECK(now() - before < 5 * SECOND);
	CHECK(clock_ns(CLOCK_THREAD_CPUTIME_ID) - used >= 15 * MILLISECOND && timer_delete(timer) == 0);

	/* A hundred at once. */
	count = 0;
	for (int i = 0; i < 100; i++) {
		setting = (struct itimerspec){{0, 0}, timespec_of((1 + i * 37 % 50) * MILLISECOND)};
		CHECK(timer_create(CLOCK_MONOTONIC, &event, &many[i]) == 0 && timer_settime(many[i], 0, &setting, NULL) == 0);
	}
	before = now();
	while (count < 100 && now() - before < 2 * SECOND)
		sleep_ns(MILLISECOND);
	CHECK(count == 100);
	for (int i = 0; i < 100; i++)
		CHECK(timer_delete(many[i]) == 0);
	event.sigev_notify = SIGEV_NONE;
	CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0 && timer_settime(timer, 0, &setting, NULL) == 0);
	sleep_ns(60 * MILLISECOND);
	CHECK(timer_gettime(timer, &left) == 0 && left.it_value.tv_nsec == 0 && count == 100 && timer_delete(timer) == 0);
}

int main(void)
{
	interval_timers();
	posix_timers();
	puts("SUCCESS");
	return 0;
}
