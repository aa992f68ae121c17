/* Entropy: the CPU's generators, or else the host's, with timing mixed in, seed a ChaCha20 generator (RFC 8439) that overwrites its key with every use. */
#include "cpu/cpu.h"
#include "cpu/machine.h"

#define RESEED_AFTER (1u << 20) /* bytes */
#define HARDWARE_TRIES 64

static uint32_t key[8];
static uint64_t since_seed;
static bool seeded;

static bool rdseed(uint64_t *value)
{
	uint8_t ok = 0;
	for (unsigned i = 0; cpu_features.rdseed && !ok && i < HARDWARE_TRIES; i++)
		__asm__ volatile("rdseed %0\n\tsetc %1" : "=r"(*value), "=qm"(ok) : : "cc");
	return ok;
}

static bool rdrand(uint64_t *value)
{
	uint8_t ok = 0;
	for (unsigned i = 0; cpu_features.rdrand && !ok && i < HARDWARE_TRIES; i++)
		__asm__ volatile("rdrand %0\n\tsetc %1" : "=r"(*value), "=qm"(ok) : : "cc");
	return ok;
}

static inline uint32_t rotate(uint32_t x, unsigned n)
{
	return x << n | x >> (32 - n);
}

#define QUARTER_ROUND(a, b, c, d)                                                                                              \
	do {                                                                                                                   \
		a += b, d = rotate(d ^ a, 16);                                                                                 \
		c += d, b = rotate(b ^ c, 12);                                                                                 \
		a += b, d = rotate(d ^ a, 8);                                                                                  \
		c += d, b = rotate(b ^ c, 7);                                                                                  \
	} while (0)

static void chacha20_block(uint32_t out[16], uint64_t counter)
{
	uint32_t in[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574, key[0], key[1], key[2], key[3], key[4], key[5],
			   key[6], key[7], (uint32_t)counter, (uint32_t)(counter >> 32), 0, 0};
	memcpy(out, in, sizeof in);
	for (unsigned i = 0; i < 10; i++) {
		QUARTER_ROUND(out[0], out[4], out[8], out[12]);
		QUARTER_ROUND(out[1], out[5], out[9], out[13]);
		QUARTER_ROUND(out[2], out[6], out[10], out[14]);
		QUARTER_ROUND(out[3], out[7], out[11], out[15]);
		QUARTER_ROUND(out[0], out[5], out[10], out[15]);
		QUARTER_ROUND(out[1], out[6], out[11], out[12]);
		QUARTER_ROUND(out[2], out[7], out[8], out[13]);
		QUARTER_ROUND(out[3], out[4], out[9], out[14]);
	}
	for (unsigned i = 0; i < 16; i++)
		out[i] += in[i];
}

/* Mixes what the hardware gives into the key: key := ChaCha20(key ^ fresh). False: it gave nothing. */
static bool seed(void)
{
	bool any = false;
	for (unsigned i = 0; i < 4; i++) {
		uint64_t a = 0, b = 0;
		any |= rdseed(&a);
		any |= rdrand(&b);
		uint64_t mixed = a ^ rotate((uint32_t)b, 13) ^ b << 32 ^ read_tsc();
		key[2 * i] ^= (uint32_t)mixed;
		key[2 * i + 1] ^= (uint32_t)(mixed >> 32);
		uint32_t block[16];
		chacha20_block(block, i);
		memcpy(key, block, sizeof key);
	}
	since_seed = 0;
	return any;
}

void random_mix(const void *from, size_t length)
{
	const uint8_t *bytes = from;
	uint32_t block[16];
	while (length > 0) {
		uint32_t piece[8] = {0};
		size_t n = MIN(length, sizeof piece);
		memcpy(piece, bytes, n);
		for (unsigned i = 0; i < 8; i++)
			key[i] ^= piece[i];
		chacha20_block(block, length); /* key := ChaCha20(key ^ piece) */
		memcpy(key, block, sizeof key);
		bytes += n;
		length -= n;
	}
	memset(block, 0, sizeof block);
	__asm__ volatile("" : : "r"(block) : "memory");
}

void random_init(void)
{
	seeded = seed();
}

void random_complete(void)
{
	uint8_t bytes[RANDOM_SEED_SIZE];
	if (seeded)
		return;
	if (!virtio_rng_read(bytes))
		panic("this machine has no source of entropy (RDSEED, RDRAND or a virtio entropy device over MMIO): "
		      "give the guest a CPU model that has one, or that device");
	random_mix(bytes, sizeof bytes);
	seeded = true;
}

void random_bytes(void *to, size_t length)
{
	if (since_seed >= RESEED_AFTER)
		seed();
	since_seed += length;
	uint32_t block[16], next[16];
	chacha20_block(next, 0); /* the next key: what is given out cannot be computed back */
	char *out = to;
	for (uint64_t counter = 1; length > 0; counter++) {
		chacha20_block(block, counter);
		size_t n = MIN(length, sizeof block);
		memcpy(out, block, n);
		out += n;
		length -= n;
	}
	memcpy(key, next, sizeof key);
	memset(block, 0, sizeof block);
	__asm__ volatile("" : : "r"(block) : "memory");
}
