"""What every device.block.Block promises, checked: `check_block(make)`.

    check_block(lambda: MemoryDisk(2048))

What the disk held is lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sarab.device.block import Block
from sarab.device.errors import OutOfRange, ReadOnly
from sarab.testing.checks.promise import Run, must, must_raise, opened, within

SECTORS_MIN = 64
"""What a disk that is checked must have."""
AT_ONCE = 40
"""Requests that are made together: more than a disk has room for."""
LONG_BYTES = 1 << 20
"""A transfer that a disk has to cut into pieces."""


def check_block(make: Callable[[], object], run: Run = asyncio.run) -> None:
    """Check a disk; `make` returns a fresh one, to be awaited or entered if it must be. Raises Broken."""
    run(_check(make))


async def _check(make: Callable[[], object]) -> None:
    for check in (_facts, _writes, _bounds, _many, _long, _discards):
        async with opened(make()) as disk:
            must(disk.sectors >= SECTORS_MIN, f"a disk that is checked has {SECTORS_MIN} sectors: see make()")
            await within(check(disk), f"a disk answers ({check.__name__.strip('_')})")


def _pattern(disk: Block, count: int, seed: int) -> bytes:
    return b"".join((seed * 1000 + number).to_bytes(8, "big") * (disk.sector_size // 8) for number in range(count))


async def _facts(disk: Block) -> None:
    size = disk.sector_size
    must(type(size) is int and size >= 512 and size & size - 1 == 0, "sector_size is a power of two, at least 512")
    must(type(disk.sectors) is int, "sectors is a number")
    must(type(disk.read_only) is bool, "read_only is a bool")
    must((size, disk.sectors) == (disk.sector_size, disk.sectors), "the facts do not change")


async def _writes(disk: Block) -> None:
    size, last = disk.sector_size, disk.sectors - 1
    got = await disk.read(0, 3)
    must(type(got) is bytes and len(got) == 3 * size, "read() returns bytes, whole sectors, as many as were asked for")
    must(await disk.read(last, 1) == (await disk.read(last - 1, 2))[size:], "equal sectors are read equal")
    await disk.flush()
    if disk.read_only:
        await must_raise(ReadOnly, disk.write(0, got), "write() to a disk that is read-only raises ReadOnly")
        await must_raise(ReadOnly, disk.discard(0, 1), "discard() on a disk that is read-only raises ReadOnly")
        must(await disk.read(0, 3) == got, "a disk that is read-only stays as it is")
        return
    first = _pattern(disk, 4, 1)
    await disk.write(2, first)
    must(await disk.read(2, 4) == first, "what was written is read")
    second = bytearray(_pattern(disk, 2, 2))
    await disk.write(3, memoryview(second))
    second[:] = bytes(len(second))
    expected = first[:size] + _pattern(disk, 2, 2) + first[3 * size :]
    must(
        await disk.read(2, 4) == expected,
        "a write changes its own sectors and no others, and keeps no hold of its data",
    )
    await disk.write(last, first[:size])
    must(await disk.read(last, 1) == first[:size], "the last sector can be written")
    await disk.flush()
    must(await disk.read(2, 4) == expected, "flush() changes nothing that is read")


async def _bounds(disk: Block) -> None:
    size, sectors = disk.sector_size, disk.sectors
    before = await disk.read(sectors - 2, 2)
    for sector, count in ((sectors, 1), (sectors - 1, 2), (-1, 1), (1 << 63, 1), (0, sectors + 1), (0, -1)):
        words = f"({sector}, {count}) of {sectors} sectors raises OutOfRange"
        await must_raise(OutOfRange, disk.read(sector, count), f"read{words}")
        if not disk.read_only:
            await must_raise(OutOfRange, disk.discard(sector, count), f"discard{words}")
    must(await disk.read(0, 0) == b"", "read() of no sectors is b''")
    if disk.read_only:
        return
    for sector in (sectors - 1, sectors, -1):
        await must_raise(
            OutOfRange,
            disk.write(sector, bytes(2 * size)),
            f"write() at sector {sector} beyond the end raises OutOfRange",
        )
    for length in (1, size - 1, size + 1):
        await must_raise(
            OutOfRange, disk.write(0, bytes(length)), f"write() of {length} bytes, no whole sectors, raises OutOfRange"
        )
    must(await disk.read(sectors - 2, 2) == before, "a write that is refused writes nothing")
    await disk.write(0, b"")


async def _many(disk: Block) -> None:
    """Requests overlap in time, not in place."""
    count = min(AT_ONCE, disk.sectors)
    if disk.read_only:
        whole = await disk.read(0, count)
        size = disk.sector_size
        got = await asyncio.gather(*(disk.read(sector, 1) for sector in range(count)))
        must(
            got == [whole[at : at + size] for at in range(0, len(whole), size)],
            "reads at once give each its own sector",
        )
        return
    data = [_pattern(disk, 1, 100 + number) for number in range(count)]
    await asyncio.gather(*(disk.write(sector, data[sector]) for sector in reversed(range(count))))
    flushing = asyncio.ensure_future(disk.flush())
    got = await asyncio.gather(*(disk.read(sector, 1) for sector in range(count)))
    await flushing
    must(got == data, "requests made at once each do their own work")
    waiting = [asyncio.ensure_future(disk.read(sector, 1)) for sector in range(count)]
    await asyncio.sleep(0)
    for task in waiting[::2]:
        task.cancel()
    rest = await asyncio.gather(*waiting[1::2])
    await asyncio.gather(*waiting[::2], return_exceptions=True)
    must(rest == data[1::2], "a request that is cancelled takes no other with it")
    must(await disk.read(0, count) == b"".join(data), "a disk goes on after requests were cancelled")


async def _long(disk: Block) -> None:
    count = min(LONG_BYTES // disk.sector_size + 3, disk.sectors)
    if not disk.read_only:
        data = _pattern(disk, count, 7)
        await disk.write(0, data)
        must(await disk.read(0, count) == data, "a long transfer arrives whole and in order")
    must(len(await disk.read(0, count)) == count * disk.sector_size, "a long read is whole")


async def _discards(disk: Block) -> None:
    if disk.read_only:
        return
    data = _pattern(disk, 8, 9)
    size = disk.sector_size
    await disk.write(0, data)
    await disk.discard(2, 4)
    await disk.discard(0, 0)
    must(await disk.read(0, 2) == data[: 2 * size], "discard() leaves the sectors before it")
    must(await disk.read(6, 2) == data[6 * size :], "discard() leaves the sectors behind it")
    must(len(await disk.read(2, 4)) == 4 * size, "what was discarded can be read")
    await disk.write(2, data[2 * size : 6 * size])
    must(await disk.read(0, 8) == data, "what was discarded can be written again")
