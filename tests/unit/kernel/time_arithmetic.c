/* Reads questions, one a line, and answers each with a line: the arithmetic of kernel/time for test_time_arithmetic.py. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "time/calendar.h"
#include "time/calibrate.h"
#include "time/scale.h"
#include "time/vdso_data.h"

static void calibration(const char *numbers)
{
	struct pit_sample samples[2][CALIBRATION_SAMPLES];
	for (unsigned end = 0; end < 2; end++)
		for (unsigned i = 0; i < CALIBRATION_SAMPLES; i++) {
			struct pit_sample *s = &samples[end][i];
			int length;
			sscanf(numbers, "%" SCNu64 " %" SCNu64 " %" SCNu32 "%n", &s->before, &s->after, &s->elapsed, &length);
			numbers += length;
		}
	printf("%" PRIu64 "\n", calibration_frequency(samples[0], samples[1]));
}

int main(void)
{
	static char line[8192];
	while (fgets(line, sizeof line, stdin) != NULL) {
		uint64_t a, b, c, d;
		int shift;
		unsigned month, day;
		int year;
		if (sscanf(line, "scale %" SCNu64 " %" SCNu64 " %" SCNu64, &a, &b, &c) == 3) {
			printf("%" PRIu64 "\n", scale_apply(scale_make(a, b), c));
		} else if (sscanf(line, "days %d %u %u", &year, &month, &day) == 3) {
			printf("%" PRId64 "\n", days_since_1970(year, month, day));
		} else if (sscanf(line, "kvm %" SCNu64 " %" SCNu64 " %" SCNu64 " %d %" SCNu64, &a, &b, &c, &shift, &d) == 5) {
			struct kvm_clock clock = {.tsc_timestamp = a, .system_time = b, .tsc_to_system_mul = (uint32_t)c, .tsc_shift = (int8_t)shift};
			printf("%" PRIu64 "\n", kvm_clock_at(&clock, d));
		} else if (strncmp(line, "calibration ", 12) == 0) {
			calibration(line + 12);
		} else {
			return 1;
		}
	}
	return 0;
}
