/* Feeds the kernel's parsers of the image (file system, pieces, ELF, LZ4) with damaged input, from a seed. Whatever they accept is then
 * walked as the kernel walks it. The bytes end at a page that cannot be touched, so that one byte too many is a crash; undefined behaviour
 * traps. Where pieces have to be decompressed to, there is junk.
 *
 * usage: image_parsers IMAGE SEED ROUNDS      (IMAGE: a sound file system, with its pieces if it has some, decision 0001)
 * prints: rounds, how many were accepted, how many of those then had a damaged piece, how many of LZ4's were accepted, and a checksum
 * of all files' bytes */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "image/elf.h"
#include "image/image.h"
#include "image/lz4.h"
#include "kernel.h"

struct memory_range image_range;

static jmp_buf damaged;

_Noreturn void panic(const char *format, ...)
{
	if (strncmp(format, "this image is damaged: ", 23) == 0)
		longjmp(damaged, 1);
	fprintf(stderr, "panic: %s\n", format);
	exit(3);
}

static uint64_t state;

static uint64_t draw(uint64_t below)
{
	state ^= state << 13; /* xorshift64 */
	state ^= state >> 7;
	state ^= state << 17;
	return state % below;
}

static uint32_t crc32(const uint8_t *bytes, size_t length)
{
	uint32_t c = 0xffffffff;
	for (size_t i = 0; i < length; i++) {
		c ^= bytes[i];
		for (int k = 0; k < 8; k++)
			c = c & 1 ? 0xedb88320 ^ c >> 1 : c >> 1;
	}
	return ~c;
}

/* size bytes that end where nothing is mapped. */
static uint8_t *against_a_wall(size_t size)
{
	size_t pages = ROUND_UP(size, PAGE_SIZE);
	uint8_t *p = mmap(NULL, pages + PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED || mprotect(p + pages, PAGE_SIZE, PROT_NONE) != 0)
		exit(2);
	return p + pages - size;
}

static void damage(uint8_t *bytes, size_t size)
{
	static const uint64_t telling[] = {0, 1, 0x7f, 0x80, 0xff, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, UINT64_MAX};
	for (uint64_t n = 1 + draw(4); n > 0; n--) {
		size_t at = draw(size);
		if (draw(2) == 0) {
			bytes[at] = (uint8_t)draw(256);
			continue;
		}
		size_t width = 1ul << draw(4);
		uint64_t value = telling[draw(ARRAY_LENGTH(telling))];
		at -= at % width;
		if (at + width <= size)
			memcpy(bytes + at, &value, width);
	}
}

static volatile uint64_t sink;
static uint64_t total;

static void walk(uint64_t stride)
{
	uint64_t all = 0;
	for (uint32_t i = 0; i < image_node_count(); i++) {
		const struct image_node *n = image_node(i);
		uint64_t sum = 0;
		for (unsigned k = 0; k < n->name_length; k++)
			sum += (uint8_t)image_name(n)[k];
		if ((n->mode & 0170000) == 0040000) {
			for (uint32_t k = 0; k < n->child_count; k++) {
				const struct image_node *child = image_node(n->first_child + k);
				if (image_child(n, image_name(child), child->name_length) != n->first_child + k)
					panic("a child is not found by its name");
			}
		} else {
			if (elf_of_image(n, NULL) != NULL)
				for (uint64_t offset = 0; offset < n->size; offset += PAGE_SIZE)
					sum += image_executable(i, offset, PAGE_SIZE);
			if (n->size > 0) {
				uint64_t start = draw(n->size), length = 1 + draw(n->size - start);
				const uint8_t *part = image_data(n, start, length);
				sum += part[0] + part[length - 1] + image_there(n, start);
				if (!image_there(n, start + length - 1))
					panic("what was decompressed is not there");
			}
			const uint8_t *data = image_data(n, 0, n->size);
			for (uint64_t k = 0; k < n->size; k += stride)
				all = all * 31 + data[k];
		}
		sink += sum;
	}
	char path[64] = "/";
	for (unsigned k = 1; k < 60; k++)
		path[k] = "/ab.so"[draw(6)];
	sink += (uint64_t)image_lookup(path);
	total = all;
}

static size_t put_length(uint8_t *to, size_t length) /* what is more than 15 of it */
{
	size_t n = 0;
	for (length -= 15; length >= 255; length -= 255)
		to[n++] = 255;
	to[n++] = (uint8_t)length;
	return n;
}

/* Literals, a match of any distance and length that reaches into itself or not, and the literals that a block must end with. */
static void sound_lz4(void)
{
	uint8_t block[128], expected[1024];
	size_t literals = 1 + draw(40), distance = 1 + draw(literals), match = 4 + draw(draw(2) == 0 ? 20 : 700), last = draw(60), n = 0, size = 0;

	block[n++] = (uint8_t)(MIN(literals, 15u) << 4 | MIN(match - 4, 15u));
	if (literals >= 15)
		n += put_length(block + n, literals);
	for (size_t i = 0; i < literals; i++)
		expected[size++] = block[n++] = (uint8_t)draw(256);
	block[n++] = (uint8_t)distance;
	block[n++] = 0;
	if (match - 4 >= 15)
		n += put_length(block + n, match - 4);
	for (size_t i = 0; i < match; i++, size++)
		expected[size] = expected[size - distance];
	block[n++] = (uint8_t)(MIN(last, 15u) << 4);
	if (last >= 15)
		n += put_length(block + n, last);
	for (size_t i = 0; i < last; i++)
		expected[size++] = block[n++] = (uint8_t)draw(256);

	uint8_t *in = against_a_wall(n), *out = against_a_wall(size);
	memcpy(in, block, n);
	if (!lz4_decompress(out, size, in, n) || memcmp(out, expected, size) != 0)
		panic("a sound LZ4 block is refused or wrong");
	if (lz4_decompress(out, size - 1, in, n))
		panic("an LZ4 block that is larger than its room is accepted");
	munmap((void *)ROUND_DOWN((uintptr_t)in, PAGE_SIZE), 2 * PAGE_SIZE);
	munmap((void *)ROUND_DOWN((uintptr_t)out, PAGE_SIZE), 2 * PAGE_SIZE);
}

static uint64_t fuzz_lz4(void)
{
	uint8_t in_bytes[512];
	size_t in_size = 1 + draw(sizeof in_bytes), out_size = 1 + draw(4096);
	uint8_t *in = against_a_wall(in_size), *out = against_a_wall(out_size);
	for (size_t i = 0; i < in_size; i++)
		in[i] = (uint8_t)draw(draw(2) == 0 ? 256 : 20);
	bool sound = lz4_decompress(out, out_size, in, in_size);
	munmap((void *)ROUND_DOWN((uintptr_t)in, PAGE_SIZE), 2 * PAGE_SIZE);
	munmap((void *)ROUND_DOWN((uintptr_t)out, PAGE_SIZE), 2 * PAGE_SIZE);
	return sound;
}

int main(int argc, char **argv)
{
	FILE *file = argc == 4 ? fopen(argv[1], "rb") : NULL;
	if (file == NULL)
		return 2;
	fseek(file, 0, SEEK_END);
	size_t size = (size_t)ftell(file);
	rewind(file);
	uint8_t *sound = malloc(size), *const wall = against_a_wall(size) + size;
	if (fread(sound, 1, size, file) != size)
		return 2;
	state = strtoull(argv[2], NULL, 10) * 0x9e3779b97f4a7c15 + 1;
	static uint64_t rounds, sum, accepted, lz4, pieces_damaged; /* static: they outlive the jump */
	rounds = strtoull(argv[3], NULL, 10);
	const struct superblock *superblock = (const void *)sound;
	uint64_t metadata = superblock->data_offset, files = superblock->total_size;
	bool in_pieces = superblock->flags != 0;
	size_t table = in_pieces ? sizeof(struct pieces) + (((const struct pieces *)(const void *)(sound + files))->count + 1) * 4ul : 0;

	for (volatile uint64_t i = 0; i <= rounds; i++) {
		size_t available = size;
		bool outside = false;
		if (i > 0 && draw(8) == 0)
			available = ROUND_DOWN(64 + draw(size - 64), 8); /* cut short */
		uint8_t *const bytes = wall - available;
		memcpy(bytes, sound, available);
		if (available < size)
			;
		else if (i > 0 && draw(8) == 0)
			damage(bytes + metadata, size - metadata); /* what the files hold: ELF headers */
		else if (i > 0 && in_pieces && draw(2) == 0) {
			struct pieces *p = (void *)(bytes + files);
			uint64_t kind = draw(4);
			if (kind == 0)
				damage(bytes + files, draw(4) == 0 ? sizeof *p : table);
			else if (kind == 1) { /* a block that begins or ends a little elsewhere, or behind the last byte */
				p->offset[draw(2) == 0 ? p->count : draw(p->count)] += (uint32_t)draw(200) - 100;
				outside = p->offset[p->count] > p->total_size - table;
			}
			else
				damage(bytes + files + table, size - files - table);
			if (draw(4) != 0)
				p->table_crc = crc32((const uint8_t *)p->offset, table - sizeof *p);
		} else if (i > 0)
			damage(bytes, draw(4) == 0 ? 64 : metadata);
		if (draw(4) != 0) { /* past the checksum */
			uint64_t end;
			memcpy(&end, bytes + 48, sizeof end);
			uint32_t crc = end >= 64 && end <= available ? crc32(bytes + 64, end - 64) : 0;
			memcpy(bytes + 56, &crc, sizeof crc);
		}
		const char *wrong = image_check(bytes, available);
		if (i == 0 && wrong != NULL)
			panic("the sound image is refused");
		if (outside && wrong == NULL)
			panic("a block behind the last byte is accepted");
		if (wrong == NULL) {
			accepted++;
			image_range = (struct memory_range){(uint64_t)bytes, (uint64_t)bytes + available};
			image_init();
			if (setjmp(damaged) == 0)
				walk(i == 0 ? 1 : 61);
			else
				pieces_damaged++;
			if (i == 0)
				sum = total;
		}
		sound_lz4();
		lz4 += fuzz_lz4();
	}
	printf("%lu %lu %lu %lu %lu\n", rounds, accepted, pieces_damaged, lz4, sum);
	return 0;
}
