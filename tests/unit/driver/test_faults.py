"""The bad cable: what it draws, that it replays, and that its descriptor wakes for what is late."""

from __future__ import annotations

import select
import time

from sarab.device.network import Gso, Offload, Outgoing
from sarab.driver.faults import WAITING_MAX, Faults, Weather
from sarab.driver.memory import pair
from sarab.testing.cards import check_network

HEAD = b"\xff" * 6 + b"\x02\0\0\0\0\x01" + b"\x88\xb5"
MILLISECOND = 1_000_000


def numbered(count: int) -> list[Outgoing]:
    return [Outgoing(HEAD + number.to_bytes(4, "big") + bytes(42)) for number in range(count)]


def through(weather: Weather, count: int, seed: int = 1) -> tuple[list[int], Faults]:
    """Return which frames arrived at a far end of unbounded room, in order, when all time has passed."""
    now = [0]
    left, right = pair(descriptors=False, capacity=1 << 20)
    card = Faults(left, weather, seed, clock=lambda: now[0])
    arrived = []
    for start in range(0, count, 100):
        card.send(numbered(count)[start : start + 100])
        now[0] += 1000 * MILLISECOND
        card.receive(9)
        arrived += [int.from_bytes(frame.data[14:18], "big") for frame in right.receive(1 << 20)]
    assert card.deadline() is None
    return arrived, card


def test_good_weather_keeps_what_a_card_promises() -> None:
    def make() -> tuple[Faults, object]:
        left, right = pair()
        return Faults(left, Weather()), right

    check_network(make)  # type: ignore[arg-type]


def test_the_descriptor_wakes_for_what_is_late() -> None:
    left, right = pair()
    card = Faults(left, Weather(delay=MILLISECOND))
    started = time.monotonic_ns()
    right.send(numbered(1))
    while not (got := card.receive(9)):
        assert select.select([card], [], [], 2)[0], "the descriptor does not wake for a frame that is due"
    assert got[0].data == numbered(1)[0].header
    assert time.monotonic_ns() - started >= MILLISECOND
    assert not select.select([card], [], [], 0)[0]
    card.send(numbered(1))
    assert right.receive(9) == []
    assert select.select([card], [], [], 2)[0], "the descriptor does not wake for a frame that is to leave"
    card.receive(9)
    assert len(right.receive(9)) == 1
    card.close()


def test_loss_and_duplicates_are_about_as_many_as_was_asked() -> None:
    arrived, card = through(Weather(loss=0.1, duplicate=0.2), 2000)
    assert 120 < card.counters["lost"] < 280
    assert 280 < card.counters["duplicated"] < 440
    assert len(arrived) == 2000 - card.counters["lost"] + card.counters["duplicated"]


def test_equal_seeds_give_equal_faults() -> None:
    weather = Weather(loss=0.1, duplicate=0.1, reorder=0.1, jitter=MILLISECOND)
    assert through(weather, 500, 7)[0] == through(weather, 500, 7)[0]
    assert through(weather, 500, 7)[0] != through(weather, 500, 8)[0]


def test_late_frames_are_overtaken_and_none_is_lost() -> None:
    arrived, _ = through(Weather(reorder=0.1), 500)
    assert arrived != sorted(arrived)
    assert sorted(arrived) == list(range(500))


def test_damage_is_one_bit_behind_the_header_and_never_in_arp() -> None:
    left, right = pair(descriptors=False, capacity=1000)
    card = Faults(left, Weather(corrupt=1.0))
    sent = numbered(100)
    arp = Outgoing(HEAD[:12] + b"\x08\x06" + bytes(46))
    card.send([*sent, arp])
    *got, last = right.receive(1000)
    assert last.data == arp.header
    for before, after in zip(sent, got, strict=True):
        assert after.data[:14] == HEAD
        difference = int.from_bytes(before.header, "big") ^ int.from_bytes(after.data, "big")
        assert difference.bit_count() == 1


def test_damage_is_never_blessed_by_an_offload() -> None:
    left, right = pair(descriptors=False)
    card = Faults(left, Weather(corrupt=1.0))
    assert card.offloads is Offload.NONE
    assert Faults(left, Weather(loss=1.0)).offloads == left.offloads
    right.send([Outgoing(HEAD + bytes(46), b"", 34, 16, Gso.NONE, 0)])
    assert not card.receive(9)[0].verified


def test_the_senders_buffer_may_be_reused_while_a_frame_waits() -> None:
    now = [0]
    left, right = pair(descriptors=False)
    card = Faults(left, Weather(delay=5), clock=lambda: now[0])
    payload = bytearray(b"before")
    card.send([Outgoing(HEAD, payload)])
    payload[:] = b"behind"
    now[0] = 5
    card.receive(1)
    assert right.receive(1)[0].data == HEAD + b"before"


def test_what_waits_is_bounded() -> None:
    left, _right = pair(descriptors=False)
    card = Faults(left, Weather(delay=1000 * MILLISECOND), clock=lambda: 0)
    for _ in range(20):
        assert card.send(numbered(100)) == 100
    assert card.counters["overflowed"] == 2000 - WAITING_MAX


def test_a_card_without_room_keeps_frames_until_it_has() -> None:
    left, right = pair(capacity=2)
    card = Faults(left, Weather())
    card.send(numbered(5))
    got = []
    for _ in range(5):
        got += [int.from_bytes(frame.data[14:18], "big") for frame in right.receive(9)]
        assert len(got) == 5 or select.select([card], [], [], 2)[0], "the descriptor does not wake for room"
        card.receive(9)
    assert got == [0, 1, 2, 3, 4]


def test_a_black_hole_swallows_what_is_too_long_in_both_directions() -> None:
    left, right = pair(descriptors=False)
    card = Faults(left, Weather(frame_max=100), clock=lambda: 0)
    assert card.offloads == Offload.NONE
    fits, long = HEAD + bytes(86), HEAD + bytes(87)
    card.send([Outgoing(long), Outgoing(HEAD, bytes(87)), Outgoing(fits)])
    right.send([Outgoing(long), Outgoing(fits)])
    assert [frame.data for frame in right.receive(9)] == [fits]
    assert [frame.data for frame in card.receive(9)] == [fits]
    assert card.counters["too_long"] == 3
