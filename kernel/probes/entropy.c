/* 1 MiB of getrandom passes the simplest tests: bits balanced, byte values even (chi-squared), no repeated block. SUCCESS */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

static uint8_t bytes[1 << 20];

int main(void)
{
	for (size_t at = 0; at < sizeof bytes;) {
		ssize_t n = getrandom(bytes + at, sizeof bytes - at, 0);
		if (n <= 0)
			return 1;
		at += (size_t)n;
	}
	long ones = 0, count[256] = {0};
	for (size_t i = 0; i < sizeof bytes; i++) {
		ones += __builtin_popcount(bytes[i]);
		count[bytes[i]]++;
	}
	double expected = sizeof bytes / 256.0, chi_squared = 0;
	for (int i = 0; i < 256; i++)
		chi_squared += (count[i] - expected) * (count[i] - expected) / expected;
	for (size_t i = 64; i < sizeof bytes; i += 64)
		if (memcmp(bytes + i, bytes + i - 64, 64) == 0)
			return 2;
	/* Six standard deviations each: a false alarm in a billion runs. */
	if (fabs(ones - 4.0 * sizeof bytes) > 6 * sqrt(2.0 * sizeof bytes) || fabs(chi_squared - 255) > 6 * sqrt(2 * 255.0))
		return 3;
	puts("SUCCESS");
	return 0;
}
