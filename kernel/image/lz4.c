/* Decompression of an LZ4 block (lz4_Block_format.md of the LZ4 project). The input is not trusted: every length is checked. */
#include "image/lz4.h"

#define MINIMUM_MATCH 4
#define WIDE 8 /* bytes a fast copy may write past its end */

static bool read_length(const uint8_t **in, const uint8_t *in_end, size_t *length)
{
	uint8_t byte;
	do {
		if (*in == in_end || *length > SIZE_MAX / 2)
			return false;
		byte = *(*in)++;
		*length += byte;
	} while (byte == 255);
	return true;
}

static inline void copy_wide(uint8_t *to, const uint8_t *from, const uint8_t *to_end)
{
	do {
		uint64_t word;
		__builtin_memcpy(&word, from, sizeof word);
		__builtin_memcpy(to, &word, sizeof word);
		to += sizeof word;
		from += sizeof word;
	} while (to < to_end);
}

bool lz4_decompress(uint8_t *to, size_t size, const uint8_t *in, size_t in_size)
{
	uint8_t *out = to, *const out_end = to + size;
	const uint8_t *const in_end = in + in_size;

	while (in < in_end) {
		uint8_t token = *in++;
		size_t literals = token >> 4;
		if (literals == 15 && !read_length(&in, in_end, &literals))
			return false;
		if (literals > (size_t)(in_end - in) || literals > (size_t)(out_end - out))
			return false;
		if ((size_t)(in_end - in) >= literals + WIDE && (size_t)(out_end - out) >= literals + WIDE)
			copy_wide(out, in, out + literals);
		else
			memcpy(out, in, literals);
		out += literals;
		in += literals;
		if (in == in_end)
			return out == out_end; /* a block ends with literals */

		if (in_end - in < 2)
			return false;
		size_t offset = (size_t)in[0] | (size_t)in[1] << 8, match = token & 15;
		in += 2;
		if (match == 15 && !read_length(&in, in_end, &match))
			return false;
		match += MINIMUM_MATCH;
		if (offset == 0 || offset > (size_t)(out - to) || match > (size_t)(out_end - out))
			return false;
		const uint8_t *from = out - offset;
		if (offset >= WIDE && (size_t)(out_end - out) >= match + WIDE)
			copy_wide(out, from, out + match);
		else
			for (size_t i = 0; i < match; i++)
				out[i] = from[i];
		out += match;
	}
	return false;
}
