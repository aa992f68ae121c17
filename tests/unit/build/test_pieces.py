"""A file system in pieces: what is divided is joined again, and whatever else is joined is refused."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest

from sarab.build import pieces, sarabfs
from sarab.build.errors import Malformed
from sarab.build.pieces import PIECE_SIZE, Stretch, divide, join
from sarab.build.tree import File, Tree

HEADER = 32
NOISE = random.Random(3).randbytes(300_000)
TEXT = b"".join(b"%d of many lines, each one a little different\n" % n for n in range(8000))
ZEROES = bytes(200_000)
WORTHS = [pieces.CHEAP, pieces.SMALLEST]


def file_system(*contents: bytes) -> bytes:
    tree = Tree()
    for number, content in enumerate(contents or (NOISE, TEXT, ZEROES, b"small")):
        tree.add(f"/data/{number:03}", File(content))
    return sarabfs.write(tree)


def joined(stretches: Sequence[Stretch]) -> bytes:
    return bytes(join(stretches, sarabfs.read_superblock(memoryview(stretches[0].data))))


@pytest.mark.parametrize("worth", WORTHS)
@pytest.mark.parametrize("contents", [(), (b"small",), (NOISE,), (ZEROES,), (b"",), (NOISE + ZEROES,) * 3])
def test_what_is_divided_is_joined_again(contents: tuple[bytes, ...], worth: tuple[float, ...]) -> None:
    whole = file_system(*contents)
    assert joined(divide(whole, worth)) == whole


def test_equal_file_systems_are_divided_into_equal_bytes() -> None:
    assert divide(file_system(), pieces.CHEAP) == divide(file_system(), pieces.CHEAP)


def test_noise_stays_where_it_is_and_zeroes_do_not() -> None:
    whole = file_system(NOISE, ZEROES)
    first, *others, table = divide(whole, pieces.SMALLEST)
    assert NOISE[:200_000] in bytes(first.data)
    assert not others
    assert table.offset == len(whole)
    assert len(first.data) + len(table.data) < len(whole) - len(ZEROES) + PIECE_SIZE


def test_stretches_lie_on_pages_and_apart() -> None:
    stretches = divide(file_system(*[NOISE, ZEROES] * 20), pieces.SMALLEST)
    assert len(stretches) > 10
    for before, after in pairwise(stretches):
        assert after.offset % 4096 == 0
        assert before.offset + len(before.data) < after.offset or after is stretches[-1]


def test_no_more_stretches_than_loaders_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "RUN_COUNT_MAX", 3)
    whole = file_system(NOISE[:100_000], ZEROES, NOISE, ZEROES, *[NOISE[:90_000], ZEROES] * 5)
    stretches = divide(whole, pieces.SMALLEST)
    assert len(stretches) <= 1 + 3 + 1  # the metadata, the runs, the table
    assert max(len(stretch.data) for stretch in stretches[:-1]) >= len(NOISE) - 2 * PIECE_SIZE, "the longest stays"
    assert joined(stretches) == whole


def test_more_is_compressed_the_less_it_has_to_save() -> None:
    sizes = [sum(len(s.data) for s in divide(file_system(TEXT, NOISE), worth)) for worth in ((0.01,), *WORTHS)]
    assert sizes[0] > sizes[1] >= sizes[2]


def test_more_is_compressed_only_to_bring_an_image_into_its_room() -> None:
    whole = file_system(TEXT, b"".join(struct.pack("<Q", number * 7919) for number in range(20_000)), NOISE[:4000])

    def size(worth: tuple[float, ...], room: int = 0) -> int:
        return sum(len(stretch.data) for stretch in divide(whole, worth, room=room))

    little, much = size((0.2,)), size((0.8,))
    assert little > much
    assert size((0.2, 0.8, 0.2), little) == little
    assert size((0.2, 0.8, 0.2), much) == much
    assert size((0.2, 0.8, 0.2), much - 10_000) == little, "it is not small anyway: it shall at least start fast"


def test_a_compressor_that_remembers_is_asked_for_every_piece() -> None:
    asked: list[bytes] = []

    def compressor(piece: bytes) -> bytes:
        asked.append(piece)
        return pieces.compress(piece)

    whole = file_system()
    assert divide(whole, pieces.CHEAP, compressor=compressor) == divide(whole, pieces.CHEAP)
    assert b"".join(asked) == whole[sarabfs.read(whole).superblock.data_offset :]


def damaged(change: Callable[[bytearray], None], *, mend: bool = True) -> list[Stretch]:
    """Change the table; with `mend`, its checksum fits."""
    *plain, table = divide(file_system(), pieces.SMALLEST)
    data = bytearray(table.data)
    count = struct.unpack_from("<I", data, 20)[0]
    change(data)
    if mend:
        struct.pack_into("<I", data, 24, zlib.crc32(data[HEADER : HEADER + 4 * (count + 1)]))
    return [*plain, Stretch(table.offset, bytes(data))]


def put(offset: int, layout: str, value: int) -> Callable[[bytearray], None]:
    return lambda data: struct.pack_into(layout, data, offset, value)


def cut(data: bytearray) -> None:
    del data[-100:]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (put(0, "<B", 0), "header"),
        (put(8, "<Q", 1 << 40), "header"),
        (put(16, "<I", 4096), "header"),
        (put(16, "<I", 0), "header"),
        (put(20, "<I", 0), "number of compressed pieces"),
        (put(20, "<I", 0xFFFFFFFF), "number of compressed pieces"),
        (put(28, "<I", 1), "header"),
        (put(HEADER, "<I", 5), "inconsistent"),
        (put(HEADER + 4 * 12, "<I", 0xFFFFFFFF), "inconsistent"),
        (cut, "header"),
    ],
)
def test_a_damaged_table_is_refused(change: Callable[[bytearray], None], said: str) -> None:
    with pytest.raises(Malformed, match=said):
        joined(damaged(change))


def test_a_table_with_another_checksum_is_refused() -> None:
    with pytest.raises(Malformed, match="checksum"):
        joined(damaged(put(HEADER + 8, "<I", 7), mend=False))


def test_a_damaged_block_is_refused() -> None:
    *plain, table = divide(file_system(ZEROES), pieces.SMALLEST)
    data = bytearray(table.data)
    data[-80:] = b"\xff" * 80
    with pytest.raises(Malformed, match="damaged"):
        joined([*plain, Stretch(table.offset, bytes(data))])


def test_a_missing_stretch_is_refused() -> None:
    stretches = divide(file_system(ZEROES, NOISE, ZEROES, NOISE), pieces.SMALLEST)
    assert len(stretches) == 4
    del stretches[1]
    with pytest.raises(Malformed, match="missing"):
        joined(stretches)


def test_stretches_that_overlap_are_refused() -> None:
    stretches = divide(file_system(ZEROES, NOISE, ZEROES, NOISE), pieces.SMALLEST)
    stretches.insert(2, Stretch(stretches[1].offset + 4096, bytes(4096)))
    with pytest.raises(Malformed, match="overlap"):
        joined(stretches)


def test_a_superblock_that_promises_more_than_its_blocks_can_give_is_refused() -> None:
    first, *others, table = divide(file_system(ZEROES), pieces.SMALLEST)
    total = 1 << 44
    head = bytearray(first.data)
    struct.pack_into("<Q", head, 8, total)
    with pytest.raises(Malformed):
        joined([Stretch(0, bytes(head)), *others, Stretch(total, table.data)])
