/* Decompression of an LZ4 block (lz4_Block_format.md of the LZ4 project). The input is not trusted: every length is checked. */
#include "image/lz4.h"

#define MINIMUM_MATCH 4
#define OVERRUN 32 /* bytes that a fast copy may write past its end, or a little less */
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

static inline uint64_t load_8(const uint8_t *from)
{
	uint64_t word;
	__builtin_memcpy(&word, from, sizeof word);
	return word;
}

static inline void store_8(uint8_t *to, uint64_t word)
{
	__builtin_memcpy(to, &word, sizeof word);
}

/* Into each other: from may be 8 bytes before to. */
static inline void copy_16(uint8_t *to, const uint8_t *from)
{
	store_8(to, load_8(from));
	store_8(to + 8, load_8(from + 8));
}

static inline void copy_wide(uint8_t *to, const uint8_t *from, const uint8_t *to_end)
{
	do {
		copy_16(to, from);
		to += 16;
		from += 16;
	} while (to < to_end);
}

static inline void copy_apart(uint8_t *to, const uint8_t *from, const uint8_t *to_end) /* by 32 bytes and more */
{
	do {
		uint64_t first = load_8(from), second = load_8(from + 8), third = load_8(from + 16), fourth = load_8(from + 24);
		store_8(to, first);
		store_8(to + 8, second);
		store_8(to + 16, third);
		store_8(to + 24, fourth);
		to += 32;
		from += 32;
	} while (to < to_end);
}

/* Up to 8 bytes, repeated. In registers: to read back at once what was written in other portions stops the processor for a while. */
static inline void repeat(uint8_t *to, size_t distance, const uint8_t *to_end)
{
	uint64_t word = load_8(to - distance);
	if (distance < 8) {
		word &= (1ull << 8 * distance) - 1;
		for (size_t bits = 8 * distance; bits < 64; bits *= 2)
			word |= word << bits;
	}
	if (8 % distance != 0) {
		unsigned step = 8 * (8 % (unsigned)distance), back = 8 * (unsigned)distance - step;
		for (; to < to_end; to += 8) {
			store_8(to, word);
			word = word >> step | word << back;
		}
		return;
	}
	for (; to < to_end; to += 16) {
		store_8(to, word);
		store_8(to + 8, word);
	}
}

static inline void copy_match(uint8_t *to, const uint8_t *from, size_t distance, const uint8_t *to_end)
{
	if (distance >= OVERRUN)
		copy_apart(to, from, to_end);
	else if (distance > 8)
		copy_wide(to, from, to_end);
	else
		repeat(to, distance, to_end);
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
			if ((size_t)(in_end - in) >= literals + OVERRUN && (size_t)(out_end - out) >= literals + OVERRUN)
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
		/* In large portions as far as one may run over its end, then byte by byte. */
		uint8_t *const match_end = out + match;
		const uint8_t *const from = out - offset;
		if (out_end - match_end >= OVERRUN)
			copy_match(out, from, offset, match_end);
		else {
			uint8_t *to_here = out;
			if (out_end - out > OVERRUN) {
				to_here = out_end - OVERRUN;
				copy_match(out, from, offset, to_here);
			}
			for (; to_here < match_end; to_here++)
				*to_here = *(to_here - offset);
		}
		out = match_end;
	}
	return false;
}
