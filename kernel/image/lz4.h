/* LZ4, for the pieces of an image. */
#ifndef SARAB_LZ4_H
#define SARAB_LZ4_H

#include "kernel.h"

/* True if the whole input was one sound block that gave exactly size bytes. */
bool lz4_decompress(uint8_t *to, size_t size, const uint8_t *in, size_t in_size);

#endif
