/* Decompression of an LZ4 block (lz4_Block_format.md of the LZ4 project). The input is not trusted: every length is checked. */
#include "image/lz4.h"

#define MINIMUM_MATCH 4
#define WIDE 16 /* bytes a fast copy may write past its end */
/* Where so much is left of both sides, a sequence whose lengths are in its token needs no further question. */
#define SHORT_INPUT (1 + 16 + 2)
#define SHORT_OUTPUT (15 + 18)

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

static inline void copy_8(uint8_t *to, const uint8_t *from)
{
	uint64_t word;
	__builtin_memcpy(&word, from, sizeof word);
	__builtin_memcpy(to, &word, sizeof word);
}

static inline void copy_16(uint8_t *to, const uint8_t *from) /* as two words, one after the other: from may be 8 bytes before to */
{
	copy_8(to, from);
	copy_8(to + 8, from + 8);
}

static inline void copy_wide(uint8_t *to, const uint8_t *from, const uint8_t *to_end)
{
	do {
		copy_16(to, from);
		to += 16;
		from += 16;
	} while (to < to_end);
}

/* A pattern of less than 8 bytes, repeated: its first 8 bytes, then as a match of the smallest distance of 8 and more that is in step. */
static inline void repeat(uint8_t *to, size_t distance, const uint8_t *to_end)
{
	for (unsigned i = 0; i < 8; i++)
		to[i] = to[(ptrdiff_t)i - (ptrdiff_t)distance];
	if (to_end - to <= 8)
		return;
	static const uint8_t in_step[8] = {0, 8, 8, 9, 8, 10, 12, 14};
	if (in_step[distance] != 8) {
		copy_wide(to + 8, to + 8 - in_step[distance], to_end);
		return;
	}
	uint64_t word;
	__builtin_memcpy(&word, to, sizeof word);
	for (to += 8; to < to_end; to += 16) {
		__builtin_memcpy(to, &word, sizeof word);
		__builtin_memcpy(to + 8, &word, sizeof word);
	}
}

bool lz4_decompress(uint8_t *to, size_t size, const uint8_t *in, size_t in_size)
{
	uint8_t *out = to, *const out_end = to + size;
	const uint8_t *const in_end = in + in_size;

	while (in < in_end) {
		uint8_t token = *in;
		size_t literals = token >> 4, match = token & 15, offset;

		if (literals != 15 && in_end - in >= SHORT_INPUT && out_end - out >= SHORT_OUTPUT) {
			copy_16(out, in + 1);
			out += literals;
			in += 1 + literals;
			offset = (size_t)in[0] | (size_t)in[1] << 8;
			in += 2;
			if (match != 15 && offset >= 8 && offset <= (size_t)(out - to)) {
				copy_16(out, out - offset);
				__builtin_memcpy(out + 16, out + 16 - offset, 2);
				out += match + MINIMUM_MATCH;
				continue;
			}
		} else {
			in++;
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
			offset = (size_t)in[0] | (size_t)in[1] << 8;
			in += 2;
		}

		if (match == 15 && !read_length(&in, in_end, &match))
			return false;
		match += MINIMUM_MATCH;
		if (offset == 0 || offset > (size_t)(out - to) || match > (size_t)(out_end - out))
			return false;
		if ((size_t)(out_end - out) < match + 8 + WIDE) {
			const uint8_t *from = out - offset;
			for (size_t i = 0; i < match; i++)
				out[i] = from[i];
		} else if (offset >= 8)
			copy_wide(out, out - offset, out + match);
		else
			repeat(out, offset, out + match);
		out += match;
	}
	return false;
}
