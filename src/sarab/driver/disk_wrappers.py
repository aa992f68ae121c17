"""Disks around a disk: one that fails as it is drawn from a seed, one that prints a line a request."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from random import Random
from typing import NamedTuple

from sarab.device.block import Block
from sarab.device.errors import DeviceError, DeviceFailed, DeviceLost
from sarab.device.network import Buffer

SECOND = 1_000_000_000


class Wear(NamedTuple):
    """What happens to a request: probabilities between 0 and 1, times in seconds."""

    fail_reads: float = 0.0
    fail_writes: float = 0.0
    fail_flushes: float = 0.0
    torn: float = 0.0
    """So many of the writes that fail have written some of their sectors, from the front."""
    delay: float = 0.0
    jitter: float = 0.0
    """Up to so much is added to `delay`; what follows may overtake."""
    lost_after: int = 0
    """Requests after which the disk is gone; 0: never."""


class _Around:
    """What is the same of a disk and of the one around it."""

    def __init__(self, disk: Block) -> None:
        self._disk = disk

    @property
    def sector_size(self) -> int:
        """See Block."""
        return self._disk.sector_size

    @property
    def sectors(self) -> int:
        """See Block."""
        return self._disk.sectors

    @property
    def read_only(self) -> bool:
        """See Block."""
        return self._disk.read_only


class FaultyDisk(_Around):
    """A disk around a disk; device.block.Block. Equal seeds and equal requests, one by one, give equal faults."""

    def __init__(self, disk: Block, wear: Wear, seed: int = 0) -> None:
        self.wear = wear
        self.counters = {"requests": 0, "failed": 0, "torn": 0}
        super().__init__(disk)
        self._chance = Random(f"{seed}")

    async def read(self, sector: int, count: int) -> bytes:
        """See Block."""
        failed, _ = await self._fate(self.wear.fail_reads)
        if failed:
            raise DeviceFailed(f"a read of {count} sectors from {sector} on was made to fail")
        return await self._disk.read(sector, count)

    async def write(self, sector: int, data: Buffer) -> None:
        """See Block."""
        failed, part = await self._fate(self.wear.fail_writes)
        if not failed:
            await self._disk.write(sector, data)
            return
        size = self.sector_size
        view = memoryview(data).cast("B")
        written = int(part * (len(view) // size)) * size
        if written:
            self.counters["torn"] += 1
            await self._disk.write(sector, view[:written])
        raise DeviceFailed(f"a write of {len(view) // size} sectors from {sector} on was made to fail")

    async def flush(self) -> None:
        """See Block."""
        failed, _ = await self._fate(self.wear.fail_flushes)
        if failed:
            raise DeviceFailed("a flush was made to fail")
        await self._disk.flush()

    async def discard(self, sector: int, count: int) -> None:
        """See Block; it suffers as a write does."""
        failed, _ = await self._fate(self.wear.fail_writes)
        if failed:
            raise DeviceFailed(f"a discard of {count} sectors from {sector} on was made to fail")
        await self._disk.discard(sector, count)

    async def _fate(self, probability: float) -> tuple[bool, float]:
        """Return whether the request fails, and which part of a write is done all the same. Draws equally often."""
        wear, draw, counters = self.wear, self._chance.random, self.counters
        failed, torn, part, late = draw() < probability, draw() < wear.torn, draw(), draw()
        counters["requests"] += 1
        counters["failed"] += failed
        if wear.lost_after and counters["requests"] > wear.lost_after:
            raise DeviceLost(f"the disk was made to vanish after {wear.lost_after} requests")
        if wear.delay or wear.jitter:
            await asyncio.sleep(wear.delay + late * wear.jitter)
        return failed, part if torn else 0.0


class TracedDisk(_Around):
    """A disk around a disk; device.block.Block. A line a request, when it has ended.

    0.000412 read 8+16 (0.1 ms)
    """

    def __init__(
        self, disk: Block, write: Callable[[str], object], clock: Callable[[], int] = time.monotonic_ns
    ) -> None:
        """Give each line, without its end, to `write`. `clock` is in ns; the first number is seconds since now."""
        super().__init__(disk)
        self._print, self._clock = write, clock
        self._start = clock()

    async def read(self, sector: int, count: int) -> bytes:
        """See Block."""
        with _Line(self, f"read {sector}+{count}"):
            return await self._disk.read(sector, count)

    async def write(self, sector: int, data: Buffer) -> None:
        """See Block."""
        with _Line(self, f"write {sector}+{memoryview(data).nbytes / self.sector_size:g}"):
            await self._disk.write(sector, data)

    async def flush(self) -> None:
        """See Block."""
        with _Line(self, "flush"):
            await self._disk.flush()

    async def discard(self, sector: int, count: int) -> None:
        """See Block."""
        with _Line(self, f"discard {sector}+{count}"):
            await self._disk.discard(sector, count)


class _Line:
    """One request's line, printed when its block ends."""

    def __init__(self, traced: TracedDisk, what: str) -> None:
        self._traced, self._what = traced, what

    def __enter__(self) -> None:
        self._began = self._traced._clock()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        traced = self._traced
        now = traced._clock()
        end = ""
        if kind is not None:
            end = f": {error}" if isinstance(error, DeviceError) else f": {kind.__name__}"
        spent = (now - self._began) / 1e6
        traced._print(f"{(now - traced._start) / SECOND:.6f} {self._what} ({spent:.1f} ms){end}")
