/* What the probes of threads, signals and time share. */
#ifndef CHECK_H
#define CHECK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define CHECK(condition)                                                                                                       \
	do                                                                                                                     \
		if (!(condition)) {                                                                                            \
			printf("%s:%d: %s (errno %d)\n", __FILE__, __LINE__, #condition, errno);                               \
			exit(1);                                                                                               \
		}                                                                                                              \
	while (0)
#define MILLISECOND 1000000ll
#define SECOND 1000000000ll

static inline int64_t clock_ns(clockid_t clock)
{
	struct timespec t;
	CHECK(clock_gettime(clock, &t) == 0);
	return t.tv_sec * SECOND + t.tv_nsec;
}

static inline int64_t now(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

static inline struct timespec timespec_of(int64_t nanoseconds)
{
	return (struct timespec){.tv_sec = nanoseconds / SECOND, .tv_nsec = nanoseconds % SECOND};
}

static inline void sleep_ns(int64_t nanoseconds)
{
	struct timespec t = timespec_of(nanoseconds);
	while (nanosleep(&t, &t) != 0)
		CHECK(errno == EINTR);
}

static inline pthread_t start(void *(*function)(void *), void *argument)
{
	pthread_t t;
	pthread_attr_t attributes;
	/* Memory for the whole stack must be there, and the default is 8 MiB here. */
	CHECK(pthread_attr_init(&attributes) == 0 && pthread_attr_setstacksize(&attributes, 262144) == 0);
	CHECK(pthread_create(&t, &attributes, function, argument) == 0);
	return t;
}

static inline void handle(int signal, void (*handler)(int, siginfo_t *, void *), int flags)
{
	struct sigaction action = {.sa_sigaction = handler, .sa_flags = flags | SA_SIGINFO};
	CHECK(sigaction(signal, &action, NULL) == 0);
}

#endif
