"""A file system in pieces that the kernel decompresses when one is first needed: decision 0001.

`divide` makes of a file system what lies in memory when an image of it starts: stretches of it as they are, and behind
it a table and the compressed pieces. `join` is the way back; it believes nothing, and raises Malformed only.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import NamedTuple

from sarab.build import sarabfs
from sarab.build.errors import Malformed
from sarab.build.sarabfs import Superblock

PIECE_SIZE = 32 << 10
"""Of half this size an image of hello is 3% larger, of twice it starts 0.2 ms later: more of each is not needed."""
PIECE_COUNT_MAX = 1 << 16
"""The kernel's own bound: 2 GiB, and it reads no image that does not end below 1 GiB."""
RUN_COUNT_MAX = 96
"""Stretches that are stored where they belong, each a segment of the ELF file: the longest, for `sarab.build.elf` reads
no more than 256 segments, and other loaders have bounds of their own."""
CHEAP = (*(percent / 100 for percent in range(25, 61)), 0.4)
"""Pieces that get smaller than the first are mostly repetition: they are decompressed at 5 GB/s, and save most. Data,
symbols and relocations of an interpreter are like that. Of code and bytecode less than half can be saved, at a third
more time, and for a piece of code there is a page fault, too. So no more than brings an image below SIZE_AIM; the last
is for one that is larger anyway."""
SMALLEST = (0.95,)
"""A piece that does not even get smaller than this stays as it is in the smallest image, too."""
SIZE_AIM = 7_900_000
"""Bytes of an image of a small program: less than 8 MB, and somewhat less, for it is shown rounded."""
LEVEL = 12
THREADS_MAX = 8
MAGIC = b"SARABLZ4"
_LZ4_RATIO_MAX = 255
"""Of a block: it cannot say more than 255 bytes with one."""

_HEADER = struct.Struct("<8sQIIII")

Compressor = Callable[[bytes], bytes]


class Stretch(NamedTuple):
    """Bytes of memory, from an offset from the beginning of the file system on."""

    offset: int
    data: bytes | memoryview


def divide(
    file_system: bytes, worth: Sequence[float], *, room: int = 0, compressor: Compressor | None = None
) -> list[Stretch]:
    """Return the stretches of memory of which an image of `file_system` consists; equal inputs give equal bytes.

    The first begins at 0 with the superblock, each begins and ends on a page (the last only begins), and none touches
    another. A piece is compressed if it gets smaller than `worth` (CHEAP, SMALLEST) of itself: the first that brings
    all of them below `room` bytes, or else just the last.
    """
    superblock = sarabfs.read(file_system).superblock
    start, total = superblock.data_offset, len(file_system)
    pieces = [file_system[at : min(at + PIECE_SIZE, total)] for at in range(start, total, PIECE_SIZE)]
    if len(pieces) > PIECE_COUNT_MAX:
        raise Malformed(f"A file system of {total} bytes is too large to be compressed.")
    with ThreadPoolExecutor(min(os.cpu_count() or 1, THREADS_MAX)) as threads:
        compressed = list(threads.map(compressor or compress, pieces))
    for each in worth:
        blocks = _choose(pieces, compressed, each)
        if _size(blocks, start, total) <= room:
            break
    return _stretches(file_system, start, len(pieces), blocks)


def _choose(pieces: Sequence[bytes], compressed: Sequence[bytes], worth: float) -> dict[int, bytes]:
    """Return the blocks of all pieces but those that stay where they are."""
    ratios = [len(block) / len(piece) for block, piece in zip(compressed, pieces, strict=True)]
    there = {number for run in _longest_runs([ratio > worth for ratio in ratios]) for number in range(*run)}
    return {
        number: compressed[number] if ratios[number] <= SMALLEST[0] else piece
        for number, piece in enumerate(pieces)
        if number not in there
    }


def _size(blocks: dict[int, bytes], start: int, total: int) -> int:
    saved = sum(min(PIECE_SIZE, total - start - number * PIECE_SIZE) - len(block) for number, block in blocks.items())
    return total - saved


def _stretches(file_system: bytes, start: int, count: int, blocks: dict[int, bytes]) -> list[Stretch]:
    stretches, at = [], 0
    for first, end in _runs([number in blocks for number in range(count)]):
        stretches.append(Stretch(at, file_system[at : start + first * PIECE_SIZE]))
        at = min(start + end * PIECE_SIZE, len(file_system))
    stretches.append(Stretch(at, file_system[at:]))
    head = bytearray(stretches[0].data)
    struct.pack_into("<I", head, sarabfs.FLAGS_AT, sarabfs.FLAG_PIECES)
    stretches[0] = Stretch(0, bytes(head))
    stretches = [stretch for stretch in stretches if stretch.data]
    stretches.append(Stretch(len(file_system), _table([blocks.get(number, b"") for number in range(count)])))
    return stretches


def compress(piece: bytes) -> bytes:
    """Return `piece` as one LZ4 block, as small as LZ4 makes it."""
    import lz4.block  # type: ignore[import-untyped]

    return bytes(lz4.block.compress(piece, mode="high_compression", compression=LEVEL, store_size=False))


def compression() -> str:
    """Return what decides on the bytes that `compress` makes of a piece, beside the piece."""
    import lz4

    return f"{lz4.library_version_string()} {LEVEL}"


def join(stretches: Sequence[Stretch], superblock: Superblock) -> bytearray:
    """Return the file system of which an image consists of `stretches`; the superblock is that of the first."""
    start, total = superblock.data_offset, superblock.total_size
    *plain, last = stretches
    offsets, blocks = _read_table(last, start, total)
    if start > len(stretches[0].data) or total > sum(len(s.data) for s in plain) + _LZ4_RATIO_MAX * len(blocks):
        raise Malformed("The sizes of the image's compressed files are inconsistent.")
    whole = bytearray(total)
    covered = 0
    for stretch in plain:
        end = stretch.offset + len(stretch.data)
        if stretch.offset < covered or end > total:
            raise Malformed("The segments of the image's files overlap or leave it.")
        whole[stretch.offset : end] = stretch.data
        covered = end
    struct.pack_into("<I", whole, sarabfs.FLAGS_AT, 0)
    there = {
        number for s in plain for number in _inside(s.offset - start, s.offset + len(s.data) - start, total - start)
    }
    for number, (first, end) in enumerate(pairwise(offsets)):
        at = start + number * PIECE_SIZE
        size = min(PIECE_SIZE, total - at)
        if first == end and number not in there:
            raise Malformed(f"Piece {number} of the image's files is missing.")
        if first != end:
            whole[at : at + size] = _decompressed(blocks[first:end], size, number)
    return whole


def _inside(first: int, end: int, total: int) -> Iterable[int]:
    """Return the numbers of the pieces that lie wholly within [first, end), offsets into the data of `total` bytes."""
    whole = -(-end // PIECE_SIZE) if end == total else end // PIECE_SIZE
    return range(max(-(-first // PIECE_SIZE), 0), whole)


def _runs(wanted: Sequence[bool]) -> list[tuple[int, int]]:
    """Return (first, end) of every run of True."""
    edges = [number for number, (a, b) in enumerate(pairwise([False, *wanted, False])) if a != b]
    return list(zip(edges[::2], edges[1::2], strict=True))


def _longest_runs(wanted: Sequence[bool]) -> list[tuple[int, int]]:
    return sorted(_runs(wanted), key=lambda run: (run[0] - run[1], run[0]))[:RUN_COUNT_MAX]


def _table(blocks: Sequence[bytes]) -> bytes:
    offsets = [0]
    for block in blocks:
        offsets.append(offsets[-1] + len(block))
    if offsets[-1] >= 1 << 32:
        raise Malformed("The compressed files of the image are too large.")
    table = struct.pack(f"<{len(offsets)}I", *offsets)
    size = _HEADER.size + len(table) + offsets[-1]
    return _HEADER.pack(MAGIC, size, PIECE_SIZE, len(blocks), zlib.crc32(table), 0) + table + b"".join(blocks)


def _read_table(stretch: Stretch, start: int, total: int) -> tuple[tuple[int, ...], memoryview]:
    data = memoryview(stretch.data)
    if stretch.offset != total or len(data) < _HEADER.size:
        raise Malformed("The compressed files of the image are not behind its file system.")
    magic, size, piece_size, count, crc, reserved = _HEADER.unpack_from(data)
    if magic != MAGIC or size != len(data) or piece_size != PIECE_SIZE or reserved:
        raise Malformed("The header of the image's compressed files is damaged.")
    end = _HEADER.size + 4 * (count + 1)
    if count != -(-(total - start) // PIECE_SIZE) or count > PIECE_COUNT_MAX or end > len(data):
        raise Malformed("The image has another number of compressed pieces than its size asks for.")
    table = data[_HEADER.size : end]
    if zlib.crc32(table) != crc:
        raise Malformed("The checksum of the image's compressed pieces is wrong: the image is damaged.")
    offsets = struct.unpack(f"<{count + 1}I", table)
    if offsets[0] or offsets[-1] != len(data) - end or any(a > b for a, b in pairwise(offsets)):
        raise Malformed("The table of the image's compressed pieces is inconsistent.")
    return offsets, data[end:]


def _decompressed(block: memoryview, size: int, number: int) -> bytes | memoryview:
    if len(block) == size:
        return block
    import lz4.block

    try:
        piece = bytes(lz4.block.decompress(block, uncompressed_size=size))
    except (lz4.block.LZ4BlockError, ValueError, MemoryError):
        piece = b""
    if len(piece) != size:
        raise Malformed(f"Piece {number} of the image's compressed files is damaged.")
    return piece
