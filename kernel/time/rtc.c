/* The battery clock of the PC (MC146818): the time of day, to the second. */
#include "cpu/cpu.h"
#include "time/calendar.h"
#include "time/clock.h"

#define INDEX 0x70
#define DATA 0x71
#define SECONDS 0
#define MINUTES 2
#define HOURS 4
#define DAY 7
#define MONTH 8
#define YEAR 9
#define STATUS_A 10
#define STATUS_B 11
#define CENTURY 0x32 /* where every PC of this century has it; checked before it is believed */
#define UPDATING 0x80
#define BINARY 0x04
#define HOURS_24 0x02
#define AFTERNOON 0x80
#define TRIES 10000

static uint8_t rtc_register(uint8_t index)
{
	out8(INDEX, index);
	return in8(DATA);
}

struct rtc {
	uint8_t second, minute, hour, day, month, year, century;
};

static bool rtc_snapshot(struct rtc *r)
{
	unsigned tries = 0;
	while (rtc_register(STATUS_A) & UPDATING)
		if (++tries == TRIES)
			return false;
	r->second = rtc_register(SECONDS);
	r->minute = rtc_register(MINUTES);
	r->hour = rtc_register(HOURS);
	r->day = rtc_register(DAY);
	r->month = rtc_register(MONTH);
	r->year = rtc_register(YEAR);
	r->century = rtc_register(CENTURY);
	return true;
}

static unsigned decode(uint8_t value, bool binary)
{
	return binary ? value : (value >> 4) * 10u + (value & 15);
}

int64_t rtc_read(void)
{
	struct rtc a, b;
	unsigned tries = 0;

	if (rtc_register(STATUS_A) == 0xff)
		return -1; /* nobody answers */
	/* Two equal readings: no update came between. */
	do {
		if (!rtc_snapshot(&a) || !rtc_snapshot(&b) || ++tries == 100)
			return -1;
	} while (memcmp(&a, &b, sizeof a) != 0);

	uint8_t status = rtc_register(STATUS_B);
	bool binary = status & BINARY;
	unsigned hour = decode(a.hour & 0x7f, binary), century = decode(a.century, binary);
	unsigned day = decode(a.day, binary), month = decode(a.month, binary), year = decode(a.year, binary);
	unsigned minute = decode(a.minute, binary), second = decode(a.second, binary);
	if ((status & HOURS_24) == 0)
		hour = hour % 12 + (a.hour & AFTERNOON ? 12 : 0);
	if (day < 1 || day > 31 || month < 1 || month > 12 || year > 99 || hour > 23 || minute > 59 || second > 60)
		return -1; /* no clock, or none that was ever set */
	year += century >= 20 && century <= 29 ? century * 100 : 2000;

	int64_t seconds = days_since_1970((int)year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
	/* It may be anywhere in its second: the middle is wrong by half a second at most. */
	return seconds * (int64_t)NANOSECONDS + (int64_t)NANOSECONDS / 2;
}
