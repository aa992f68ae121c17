/* How fast do the time stamp counter and the local APIC's timer run? Measured against the 8254, whose rate is known.
 *
 * A reading of the 8254 says only that its time is within one tick (838 ns), and that the reading happened between two readings of
 * the counter. Each of SAMPLES readings at both ends of the window thus bounds when a tick began; together they bound it narrowly.
 */
#include "cpu/cpu.h"
#include "time/calibrate.h"
#include "time/clock.h"

#define PIT_COMMAND 0x43
#define PIT_CHANNEL_0 0x40 /* always counts: channel 2 would need a speaker port, which small machines lack */
#define PIT_MODE_0 0x30	   /* count down once, low byte then high byte */
#define PIT_LATCH 0x00
#define PIT_START 0xffff
#define WINDOW_TICKS (PIT_FREQUENCY / (NANOSECONDS / CALIBRATION_NANOSECONDS))
#define POLLS_MAX 1000000 /* a counter that does not count ends here */

#define LAPIC_LVT_TIMER 0x320
#define LAPIC_INITIAL_COUNT 0x380
#define LAPIC_CURRENT_COUNT 0x390
#define LAPIC_DIVIDE 0x3e0
#define LVT_MASKED 0x10000u
#define DIVIDE_BY_1 11

static struct pit_sample pit_read(void)
{
	struct pit_sample s;
	s.before = read_tsc();
	out8(PIT_COMMAND, PIT_LATCH);
	s.after = read_tsc();
	uint32_t low = in8(PIT_CHANNEL_0);
	s.elapsed = PIT_START - (low | (uint32_t)in8(PIT_CHANNEL_0) << 8);
	return s;
}

struct lapic_sample {
	uint64_t tsc;
	uint32_t count;
};

/* Of some readings the quickest: it says best when it was made. */
static struct lapic_sample lapic_sample(void)
{
	struct lapic_sample best = {0, 0};
	uint64_t narrowest = UINT64_MAX;
	for (unsigned i = 0; i < CALIBRATION_SAMPLES; i++) {
		uint64_t before = read_tsc();
		uint32_t count = lapic_read(LAPIC_CURRENT_COUNT);
		uint64_t width = read_tsc() - before;
		if (width < narrowest) {
			narrowest = width;
			best = (struct lapic_sample){before + width / 2, count};
		}
	}
	return best;
}

static void lapic_start(void)
{
	lapic_write(LAPIC_LVT_TIMER, LVT_MASKED | VECTOR_TIMER);
	lapic_write(LAPIC_DIVIDE, DIVIDE_BY_1);
	lapic_write(LAPIC_INITIAL_COUNT, UINT32_MAX);
}

static uint64_t lapic_frequency(struct lapic_sample start, struct lapic_sample end, uint64_t tsc_hz)
{
	lapic_write(LAPIC_INITIAL_COUNT, 0);
	uint64_t cycles = end.tsc - start.tsc;
	return ((uint64_t)(start.count - end.count) * (tsc_hz / 1000) / cycles) * 1000;
}

bool calibrate(struct calibration *c)
{
	static struct pit_sample start[CALIBRATION_SAMPLES], end[CALIBRATION_SAMPLES];

	out8(PIT_COMMAND, PIT_MODE_0);
	out8(PIT_CHANNEL_0, PIT_START & 0xff);
	out8(PIT_CHANNEL_0, PIT_START >> 8);
	lapic_start();
	struct pit_sample last = pit_read(); /* may still be from before the count was loaded */
	for (unsigned i = 0; i < CALIBRATION_SAMPLES; i++)
		start[i] = pit_read();
	struct lapic_sample lapic = lapic_sample();
	unsigned polls = 0, still = 0;
	do {
		uint32_t elapsed = last.elapsed;
		last = pit_read();
		still = last.elapsed == elapsed ? still + 1 : 0;
		if (++polls == POLLS_MAX || still == 1000)
			return false;
	} while (last.elapsed < start[0].elapsed + WINDOW_TICKS);
	for (unsigned i = 0; i < CALIBRATION_SAMPLES; i++)
		end[i] = pit_read();
	c->tsc_frequency = calibration_frequency(start, end);
	if (c->lapic_frequency == 0)
		c->lapic_frequency = lapic_frequency(lapic, lapic_sample(), c->tsc_frequency);
	return c->tsc_frequency != 0;
}

void calibrate_lapic(struct calibration *c, uint64_t tsc_hz)
{
	lapic_start();
	struct lapic_sample start = lapic_sample();
	uint64_t window = tsc_hz / 1000; /* a millisecond: both count finely */
	while (read_tsc() - start.tsc < window)
		;
	c->lapic_frequency = lapic_frequency(start, lapic_sample(), tsc_hz);
}
