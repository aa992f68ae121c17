/* One unit of time to another: a multiplication by a 128-bit fraction. Shared with the vDSO, and tested on the host. */
#ifndef SARAB_SCALE_H
#define SARAB_SCALE_H

#include <stdint.h>

/* 8 bits before the point: ratios up to 256 (from 4 MHz to 1 GHz), with a relative error of 2^-48 in the worst case. */
#define SCALE_SHIFT 56

struct scale {
	uint64_t multiplier;
};

static inline uint64_t scale_apply(struct scale scale, uint64_t value)
{
	return (uint64_t)((unsigned __int128)value * scale.multiplier >> SCALE_SHIFT);
}

/* to / from as a fraction; from * 128 > to. */
static inline struct scale scale_make(uint64_t from, uint64_t to)
{
	struct scale scale;
	uint64_t remainder, high = to >> (64 - SCALE_SHIFT), low = to << SCALE_SHIFT;
	if (high >= from) /* out of range: the quotient would not fit */
		high = from - 1;
	__asm__("divq %4" : "=a"(scale.multiplier), "=d"(remainder) : "a"(low), "d"(high), "r"(from) : "cc");
	(void)remainder;
	return scale;
}

#endif
