"""The short ways of the data path come to the same as the long ones: a conversation with them and one without."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from sarab.proto.tcp import machine
from sarab.proto.tcp.machine import Connection
from sarab.proto.tcp.values import MILLISECOND, SECOND, Settings
from sarab.wire.tcp import Segment

if machine.__file__.endswith(".so"):
    pytest.skip("a compiled connection has no subclasses, and so none without short ways", allow_module_level=True)

DELAY = 3 * MILLISECOND
STEPS = 300


class Long(Connection):
    """A connection without the short ways."""

    __slots__ = ()

    def receive_predicted(self, *arguments: Any) -> int:
        return -1

    def transmit_predicted(self, now: int) -> bytes | memoryview | None:
        return None


class Count(Connection):
    """A connection that counts how often a short way was taken."""

    received = sent = 0
    __slots__ = ()

    def receive_predicted(self, *arguments: Any) -> int:
        events = super().receive_predicted(*arguments)
        Count.received += events >= 0
        return events

    def transmit_predicted(self, now: int) -> bytes | memoryview | None:
        payload = super().transmit_predicted(now)
        Count.sent += payload is not None
        return payload


def conversation(kind: type[Connection], settings: Settings, seed: int) -> list[Any]:
    """Have two ends talk over a wire that loses and delays, and return everything that could be seen of them."""
    random = Random(seed)
    seen: list[Any] = []
    now = SECOND
    client = kind.active(now, 1000, 80, 0xFFFFFF00, settings)
    ends: list[Connection | None] = [client, None]
    wire: list[tuple[int, int, Segment]] = []
    for step in range(STEPS):
        for index, end in enumerate(ends):
            if end is None:
                continue
            match random.randrange(7):
                case 0 | 1:
                    seen.append((step, "wrote", end.write(now, bytes(random.choice((1, 80, 500, 1448, 4000, 20_000))))))
                case 2 | 3 | 4:
                    seen.append((step, "read", len(end.read(now, random.choice((10, 1000, 1 << 20))))))
                case 5 if step > STEPS - 40:
                    end.shutdown_write(now)
                case _:
                    pass
            for segment in end.poll(now):
                seen.append((now, index, segment, end.ect(segment)))
                if random.randrange(30):
                    wire.append((now + DELAY + random.choice((0, 0, 0, 4)) * MILLISECOND, 1 - index, segment))
            seen.append((end.take_events(), end.deadline(), end.state, tuple(end.statistics().items())))
        now += random.choice((0, 1, 1, 5, 60)) * MILLISECOND
        due = sorted((each for each in wire if each[0] <= now), key=lambda each: each[0])
        wire = [each for each in wire if each[0] > now]
        for _, index, segment in due:
            end = ends[index]
            if end is None:
                ends[index] = kind.passive(now, segment, 0x7FFFFF00, settings)
            else:
                seen.append((index, end.receive(now, segment, ce=random.randrange(8) == 0)))
    return seen


@pytest.mark.parametrize(
    "settings",
    [
        Settings(nagle=False),
        Settings(),
        Settings(timestamps=False, gso=True),
        Settings(sack=False, ecn=True),
        Settings(user_timeout=SECOND, keepalive_idle=SECOND // 4, snd_buffer_max=8192, rcv_buffer=4096),
    ],
    ids=["plain", "nagle", "gso", "ecn", "small"],
)
def test_the_short_ways_come_to_the_same_as_the_long_ones(settings: Settings) -> None:
    Count.received = Count.sent = 0
    for seed in range(4):
        assert conversation(Count, settings, seed) == conversation(Long, settings, seed), f"seed {seed}"
    assert Count.received > 50, "the short way in was hardly tried"
    if not settings.user_timeout:
        assert Count.sent > 10, "the short way out was hardly tried"
