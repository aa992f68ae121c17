"""The scoreboard: what is in flight, what the peer holds, what is lost (RFC 6675, RFC 8985)."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from sarab.proto.tcp.flight import UNITS_MAX, Flight

STEPS = st.lists(st.tuples(st.sampled_from("ssSSAFLR"), st.integers(0, 50), st.integers(1, 30)), max_size=60)


@settings(max_examples=200, deadline=None)
@given(STEPS)
def test_the_sums_are_those_of_the_units_whatever_happens(steps: list[tuple[str, int, int]]) -> None:
    flight, una, nxt, now = Flight(), 0, 0, 0
    for what, at, size in steps:
        now += 1000
        if what == "s":
            flight.sent(now, nxt, nxt + size * 10)
            nxt += size * 10
        elif what == "S" and una + at < min(una + at + size, nxt):
            flight.sacked(now, una + at, min(una + at + size, nxt))
            flight.find_lost(now, 1000, 1000, False, 10)
        elif what == "A":
            una = min(una + at, nxt)
            flight.acknowledged(now, una)
        elif what == "F":
            flight.forget_sacks()
        elif what == "L":
            flight.lose_all(10)
        elif what == "R":
            for unit in [unit for unit in flight.units if unit.lost][:2]:
                flight.sent_again(now, unit)
        edges = [(unit.start, unit.end) for unit in flight.units]
        assert edges == sorted(edges)
        assert all(left[1] == right[0] for left, right in pairwise(edges))
        assert (edges[0][0], edges[-1][1]) == (una, nxt) if edges else una == nxt

        def total(lost: bool, sacked: bool) -> int:
            return sum(unit.end - unit.start for unit in flight.units if (unit.lost, unit.sacked) == (lost, sacked))

        assert flight.in_flight == total(False, False)
        assert flight.lost_bytes == total(True, False)
        assert flight.sacked_bytes == total(False, True)
        assert flight.sacked_units == sum(unit.sacked for unit in flight.units)


def test_crumbs_of_selective_acknowledgements_cost_bounded_memory() -> None:
    flight = Flight()
    flight.sent(0, 0, 65536)
    for at in range(0, 65536, 2):
        flight.sacked(1, at, at + 1)
    assert len(flight.units) <= UNITS_MAX + 1
    assert flight.in_flight + flight.sacked_bytes == 65536


def test_what_was_sent_long_before_something_that_arrived_is_lost() -> None:
    flight = Flight()
    for number in range(5):
        flight.sent(number * 100, number * 1000, number * 1000 + 1000)
    flight.sacked(10_000, 3000, 4000)
    assert flight.find_lost(10_100, 10_000, 10_000, True, 1000) == (True, 0)
    assert [unit.lost for unit in flight.units] == [True, True, True, False, False]


def test_reordering_is_given_time() -> None:
    flight = Flight()
    for number in range(3):
        flight.sent(0, number * 1000, number * 1000 + 1000)
    flight.sacked(10_000, 1000, 2000)
    marked, again = flight.find_lost(10_000, 8_000, 10_000, False, 1000)
    assert not marked
    assert again == 10_000 + 2_000
    assert flight.find_lost(again, 8_000, 10_000, False, 1000) == (True, 0)


def test_a_late_first_try_shows_reordering() -> None:
    flight = Flight()
    flight.sent(0, 0, 1000)
    flight.sent(0, 1000, 2000)
    flight.sent(0, 2000, 3000)
    flight.sacked(10, 1000, 2000)
    assert not flight.reordering_seen
    flight.acknowledged(11, 2000)
    assert flight.reordering_seen
