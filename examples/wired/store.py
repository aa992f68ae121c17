"""A key-value service whose values are on a disk, and outlive the machine.

    truncate -s 1M data.img
    sarab run --block data=data.img -p 6000:6000 examples/wired/store.py
    printf 'set colour blue\nget colour\n' | nc localhost 6000

The store is a provider of its own: it needs a Block, and provides what the service needs.
"""

import asyncio
from typing import Annotated, Protocol

from sarab import Block, Console, Flow, Key, Stack, unikernel

ENTRY_MAX = 400
"""Bytes of a key and its value together: an entry fills one sector at most."""


class Store(Protocol):
    """What the service needs."""

    def get(self, key: str) -> str | None:
        """Return the value of a key."""

    async def set(self, key: str, value: str) -> None:
        """Return when the value is on the disk. Raises ValueError if it is too long, or the disk is full."""


class Journal:
    """A Store on a Block: each change fills a sector behind the one before; a start reads them all."""

    def __init__(self, disk: Block) -> None:
        self._disk = disk
        self._values: dict[str, str] = {}
        self._end = 0
        self._turn = asyncio.Lock()

    async def load(self) -> None:
        """Read what is there, up to the first sector that is no entry."""
        while self._end < self._disk.sectors:
            sector = await self._disk.read(self._end, 1)
            size = int.from_bytes(sector[:2], "big")
            if not size:
                return
            key, _, value = sector[2 : 2 + size].decode().partition("=")
            self._values[key] = value
            self._end += 1

    def get(self, key: str) -> str | None:
        """See Store."""
        return self._values.get(key)

    async def set(self, key: str, value: str) -> None:
        """See Store."""
        entry = f"{key}={value}".encode()
        async with self._turn:
            if len(entry) > ENTRY_MAX or self._end >= self._disk.sectors:
                raise ValueError("the entry is too long" if len(entry) > ENTRY_MAX else "the disk is full")
            sector = len(entry).to_bytes(2, "big") + entry
            await self._disk.write(self._end, sector.ljust(self._disk.sector_size, b"\0"))
            await self._disk.flush()
            self._end += 1
            self._values[key] = value


async def journal(data: Block) -> Store:
    """Provide the Store, on the disk that is called data."""
    store = Journal(data)
    await store.load()
    return store


async def reply(store: Store, words: list[str]) -> str:
    """Return the answer to one line."""
    match words:
        case ["get", key]:
            return store.get(key) or "(nothing)"
        case ["set", key, *value] if "=" not in key:
            try:
                await store.set(key, " ".join(value))
            except ValueError as error:
                return f"error: {error}"
            return "ok"
        case _:
            return "error: get KEY, or set KEY VALUE"


async def serve(flow: Flow, store: Store) -> None:
    """Answer one client, line by line."""
    try:
        async with flow:
            while line := await flow.read_until(b"\n", 1024):
                answer = await reply(store, line.decode("utf-8", "replace").split())
                await flow.write(f"{answer}\n".encode())
    except (OSError, ValueError):
        pass


@unikernel(providers=[journal])
async def main(
    stack: Stack, data: Store, console: Console, *, port: Annotated[int, Key("TCP port to listen on")] = 6000
) -> None:
    """Keep values under keys, on a disk."""
    async with await stack.listen_tcp(port) as listener, asyncio.TaskGroup() as tasks:
        console.write("storing\n")
        async for flow in listener:
            tasks.create_task(serve(flow, data))
