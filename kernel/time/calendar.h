/* The Gregorian calendar, as far as a battery clock needs it. Tested on the host. */
#ifndef SARAB_CALENDAR_H
#define SARAB_CALENDAR_H

#include <stdint.h>

/* month 1..12, day 1..31; from 1970 on. */
static inline int64_t days_since_1970(int year, unsigned month, unsigned day)
{
	/* Years that begin in March have their leap day at the end. */
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t month_from_march = (month + 9) % 12;
	return y * 365 + y / 4 - y / 100 + y / 400 + (month_from_march * 153 + 2) / 5 + (int64_t)day - 1 - 719468;
}

#endif
