"""Disks in memory and in files, and what is put around them: each keeps the promises of Block, and a liar is found."""

from __future__ import annotations

import asyncio
import os
import random
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from sarab.device.block import Block
from sarab.device.errors import DeviceFailed, DeviceLost, OutOfRange
from sarab.device.network import Buffer
from sarab.driver.disk_file import FileDisk
from sarab.driver.disk_memory import MemoryDisk
from sarab.driver.disk_wrappers import FaultyDisk, TracedDisk, Wear
from sarab.testing.checks.block import check_block
from sarab.testing.checks.promise import Broken

SECTORS = 4096


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


def file_of(folder: Path, size: int = SECTORS * 512) -> str:
    path = folder / "disk.img"
    path.write_bytes(bytes(size))
    return str(path)


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize("sector_size", [512, 4096])
def test_a_disk_in_memory_keeps_the_promises(sector_size: int, read_only: bool) -> None:
    check_block(lambda: MemoryDisk(SECTORS, sector_size=sector_size, read_only=read_only))


@pytest.mark.parametrize("read_only", [False, True])
def test_a_disk_in_a_file_keeps_the_promises(tmp_path: Path, read_only: bool) -> None:
    path = file_of(tmp_path)
    check_block(lambda: FileDisk(path, read_only=read_only))


def test_wrappers_keep_the_promises() -> None:
    check_block(lambda: FaultyDisk(MemoryDisk(SECTORS), Wear(jitter=0.0001)))
    check_block(lambda: TracedDisk(MemoryDisk(SECTORS), lambda line: None))


class Liar(MemoryDisk):
    """Each kind breaks one promise."""

    def __init__(self, lie: str) -> None:
        super().__init__(SECTORS, read_only=lie == "writes though it is read-only")
        self.lie = lie
        if lie == "odd sectors":
            self.sector_size = 1000

    async def read(self, sector: int, count: int) -> bytes:
        if self.lie == "reads beyond its end" and sector + count > self.sectors:
            return bytes(count * self.sector_size)
        if self.lie == "never answers" and count > 1:
            await asyncio.sleep(1000)
        data = await super().read(sector, count)
        if self.lie == "one read at a time" and count == 1:
            self.busy = getattr(self, "busy", 0) + 1
            await asyncio.sleep(0)
            if self.busy > 1:
                data = bytes(len(data))
            self.busy -= 1
        return data[:-1] if self.lie == "short reads" else data

    async def write(self, sector: int, data: Buffer) -> None:
        if self.lie == "forgets" and sector == 2:
            return
        if self.lie == "writes though it is read-only":
            return
        if self.lie == "half sectors" and len(data) % 512:
            data = bytes(data)[: len(data) // 512 * 512]
        if self.lie == "long writes are cut":
            data = bytes(data)[: 1 << 18]
        await super().write(sector, data)

    async def discard(self, sector: int, count: int) -> None:
        await super().discard(sector, count + (self.lie == "discards too much" and 0 < count < 100))


@pytest.mark.parametrize(
    "lie",
    ["odd sectors", "reads beyond its end", "short reads", "forgets", "writes though it is read-only", "half sectors",
     "long writes are cut", "discards too much", "one read at a time", "never answers"],
)  # fmt: skip
def test_the_checker_finds_a_disk_that_lies(lie: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sarab.testing.checks.promise.PATIENCE_SECONDS", 0.5)
    with pytest.raises(Broken):
        check_block(lambda: Liar(lie))


def test_a_crash_keeps_what_was_flushed_and_draws_the_rest() -> None:
    disk = MemoryDisk(64)
    run(disk.write(0, b"a" * 512 * 64))
    run(disk.flush())
    run(disk.write(0, b"b" * 512 * 32))
    left = disk.crashed(random.Random(1))
    sectors = [run(left.read(at, 1))[:1] for at in range(64)]
    assert sectors[32:] == [b"a"] * 32
    assert set(sectors[:32]) == {b"a", b"b"}
    run(disk.flush())
    assert run(disk.crashed(random.Random(1)).read(0, 32)) == b"b" * 512 * 32


def test_a_disk_in_a_file_says_why_it_is_none(tmp_path: Path) -> None:
    def why(path: Path, read_only: bool = False) -> str:
        with pytest.raises(DeviceLost) as caught:
            FileDisk(str(path), read_only=read_only)
        return str(caught.value).removeprefix(f"the disk {path} ")

    assert why(tmp_path / "none") == "cannot be opened: No such file or directory"
    assert why(tmp_path) == "cannot be opened: Is a directory"
    assert why(Path(file_of(tmp_path, 1000))) == "has 1000 bytes, which are no whole sectors of 512"
    path = Path(file_of(tmp_path))
    disk = FileDisk(str(path))
    assert why(path) == why(path, True) == "is used by another machine or process"
    disk.close()
    first, second = FileDisk(str(path), read_only=True), FileDisk(str(path), read_only=True)
    assert why(path) == "is used by another machine or process"
    first.close()
    second.close()
    FileDisk(str(path)).close()


def test_what_was_flushed_is_in_the_file_and_a_closed_disk_is_gone(tmp_path: Path) -> None:
    async def main() -> None:
        disk = FileDisk(path)
        await disk.write(3, b"x" * 512)
        await disk.flush()
        disk.close()
        with pytest.raises(DeviceLost):
            await disk.read(0, 1)

    path = file_of(tmp_path)
    run(main())
    assert Path(path).read_bytes()[3 * 512 : 4 * 512] == b"x" * 512


def test_flush_waits_for_a_write_whose_caller_was_cancelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    begun, go = threading.Event(), threading.Event()
    write, sync = os.pwrite, os.fdatasync

    def slow(descriptor: int, data: Any, offset: int) -> int:
        begun.set()
        go.wait(10)
        order.append("written")
        return write(descriptor, data, offset)

    def synced(descriptor: int) -> None:
        order.append("synced")
        sync(descriptor)

    async def main() -> None:
        disk = FileDisk(path)
        task = asyncio.ensure_future(disk.write(0, bytes(512)))
        await asyncio.to_thread(begun.wait, 10)
        task.cancel()
        flush = asyncio.ensure_future(disk.flush())
        await asyncio.sleep(0.05)
        assert order == []
        go.set()
        await flush
        disk.close()

    path = file_of(tmp_path)
    monkeypatch.setattr(os, "pwrite", slow)
    monkeypatch.setattr(os, "fdatasync", synced)
    run(main())
    assert order == ["written", "synced"]


def test_a_file_that_was_cut_short_fails_the_request_only(tmp_path: Path) -> None:
    async def main() -> None:
        disk = FileDisk(path)
        with open(path, "r+b") as file:
            file.truncate(1024)
        with pytest.raises(DeviceFailed):
            await disk.read(4, 1)
        assert await disk.read(0, 1) == bytes(512)
        disk.close()

    path = file_of(tmp_path)
    run(main())


def outcomes(make: Callable[[Block], FaultyDisk]) -> list[str]:
    async def main() -> list[str]:
        disk = make(MemoryDisk(64))
        found = []
        for number in range(50):
            try:
                await (disk.write(0, bytes(512 * 8)) if number % 2 else disk.read(0, 1))
                found.append("")
            except DeviceFailed as error:
                found.append(str(error))
        return found

    result: list[str] = run(main())
    return result


def test_faults_replay_from_their_seed() -> None:
    wear = Wear(fail_reads=0.2, fail_writes=0.5)
    first = outcomes(lambda disk: FaultyDisk(disk, wear, 5))
    assert first == outcomes(lambda disk: FaultyDisk(disk, wear, 5))
    assert first != outcomes(lambda disk: FaultyDisk(disk, wear, 6))
    assert {text[:6] for text in first} == {"", "a read", "a writ"}


def test_a_torn_write_leaves_sectors_from_the_front_and_a_lost_disk_stays_lost() -> None:
    async def main() -> None:
        inner = MemoryDisk(64)
        disk = FaultyDisk(inner, Wear(fail_writes=1.0, torn=1.0, lost_after=30), 3)
        seen = set()
        for _ in range(30):
            await inner.write(0, bytes(512 * 8))
            with pytest.raises(DeviceFailed):
                await disk.write(0, b"x" * 512 * 8)
            data = await inner.read(0, 8)
            kept = data.count(b"x")
            assert data == (b"x" * kept).ljust(512 * 8, b"\0")
            seen.add(kept // 512)
        assert len(seen) > 3
        assert max(seen) < 8
        for _ in range(2):
            with pytest.raises(DeviceLost):
                await disk.read(0, 1)

    run(main())


def test_a_traced_disk_prints_a_line_a_request() -> None:
    async def main() -> None:
        await disk.write(2, bytes(1024))
        await disk.read(0, 4)
        await disk.flush()
        with pytest.raises(OutOfRange):
            await disk.read(64, 1)

    now = iter(range(0, 100_000_000, 1_000_000))
    lines: list[str] = []
    disk = TracedDisk(MemoryDisk(64), lines.append, lambda: next(now))
    run(main())
    assert lines == [
        "0.002000 write 2+2 (1.0 ms)",
        "0.004000 read 0+4 (1.0 ms)",
        "0.006000 flush (1.0 ms)",
        "0.008000 read 64+1 (1.0 ms): 1 sectors from 64 on are not on a disk of 64",
    ]
