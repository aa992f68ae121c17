/* Deadlines of poll, select and epoll: 0 means do not wait, FOREVER never. */
#ifndef SARAB_POLL_H
#define SARAB_POLL_H

#include "kernel.h"

int64_t poll_deadline_milliseconds(uint64_t argument); /* a C int; negative: forever */
int poll_deadline_timespec(uint64_t address, int64_t *deadline); /* address 0: forever */

#endif
