/* The arithmetic of calibration, apart from the devices: tested on the host. */
#ifndef SARAB_CALIBRATE_H
#define SARAB_CALIBRATE_H

#include <stdint.h>

#define PIT_FREQUENCY 1193182u
#define CALIBRATION_SAMPLES 16

struct pit_sample {
	uint64_t before, after; /* cycle counter around the reading */
	uint32_t elapsed;	/* ticks of the 8254 since it was started, rounded down */
};

/* Cycles at which the first sample's tick began, from all samples of one end. rate: cycles a tick, 16 fraction bits. */
static inline uint64_t calibration_edge(const struct pit_sample *s, uint64_t rate)
{
	uint64_t earliest = 0, latest = UINT64_MAX;
	for (unsigned i = 0; i < CALIBRATION_SAMPLES; i++) {
		uint64_t ticks = s[i].elapsed - s[0].elapsed;
		uint64_t low = s[i].before - ((ticks + 1) * rate >> 16), high = s[i].after - (ticks * rate >> 16);
		earliest = low > earliest ? low : earliest;
		latest = high < latest ? high : latest;
	}
	return earliest + ((int64_t)(latest - earliest)) / 2;
}

/* Cycles a second; 0: the samples make no sense. */
static inline uint64_t calibration_frequency(const struct pit_sample *start, const struct pit_sample *end)
{
	uint64_t ticks = end[0].elapsed - start[0].elapsed;
	if (end[0].elapsed <= start[0].elapsed || end[0].before <= start[0].before)
		return 0;
	uint64_t rate = ((end[0].before - start[0].before) << 16) / ticks;
	uint64_t cycles = calibration_edge(end, rate) - calibration_edge(start, rate);
	return cycles * PIT_FREQUENCY / ticks;
}

#endif
