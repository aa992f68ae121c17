"""Applications, devices and providers that the tests of the wiring put together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Annotated, Self

from sarab import Block, Clock, Key, KeyValue, Name, Random, Size, unikernel

EVENTS: list[str] = []


class Disk:
    """A Block by its methods alone."""

    def __init__(self, name: Name, *, size: Annotated[Size, Key("bytes")] = Size("1MiB")) -> None:
        self.name, self.sector_size, self.sectors, self.read_only = name, 512, size // 512, False

    async def read(self, sector: int, count: int) -> bytes:
        return bytes(count * self.sector_size)

    async def write(self, sector: int, data: bytes | bytearray | memoryview) -> None: ...

    async def flush(self) -> None: ...

    async def discard(self, sector: int, count: int) -> None: ...


class Slow:
    """A Clock but for sleep(), which is not async."""

    def monotonic(self) -> int:
        return 0

    def wall(self) -> int:
        return 0

    def now(self) -> None: ...

    def sleep(self, seconds: float) -> None: ...


class Dice:
    def bytes(self, count: int) -> bytes:
        return bytes(count)

    def below(self, bound: int) -> int:
        return 0


class Opened(Dice):
    async def __aenter__(self) -> Self:
        EVENTS.append("opened")
        return self

    async def __aexit__(self, *_: object) -> None:
        EVENTS.append("closed")


def dice() -> Random:
    return Dice()


async def awaited_dice() -> Random:
    return Dice()


async def generated_dice() -> AsyncIterator[Random]:
    EVENTS.append("generator begins")
    yield Dice()
    EVENTS.append("generator ends")


def yielded_dice() -> Iterator[Random]:
    EVENTS.append("iterator begins")
    yield Dice()
    EVENTS.append("iterator ends")


@asynccontextmanager
async def managed_dice() -> AsyncIterator[Random]:
    EVENTS.append("manager begins")
    yield Dice()
    EVENTS.append("manager ends")


def opened_dice() -> Opened:
    return Opened()


class Mirror(Disk):
    """A wrapper: it needs the type that it provides."""

    def __init__(self, below: Block) -> None:
        self.below = below
        super().__init__(Name("mirror"))


def first(below: KeyValue) -> Random:
    return Dice()


def second(below: Random) -> KeyValue:
    raise NotImplementedError


def untyped():  # type: ignore[no-untyped-def]
    return Dice()


@unikernel
async def plain(random: Random, *, port: Annotated[int, Key("TCP port")] = 8080) -> int:
    """Say the port."""
    EVENTS.append(f"main {type(random).__name__} {port}")
    return port


@unikernel(providers=[Disk])
async def disks(data: Block, logs: Annotated[Block, Name("log-disk")]) -> None:
    assert data is not logs


@unikernel(providers=[Mirror], devices={"data": Disk})
async def two_ways(data: Block) -> None: ...


@unikernel
async def optional(clock: Clock, cache: KeyValue | None = None) -> None:
    assert cache is None
