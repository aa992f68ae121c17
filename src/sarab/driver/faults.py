"""A card on a bad cable: loss, duplicates, delay, reordering and damage, drawn from a seed.

    card = Faults(card, Weather(loss=0.01, delay=20_000_000, jitter=5_000_000), seed=4711)

Both directions suffer alike. Frames that wait are `receive`d and sent when they are due: the descriptor becomes
readable then, and who has no descriptor asks `deadline()`. With `corrupt` the card offers no offloads, for a card that
completes a checksum would bless the damage; with `frame_max` it offers none either, for what it cuts has other sizes.
"""

from __future__ import annotations

import ctypes
import heapq
import os
import random
import select
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from sarab.device.network import DeviceLost, Incoming, Network, Offload, Outgoing
from sarab.driver.around import Around

WAITING_MAX = 1024
"""Frames that wait in one direction; what comes on top is lost, as in a router's queue."""
RECEIVE_MAX = 256
"""Frames that are taken from the card at once."""
ETHERNET_SIZE = 14
_ARP = b"\x08\x06"
_CLOCK_MONOTONIC, _NONBLOCK_CLOEXEC, _ABSOLUTE = 1, os.O_NONBLOCK | os.O_CLOEXEC, 1
SECOND = 1_000_000_000


class Weather(NamedTuple):
    """What happens to a frame: probabilities between 0 and 1, times in nanoseconds."""

    loss: float = 0.0
    duplicate: float = 0.0
    corrupt: float = 0.0
    """One bit behind the Ethernet header, never in ARP: those are what Ethernet's own FCS catches."""
    reorder: float = 0.0
    """So many wait `reorder_delay` longer than the others."""
    reorder_delay: int = 1_000_000
    delay: int = 0
    jitter: int = 0
    """Up to so much is added to `delay`; what follows may overtake."""
    frame_max: int = 0
    """Frames of more bytes vanish, and nobody says so: a black hole on the path. 0: none does."""


class Faults(Around):
    """A card around a card; device.network.Network."""

    def __init__(
        self, device: Network, weather: Weather, seed: int = 0, clock: Callable[[], int] = time.monotonic_ns
    ) -> None:
        """Equal seeds and equal frames give equal faults. `clock` is CLOCK_MONOTONIC unless there is no descriptor."""
        super().__init__(device)
        self.weather = weather
        self.counters = {"lost": 0, "duplicated": 0, "corrupted": 0, "overflowed": 0, "too_long": 0}
        self._clock = clock
        self._coming, self._going = random.Random(f"{seed}/in"), random.Random(f"{seed}/out")
        self._arrived: list[tuple[int, int, Incoming]] = []
        self._leaving: list[tuple[int, int, Outgoing]] = []
        self._count = 0
        self._no_room = False
        self._closed = False
        self._timer = -1
        self._both: select.epoll | None = None
        if device.fileno() >= 0:
            self._timer = _timer()
            self._both = select.epoll()
            self._both.register(device.fileno(), select.EPOLLIN)
            self._both.register(self._timer, select.EPOLLIN)

    @property
    def offloads(self) -> Offload:
        """See Network."""
        return Offload.NONE if self.weather.corrupt or self.weather.frame_max else self._device.offloads

    def fileno(self) -> int:
        """See Network; an epoll over the card's own and a timer."""
        return -1 if self._both is None else self._both.fileno()

    def deadline(self) -> int | None:
        """Return when a waiting frame is due: `receive` is to be called then."""
        due = [heap[0][0] for heap in (self._arrived, self._leaving) if heap]
        return min(due, default=None)

    def receive(self, limit: int) -> list[Incoming]:
        """See Network. It also sends what is due."""
        now = self._clock()
        self._flush(now)
        frames = self._device.receive(RECEIVE_MAX)
        taken_all = len(frames) < RECEIVE_MAX
        for frame in frames:
            for due in self._fates(self._coming, now, len(self._arrived), len(frame.data)):
                heapq.heappush(self._arrived, (due, self._next(), self._damaged_incoming(frame)))
        found: list[Incoming] = []
        while len(found) < limit and self._arrived and self._arrived[0][0] <= now:
            found.append(heapq.heappop(self._arrived)[2])
        self._arm(soon=not taken_all)
        return found

    def send(self, frames: Sequence[Outgoing]) -> int:
        """See Network. It takes everything: a cable is not what says that there is no room."""
        now = self._clock()
        for frame in frames:
            for due in self._fates(self._going, now, len(self._leaving), len(frame.header) + len(frame.payload)):
                whole = Outgoing(bytes(frame.header), bytes(frame.payload), *frame[2:])
                heapq.heappush(self._leaving, (due, self._next(), self._damaged_outgoing(whole)))
        self._flush(now)
        self._arm()
        return len(frames)

    def close(self) -> None:
        """See Network. What waits is lost."""
        if self._closed:
            return
        self._closed = True
        self._arrived, self._leaving = [], []
        if self._both is not None:
            self._both.close()
            os.close(self._timer)
            self._both, self._timer = None, -1
        self._device.close()

    def _next(self) -> int:
        self._count += 1
        return self._count

    def _fates(self, chance: random.Random, now: int, waiting: int, size: int) -> list[int]:
        """Return when a frame arrives, once for each copy. Always draws the same number of times."""
        weather, draw = self.weather, chance.random
        lost, duplicated, late = draw() < weather.loss, draw() < weather.duplicate, draw() < weather.reorder
        jitters = (draw(), draw())
        if lost:
            self.counters["lost"] += 1
            return []
        if 0 < weather.frame_max < size:
            self.counters["too_long"] += 1
            return []
        copies = 2 if duplicated else 1
        if waiting + copies > WAITING_MAX:
            self.counters["overflowed"] += copies
            return []
        self.counters["duplicated"] += copies - 1
        due = now + weather.delay + (weather.reorder_delay if late else 0)
        return [due + int(jitter * weather.jitter) for jitter in jitters[:copies]]

    def _damaged(self, chance: random.Random, data: bytes) -> bytes | None:
        """Return the frame with one bit turned, or None when it is spared."""
        if not self.weather.corrupt or chance.random() >= self.weather.corrupt:
            return None
        if len(data) <= ETHERNET_SIZE or data[12:14] == _ARP:
            return None
        damaged = bytearray(data)
        bit = chance.randrange(ETHERNET_SIZE * 8, len(data) * 8)
        damaged[bit // 8] ^= 1 << bit % 8
        self.counters["corrupted"] += 1
        return bytes(damaged)

    def _damaged_incoming(self, frame: Incoming) -> Incoming:
        damaged = self._damaged(self._coming, frame.data)
        return frame if damaged is None else Incoming(damaged)

    def _damaged_outgoing(self, frame: Outgoing) -> Outgoing:
        if frame.checksum_start:
            return frame  # the weather turned bad after the stack had asked for offloads
        damaged = self._damaged(self._going, frame.header + bytes(frame.payload))
        return frame if damaged is None else Outgoing(damaged)

    def _flush(self, now: int) -> None:
        """Send what is due."""
        leaving = self._leaving
        self._no_room = False
        due: list[tuple[int, int, Outgoing]] = []
        while leaving and leaving[0][0] <= now:
            due.append(heapq.heappop(leaving))
        if due:
            count = self._device.send([frame for _, _, frame in due])
            for item in due[count:]:
                self._no_room = True
                heapq.heappush(leaving, item)

    def _arm(self, soon: bool = False) -> None:
        """Have the descriptor become readable when a frame is due, or at once."""
        if self._timer < 0:
            return
        if soon:
            _set_timer(self._timer, 1)
            return
        due = [self._arrived[0][0]] if self._arrived else []
        if self._leaving and not self._no_room:  # else the card itself says when there is room again
            due.append(self._leaving[0][0])
        _set_timer(self._timer, max(1, min(due)) if due else 0)


class _Timespec(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]


class _Itimerspec(ctypes.Structure):
    _fields_ = [("interval", _Timespec), ("value", _Timespec)]


def _timer() -> int:
    """Return a timerfd, which Python has from 3.13 on only."""
    descriptor = int(ctypes.CDLL(None).timerfd_create(_CLOCK_MONOTONIC, _NONBLOCK_CLOEXEC))
    if descriptor < 0:
        raise DeviceLost("faults: this system gives no timer descriptor (timerfd)")
    return descriptor


def _set_timer(descriptor: int, when: int) -> None:
    """Let `descriptor` become readable at `when` of CLOCK_MONOTONIC, in ns; 0: never. Forgets what it was."""
    value = _Itimerspec(_Timespec(0, 0), _Timespec(when // SECOND, when % SECOND))
    ctypes.CDLL(None).timerfd_settime(descriptor, _ABSOLUTE, ctypes.byref(value), None)
