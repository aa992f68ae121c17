"""A wire on virtual time that loses, delays, reorders, duplicates and corrupts, all from a seed."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")
MILLISECOND = 1_000_000


class Weather(NamedTuple):
    """What a wire does to what it carries; probabilities between 0 and 1, times in nanoseconds."""

    delay: int = 5 * MILLISECOND
    jitter: int = 0
    """Up to so much is added: what follows may overtake."""
    loss: float = 0.0
    duplicate: float = 0.0
    corrupt: float = 0.0
    rate: int = 0
    """Bytes a second; 0: no bound."""
    queue: int = 1 << 20
    """Bytes that wait for a wire of bounded rate; what comes on top is lost."""


class Wire(Generic[T]):
    """One direction. `size` tells how long a thing is; `corrupt`, if given, returns what became of a damaged one."""

    def __init__(
        self,
        random: random.Random,
        weather: Weather,
        size: Callable[[T], int],
        corrupt: Callable[[T], T | None] | None = None,
    ) -> None:
        self.weather = weather
        self.lost = 0
        self._random, self._size, self._corrupt = random, size, corrupt
        self._flying: list[tuple[int, int, T]] = []
        self._count = 0
        self._free_at = 0

    def send(self, now: int, thing: T) -> None:
        """Put a thing on the wire."""
        weather, draw = self.weather, self._random.random
        if draw() < weather.loss:
            self.lost += 1
            return
        if weather.corrupt and draw() < weather.corrupt:
            damaged = self._corrupt(thing) if self._corrupt else None
            if damaged is None:
                self.lost += 1
                return
            thing = damaged
        start = now
        if weather.rate:
            start = max(now, self._free_at)
            if (start - now) * weather.rate // 1_000_000_000 > weather.queue:
                self.lost += 1
                return
            self._free_at = start + self._size(thing) * 1_000_000_000 // weather.rate
        for _ in range(2 if draw() < weather.duplicate else 1):
            arrival = start + weather.delay + (int(draw() * weather.jitter) if weather.jitter else 0)
            self._count += 1
            heapq.heappush(self._flying, (arrival, self._count, thing))

    def receive(self, now: int) -> list[T]:
        """Return what has arrived by `now`, in order of arrival."""
        arrived = []
        while self._flying and self._flying[0][0] <= now:
            arrived.append(heapq.heappop(self._flying)[2])
        return arrived

    def deadline(self) -> int | None:
        """Return when something arrives next."""
        return self._flying[0][0] if self._flying else None

    def heal(self, delay: int = MILLISECOND) -> None:
        """From now on nothing goes wrong any more."""
        self.weather = Weather(delay)
