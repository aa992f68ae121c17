"""The cable in memory."""

from __future__ import annotations

import select
from collections.abc import Sequence

import pytest

from sarab.device.network import Gso, Incoming, Offload, Outgoing
from sarab.driver.memory import Memory, pair
from sarab.testing.cards import Broken, check_network

FRAME = b"\xff" * 6 + b"\x02\0\0\0\0\x01" + b"\x88\xb5" + bytes(46)


def readable(card: Memory) -> bool:
    return bool(select.select([card], [], [], 0)[0])


def test_it_keeps_what_a_card_promises() -> None:
    check_network(pair)
    check_network(lambda: pair(descriptors=False))
    check_network(lambda: pair(offloads=Offload.NONE, capacity=4))


def test_a_burst_is_handed_over_whole_and_vouched_for() -> None:
    left, right = pair(descriptors=False)
    left.send([Outgoing(FRAME, b"x" * 3000, 34, 16, Gso.TCPV4, 1000)])
    assert right.receive(9) == [Incoming(FRAME + b"x" * 3000, True, 1000)]


def test_a_full_cable_takes_no_more_and_tells_when_there_is_room() -> None:
    left, right = pair(capacity=2)
    assert left.send([Outgoing(FRAME)] * 3) == 2
    assert not readable(left)
    right.receive(1)
    assert readable(left)
    assert left.receive(9) == []
    assert not readable(left)
    assert left.send([Outgoing(FRAME)] * 3) == 1


def test_what_is_left_over_keeps_the_descriptor_readable() -> None:
    left, right = pair()
    left.send([Outgoing(FRAME)] * 3)
    right.receive(2)
    assert readable(right)
    right.receive(2)
    assert not readable(right)


def test_a_closed_end_swallows_frames_without_keeping_them() -> None:
    left, right = pair(capacity=2)
    right.close()
    assert left.send([Outgoing(FRAME)] * 100) == 100
    assert right.receive(200) == []


def test_the_checker_sees_a_card_that_keeps_the_senders_buffer() -> None:
    class Keeps(Memory):
        def send(self, frames: Sequence[Outgoing]) -> int:
            held[:] += frames
            return len(frames)

        def receive(self, limit: int) -> list[Incoming]:
            for frame in held:
                Memory.send(self.peer, [frame])
            held.clear()
            return super().receive(limit)

    held: list[Outgoing] = []

    def make() -> tuple[Keeps, Keeps]:
        ends = [Keeps(bytes((2, 0, 0, 0, 0, number)), 1500, Offload.NONE, 99, -1) for number in (1, 2)]
        ends[0].peer, ends[1].peer = ends[1], ends[0]
        return ends[0], ends[1]

    with pytest.raises(Broken, match="as they were when send"):
        check_network(make)


def test_the_checker_sees_a_card_that_reorders() -> None:
    class Reorders(Memory):
        def receive(self, limit: int) -> list[Incoming]:
            return super().receive(limit)[::-1]

    def make() -> tuple[Reorders, Reorders]:
        ends = [Reorders(bytes((2, 0, 0, 0, 0, number)), 1500, Offload.NONE, 99, -1) for number in (1, 2)]
        ends[0].peer, ends[1].peer = ends[1], ends[0]
        return ends[0], ends[1]

    with pytest.raises(Broken, match="in order"):
        check_network(make)
