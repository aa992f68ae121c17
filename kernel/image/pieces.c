/* The pieces of an image's data that are decompressed when one is first needed, each to its own place in the file system: so what has
 * been decompressed lies as if it had been loaded, and is never moved or copied again. That place is set aside when the machine starts:
 * there is no running out of memory here. */
#include "image/image.h"
#include "image/lz4.h"

#define SIZE_SMALLEST PAGE_SIZE
#define SIZE_LARGEST 0x100000
#define COUNT_LIMIT (1u << 16)
#define SCRATCH_SIZE 0x8000

static uint64_t base; /* physical, of the file system; 0: all of it is there */
static uint64_t data_offset, total_size;
static const struct pieces *pieces;
static const uint8_t *blocks;
static uint64_t missing[COUNT_LIMIT / 64];

const char *pieces_check(const struct superblock *s, uint64_t available)
{
	const struct pieces *p = (const void *)((const char *)s + s->total_size);

	if ((s->flags & ~SUPERBLOCK_PIECES) != 0)
		return "it is of a newer format than this kernel";
	if ((s->flags & SUPERBLOCK_PIECES) == 0)
		return NULL;
	available -= s->total_size;
	if (available < sizeof *p || memcmp(p->magic, PIECES_MAGIC, 8) != 0 || p->total_size > available)
		return "its compressed files are not where they should be: the file was cut short";
	uint64_t data = s->total_size - s->data_offset;
	if (p->size < SIZE_SMALLEST || p->size > SIZE_LARGEST || (p->size & (p->size - 1)) != 0 || p->count > COUNT_LIMIT ||
	    p->count != (data + p->size - 1) / p->size || p->total_size < sizeof *p + (p->count + 1ul) * sizeof p->offset[0])
		return "the header of its compressed files is damaged";
	if (image_crc32((const uint8_t *)p->offset, (p->count + 1ul) * sizeof p->offset[0]) != p->table_crc)
		return "the table of its compressed files is damaged (checksum)";
	uint64_t size = p->total_size - sizeof *p - (p->count + 1ul) * sizeof p->offset[0];
	for (uint32_t i = 0; i < p->count; i++)
		if (p->offset[i] > p->offset[i + 1])
			return "the table of its compressed files is not in order";
	return p->offset[0] != 0 || p->offset[p->count] > size ? "its compressed files lie outside the image" : NULL;
}

void pieces_init(const struct superblock *s)
{
	base = 0;
	if ((s->flags & SUPERBLOCK_PIECES) == 0)
		return;
	base = (uint64_t)s - DIRECT_BASE;
	data_offset = s->data_offset;
	total_size = s->total_size;
	pieces = (const void *)((const char *)s + total_size);
	blocks = (const uint8_t *)&pieces->offset[pieces->count + 1];
	memset(missing, 0, sizeof missing);
	for (uint32_t i = 0; i < pieces->count; i++)
		if (pieces->offset[i] != pieces->offset[i + 1])
			missing[i / 64] |= 1ull << i % 64;
}

static bool is_missing(uint64_t piece)
{
	return (missing[piece / 64] >> piece % 64 & 1) != 0;
}

static void decompress(uint64_t piece, uint8_t *to)
{
	uint64_t size = MIN(pieces->size, total_size - data_offset - piece * pieces->size);
	const uint8_t *block = blocks + pieces->offset[piece];
	uint64_t block_size = pieces->offset[piece + 1] - pieces->offset[piece];

	if (block_size == size) /* would not get smaller */
		memcpy(to, block, size);
	else if (!lz4_decompress(to, size, block, block_size))
		panic("this image is damaged: piece %lu of its compressed files is no sound LZ4 block; build it again with 'sarab build'", piece);
}

static void fetch(uint64_t piece)
{
	decompress(piece, (uint8_t *)(IMAGE_BASE + base + data_offset + piece * pieces->size));
	missing[piece / 64] &= ~(1ull << piece % 64);
}

void pieces_need(uint64_t offset, uint64_t length)
{
	if (base == 0 || length == 0)
		return;
	uint64_t last = (offset + length - 1 - data_offset) / pieces->size;
	for (uint64_t piece = (offset - data_offset) / pieces->size; piece <= last; piece++)
		if (is_missing(piece))
			fetch(piece);
}

/* A library's data is copied page by page, and what it was copied from is not looked at again: it is decompressed to a place that the
 * processor has in its cache, and no memory is used for it that nobody has touched. */
const void *pieces_peek(uint64_t offset)
{
	static uint8_t scratch[SCRATCH_SIZE];
	static uint64_t in_scratch; /* which piece, counted from 1 */

	if (base == 0 || pieces->size > sizeof scratch)
		return NULL;
	uint64_t piece = (offset - data_offset) / pieces->size;
	if (!is_missing(piece))
		return NULL;
	if (in_scratch != piece + 1) {
		in_scratch = 0;
		decompress(piece, scratch);
		in_scratch = piece + 1;
	}
	return scratch + (offset - data_offset) % pieces->size;
}

bool pieces_there(uint64_t offset)
{
	return base == 0 || !is_missing((offset - data_offset) / pieces->size);
}
