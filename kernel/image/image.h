/* Between the files of image/, and for the map of memory: what an image begins with (decision 0001), and its pieces. */
#ifndef SARAB_IMAGE_H
#define SARAB_IMAGE_H

#include "kernel.h"

struct superblock {
	char magic[8];
	uint64_t total_size;
	uint32_t node_count, flags;
	uint64_t nodes_offset, names_offset, names_size, data_offset;
	uint32_t metadata_crc, reserved;
};
#define SUPERBLOCK_MAGIC "SARABFS1"
#define SUPERBLOCK_PIECES 1u /* flags: the file system is followed by pieces */

/* Behind the file system: where its data, cut into pieces of equal size, has come with the image or has to be decompressed to. */
struct pieces {
	char magic[8];
	uint64_t total_size; /* of this, the table and the blocks */
	uint32_t size, count;
	uint32_t table_crc, reserved;
	uint32_t offset[]; /* count + 1: piece i is the block [offset[i], offset[i + 1]) of what follows the table, or there already if that is empty */
};
#define PIECES_MAGIC "SARABLZ4"

uint32_t image_crc32(const uint8_t *bytes, size_t length);

/* The superblock has been checked, but for what the flag says. NULL, or what is wrong: a phrase. */
const char *pieces_check(const struct superblock *s, uint64_t available);
void pieces_init(const struct superblock *s); /* they have been checked */
void pieces_need(uint64_t offset, uint64_t length); /* into the file system; within its data */
bool pieces_there(uint64_t offset);
const void *pieces_peek(uint64_t offset); /* of a page. NULL: it is there */

#endif
