/* Signals: actions and their flags, masks, queues, waiting, restart of system calls. SUCCESS */
#include "check.h"
#include <sys/time.h>

static volatile int count, raised, depth, deepest, order[32];
static volatile siginfo_t last;

static void counts(int signal, siginfo_t *info, void *context)
{
	(void)context;
	if (count < 32)
		order[count] = signal * 1000 + info->si_value.sival_int;
	count++;
	last = *info;
}

static void recurses(int signal, siginfo_t *info, void *context)
{
	(void)info, (void)context;
	depth++;
	deepest = depth > deepest ? depth : deepest;
	if (++raised < 3)
		raise(signal);
	depth--;
	count++;
}

static void mask_set(int how, int signal)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, signal);
	CHECK(pthread_sigmask(how, &set, NULL) == 0);
}

static void actions(void)
{
	struct sigaction old;
	handle(SIGUSR1, counts, 0);
	CHECK(raise(SIGUSR1) == 0 && count == 1 && last.si_code == SI_TKILL && last.si_pid == getpid());
	CHECK(kill(getpid(), SIGUSR1) == 0 && count == 2 && last.si_code == SI_USER);
	CHECK(kill(getpid(), 0) == 0 && kill(getpid(), 65) == -1 && errno == EINVAL);
	CHECK(kill(999999, SIGUSR1) == -1 && errno == ESRCH);
	CHECK(sigaction(SIGUSR1, NULL, &old) == 0 && old.sa_sigaction == counts && (old.sa_flags & SA_SIGINFO));
	CHECK(sigaction(SIGKILL, &old, NULL) == -1 && errno == EINVAL);

	handle(SIGUSR1, counts, SA_RESETHAND);
	count = 0;
	raise(SIGUSR1);
	CHECK(count == 1 && sigaction(SIGUSR1, NULL, &old) == 0 && old.sa_handler == SIG_DFL);

	/* Blocked while its handler runs, unless told otherwise. */
	count = deepest = raised = 0;
	handle(SIGUSR2, recurses, 0);
	raise(SIGUSR2);
	CHECK(deepest == 1 && count == 3);
	count = deepest = raised = 0;
	handle(SIGUSR2, recurses, SA_NODEFER);
	raise(SIGUSR2);
	CHECK(deepest == 3 && count == 3);

	signal(SIGUSR1, SIG_IGN);
	raise(SIGUSR1);
	raise(SIGCHLD);
	raise(SIGWINCH);
}

static void queues(void)
{
	sigset_t pending;
	count = 0;
	handle(SIGUSR1, counts, 0);
	handle(SIGRTMIN + 1, counts, 0);
	handle(SIGRTMIN + 2, counts, 0);
	mask_set(SIG_BLOCK, SIGUSR1);
	mask_set(SIG_BLOCK, SIGRTMIN + 1);
	mask_set(SIG_BLOCK, SIGRTMIN + 2);
	raise(SIGUSR1);
	raise(SIGUSR1);
	for (int i = 0; i < 3; i++) {
		CHECK(sigqueue(getpid(), SIGRTMIN + 2, (union sigval){.sival_int = i}) == 0);
		CHECK(sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = i}) == 0);
	}
	CHECK(count == 0 && sigpending(&pending) == 0 && sigismember(&pending, SIGUSR1) && sigismember(&pending, SIGRTMIN + 1));
	mask_set(SIG_UNBLOCK, SIGUSR1);
	CHECK(count == 1); /* a standard signal once */
	count = 0;
	mask_set(SIG_UNBLOCK, SIGRTMIN + 1);
	CHECK(count == 3 && order[0] % 1000 == 0 && order[1] % 1000 == 1 && order[2] % 1000 == 2);
	CHECK(last.si_code == SI_QUEUE && last.si_pid == getpid());
	mask_set(SIG_UNBLOCK, SIGRTMIN + 2);
	CHECK(count == 6);

	/* Ignoring forgets what waits. */
	mask_set(SIG_BLOCK, SIGUSR1);
	raise(SIGUSR1);
	signal(SIGUSR1, SIG_IGN);
	handle(SIGUSR1, counts, 0);
	count = 0;
	mask_set(SIG_UNBLOCK, SIGUSR1);
	CHECK(count == 0);
}

static void waits(void)
{
	sigset_t set, none;
	siginfo_t info;
	struct timespec t = timespec_of(20 * MILLISECOND);
	sigemptyset(&none);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGCHLD);
	mask_set(SIG_BLOCK, SIGUSR1);
	mask_set(SIG_BLOCK, SIGCHLD);
	int64_t before = now();
	CHECK(sigtimedwait(&set, &info, &t) == -1 && errno == EAGAIN && now() - before >= 20 * MILLISECOND);
	raise(SIGUSR1);
	CHECK(sigtimedwait(&set, &info, &t) == SIGUSR1 && info.si_signo == SIGUSR1);
	kill(getpid(), SIGCHLD); /* its default ignores it, but it is waited for */
	int signal;
	CHECK(sigwait(&set, &signal) == 0 && signal == SIGCHLD);
	/* sigsuspend: the handler runs with the mask that was suspended, and afterwards it is as before. */
	count = 0;
	raise(SIGUSR1);
	CHECK(count == 0 && sigsuspend(&none) == -1 && errno == EINTR && count == 1);
	CHECK(pthread_sigmask(SIG_SETMASK, NULL, &set) == 0 && sigismember(&set, SIGUSR1));
	mask_set(SIG_UNBLOCK, SIGUSR1);
	mask_set(SIG_UNBLOCK, SIGCHLD);
}

static void *kicks(void *to)
{
	sleep_ns(30 * MILLISECOND);
	CHECK(pthread_kill(*(pthread_t *)to, SIGUSR1) == 0);
	return NULL;
}

static void *kicks_and_writes(void *to)
{
	int *arguments = to;
	sleep_ns(30 * MILLISECOND);
	CHECK(syscall(SYS_tgkill, getpid(), getpid(), SIGUSR1) == 0);
	sleep_ns(30 * MILLISECOND);
	CHECK(write(arguments[1], "x", 1) == 1);
	return NULL;
}

static void restarts(void)
{
	pthread_t self = pthread_self();
	int fds[2];
	char c;
	CHECK(pipe(fds) == 0);

	count = 0;
	handle(SIGUSR1, counts, 0);
	pthread_t t = start(kicks_and_writes, fds);
	CHECK(read(fds[0], &c, 1) == -1 && errno == EINTR && count == 1);
	CHECK(pthread_join(t, NULL) == 0 && read(fds[0], &c, 1) == 1);
	handle(SIGUSR1, counts, SA_RESTART);
	t = start(kicks_and_writes, fds);
	CHECK(read(fds[0], &c, 1) == 1 && c == 'x' && count == 2);
	CHECK(pthread_join(t, NULL) == 0);

	/* A sleep is never restarted, and tells what was left. */
	struct timespec request = timespec_of(200 * MILLISECOND), left = {0, 0};
	t = start(kicks, &self);
	CHECK(nanosleep(&request, &left) == -1 && errno == EINTR);
	CHECK(left.tv_sec == 0 && left.tv_nsec > 100 * MILLISECOND && left.tv_nsec < 180 * MILLISECOND);
	CHECK(pthread_join(t, NULL) == 0);
	t = start(kicks, &self);
	CHECK(pause() == -1 && errno == EINTR && pthread_join(t, NULL) == 0);

	/* A signal that is ignored disturbs nobody. */
	signal(SIGUSR1, SIG_IGN);
	t = start(kicks, &self);
	int64_t before = now();
	CHECK(nanosleep(&request, &left) == 0 && now() - before >= 200 * MILLISECOND);
	CHECK(pthread_join(t, NULL) == 0);
}

static volatile int taken_by;

static void takes(int signal, siginfo_t *info, void *context)
{
	(void)signal, (void)info, (void)context;
	taken_by = gettid();
}

static void *takes_for_all(void *ready)
{
	sigset_t set;
	sigfillset(&set);
	sigdelset(&set, SIGUSR2);
	CHECK(pthread_sigmask(SIG_SETMASK, &set, NULL) == 0);
	*(volatile int *)ready = gettid();
	while (!taken_by)
		sleep_ns(MILLISECOND);
	return NULL;
}

/* A signal of the process goes to a thread that does not block it. */
static void chooses(void)
{
	volatile int ready = 0;
	handle(SIGUSR2, takes, 0);
	mask_set(SIG_BLOCK, SIGUSR2);
	pthread_t t = start(takes_for_all, (void *)&ready);
	while (!ready)
		sleep_ns(MILLISECOND);
	kill(getpid(), SIGUSR2);
	CHECK(pthread_join(t, NULL) == 0 && taken_by == ready);
	mask_set(SIG_UNBLOCK, SIGUSR2);
}

int main(void)
{
	actions();
	queues();
	waits();
	restarts();
	chooses();
	puts("SUCCESS");
	return 0;
}
