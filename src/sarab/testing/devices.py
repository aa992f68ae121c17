"""The clock, the randomness, the console and the log of a host of a World."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from sarab.device.log import Field, Level
from sarab.testing.virtual import BEGIN, SECOND

if TYPE_CHECKING:
    from sarab.testing.world import World

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""What the clock on the wall shows when a world begins."""
_EPOCH_NS = int(EPOCH.timestamp()) * SECOND


CONSOLE_CHARACTERS_MAX = 16 << 20
"""Of what a host prints, for a test that ends: more is a program that has gone mad."""
EVENTS_MAX = 200_000
"""Of a host's log; of more, the first half is forgotten."""


class Event(NamedTuple):
    """Something that a host's Log was told."""

    time: int
    """Nanoseconds of virtual time since the world began."""
    level: Level
    name: str
    """Of the part of the log; "" of the log itself."""
    message: str
    fields: dict[str, Field]

    def text(self) -> str:
        """Return it as one line."""
        words = [self.level.name.lower(), *([f"{self.name}:"] if self.name else []), _shown(self.message)]
        return " ".join((*words, *(f"{name}={_shown(value)}" for name, value in self.fields.items())))


def _shown(value: object) -> str:
    try:
        return str(value)
    except Exception:
        return "(it has no text)"


class HostClock:
    """device.clock.Clock: the world's time."""

    def __init__(self, world: World) -> None:
        self._world = world

    def monotonic(self) -> int:
        """See Clock."""
        return self._world.loop.now

    def wall(self) -> int:
        """See Clock."""
        return _EPOCH_NS + self._world.loop.now - BEGIN

    def now(self) -> datetime:
        """See Clock."""
        return EPOCH + timedelta(microseconds=(self._world.loop.now - BEGIN) // 1000)

    async def sleep(self, seconds: float) -> None:
        """See Clock."""
        await asyncio.sleep(seconds)


class HostRandom:
    """device.random.Random, from a seed: for tests and nothing else."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    def bytes(self, count: int) -> bytes:
        """See Random."""
        return self._chance.randbytes(count)

    def below(self, bound: int) -> int:
        """See Random."""
        if bound < 1:
            raise ValueError(f"there is no number below {bound}")
        return self._chance.randrange(bound)


class HostConsole:
    """device.console.Console; what was written on it stays when the host ends."""

    def __init__(self) -> None:
        self._pieces: deque[str] = deque()
        self._size = 0
        self._typed: asyncio.Queue[str] = asyncio.Queue()

    @property
    def text(self) -> str:
        """Everything that was written, print() included; of very much, the last CONSOLE_CHARACTERS_MAX."""
        return "".join(self._pieces)

    @property
    def lines(self) -> list[str]:
        """The text in lines, without their ends."""
        return self.text.splitlines()

    def write(self, text: str) -> None:
        """See Console."""
        self._pieces.append(text)
        self._size += len(text)
        while self._size > CONSOLE_CHARACTERS_MAX and len(self._pieces) > 1:
            self._size -= len(self._pieces.popleft())

    async def read_line(self) -> str:
        """See Console."""
        line = await self._typed.get()
        if line == "":
            self._typed.put_nowait(line)  # the end is the end for ever
        return line

    def type(self, line: str) -> None:
        """Have the program read this line; its end is added. "" is the end of the input."""
        self._typed.put_nowait(line if line == "" or line.endswith("\n") else f"{line}\n")


class HostLog:
    """device.log.Log: keeps what it is told in `events`."""

    def __init__(self, world: World, events: list[Event], name: str = "") -> None:
        self._world, self._events, self._name = world, events, name

    def _add(self, level: Level, message: str, fields: dict[str, Field]) -> None:
        if len(self._events) >= EVENTS_MAX:
            del self._events[: EVENTS_MAX // 2]
        self._events.append(Event(self._world.loop.now - BEGIN, level, self._name, message, fields))

    def debug(self, message: str, /, **fields: Field) -> None:
        """See Log."""
        self._add(Level.DEBUG, message, fields)

    def info(self, message: str, /, **fields: Field) -> None:
        """See Log."""
        self._add(Level.INFO, message, fields)

    def warning(self, message: str, /, **fields: Field) -> None:
        """See Log."""
        self._add(Level.WARNING, message, fields)

    def error(self, message: str, /, **fields: Field) -> None:
        """See Log."""
        self._add(Level.ERROR, message, fields)

    def named(self, name: str, /) -> HostLog:
        """See Log."""
        return HostLog(self._world, self._events, f"{self._name}.{name}" if self._name else name)
