"""Unpack the LZ4 "legacy frame" that a Linux bzImage holds, for the standard library has no LZ4.

A frame is the magic number and blocks, each a 32-bit size and that many bytes of sequences: literals, then a match that
copies from what was already written. See LZ4's lz4_Block_format.md.
"""

import struct

MAGIC = 0x184C2102.to_bytes(4, "little")
_BLOCK_SIZE_MAX = 9 << 20
"""More than LZ4 can need for the 8 MiB of a legacy block: a larger number is no block but what follows the frame."""


def unpack(data: bytes, offset: int) -> bytes:
    """Return the content of the legacy frame whose magic number is at `offset`; ValueError if there is none."""
    if data[offset : offset + 4] != MAGIC:
        raise ValueError("no LZ4 legacy frame here")
    offset += 4
    result = bytearray()
    while offset + 4 <= len(data):
        (size,) = struct.unpack_from("<I", data, offset)
        offset += 4
        if not 0 < size <= min(_BLOCK_SIZE_MAX, len(data) - offset):
            break
        _unpack_block(data[offset : offset + size], result)
        offset += size
    return bytes(result)


def _unpack_block(block: bytes, result: bytearray) -> None:
    """Append what `block` holds to `result`; a match may reach back into `result` as it was before."""
    at = 0
    while at < len(block):
        token = block[at]
        count, at = _length(block, at + 1, token >> 4)
        result += block[at : at + count]
        at += count
        if at >= len(block):
            return  # The last sequence has no match.
        distance = block[at] | block[at + 1] << 8
        if not 0 < distance <= len(result):
            raise ValueError("an LZ4 match reaches back before the beginning")
        count, at = _length(block, at + 2, token & 15)
        count += 4
        start = len(result) - distance
        if distance >= count:
            result += result[start : start + count]
        else:  # The match overlaps what it writes: a repeated pattern.
            pattern = bytes(result[start:])
            result += (pattern * (count // distance + 1))[:count]


def _length(block: bytes, at: int, length: int) -> tuple[int, int]:
    """Return the length that starts with the four bits `length`, and the offset after its further bytes."""
    if length == 15:
        while True:
            byte = block[at]
            at += 1
            length += byte
            if byte != 255:
                break
    return length, at
