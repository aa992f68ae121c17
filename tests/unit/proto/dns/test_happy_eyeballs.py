"""Races of connections (RFC 8305), on virtual time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sarab.proto.dns.happy_eyeballs import ADDRESSES_MAX, ATTEMPTS_MAX, MILLISECOND, Race, Settings, interleave

A, B, C = (bytes((10, 0, 0, n)) for n in (1, 2, 3))
X, Y, Z = (b"\x20\x01" + bytes(13) + bytes((n,)) for n in (1, 2, 3))
addresses = st.lists(st.sampled_from([A, B, C, X, Y, Z]), max_size=8)


def test_families_take_turns_and_the_first_address_begins() -> None:
    assert interleave([X, Y, Z, A, B]) == [X, A, Y, B, Z]
    assert interleave([A, X, Y]) == [A, X, Y]
    assert interleave([X, Y, Z, A], 2) == [X, Y, A, Z]
    assert interleave([A, A]) == [A] and interleave([]) == []


@given(addresses, st.integers(0, 3))
def test_no_address_is_lost_or_tried_twice(found: list[bytes], count: int) -> None:
    assert sorted(interleave(found, count)) == sorted(set(found))


def test_the_next_address_is_tried_a_quarter_of_a_second_later() -> None:
    race = Race(0, [X, A])
    assert race.poll(0) == [X] and race.poll(0) == []
    assert race.deadline() == 250 * MILLISECOND
    assert race.poll(249 * MILLISECOND) == [] and race.poll(250 * MILLISECOND) == [A]
    assert race.under_way == (X, A) and race.deadline() is None and not race.exhausted


def test_after_a_failure_the_next_is_tried_at_once() -> None:
    race = Race(0, [X, A])
    race.poll(0)
    race.failed(MILLISECOND, X)
    assert race.poll(MILLISECOND) == [A]
    race.failed(2 * MILLISECOND, X)  # told twice
    race.failed(2 * MILLISECOND, A)
    assert race.exhausted and race.deadline() is None


def test_the_first_to_succeed_ends_the_others() -> None:
    race = Race(0, [X, A, Y])
    race.poll(0)
    race.poll(250 * MILLISECOND)
    assert race.connected(260 * MILLISECOND, A) == [X]
    assert race.winner == A and race.deadline() is None and race.poll(10**12) == [] and not race.exhausted
    assert race.connected(261 * MILLISECOND, X) == [X] and race.winner == A


def test_a_first_ipv4_address_waits_a_moment_for_ipv6() -> None:
    race = Race(0, [A], waiting=True)
    assert race.poll(0) == [] and race.deadline() == 50 * MILLISECOND
    race.add(20 * MILLISECOND, [X])
    assert race.poll(20 * MILLISECOND) == [X]
    assert race.poll(270 * MILLISECOND) == [A]


def test_ipv4_goes_on_alone_when_the_moment_is_over() -> None:
    race = Race(0, [A, B], waiting=True)
    assert race.poll(50 * MILLISECOND) == [A]
    race.add(60 * MILLISECOND, [X])  # its family is the next one
    assert race.poll(300 * MILLISECOND) == [X]


def test_the_moment_begins_with_the_first_address_and_ends_when_nothing_more_comes() -> None:
    race = Race(0, [], waiting=True)
    assert race.deadline() is None and not race.exhausted
    race.add(1000 * MILLISECOND, [A], more=True)
    assert race.deadline() == 1050 * MILLISECOND
    race.add(1010 * MILLISECOND, [])
    assert race.poll(1010 * MILLISECOND) == [A]


def test_a_first_ipv6_address_waits_for_nothing() -> None:
    race = Race(0, [X], waiting=True)
    assert race.poll(0) == [X]


def test_addresses_and_attempts_are_bounded() -> None:
    race = Race(0, [bytes((10, 0, n >> 8, n & 255)) for n in range(1000)], settings=Settings(attempt_delay=0))
    now, tried = 0, 0
    while (due := race.deadline()) is not None:
        assert due - now in (0, 10 * MILLISECOND)  # no delay is not taken
        now = due
        tried += len(race.poll(now))
    assert tried == ATTEMPTS_MAX
    while race.under_way:
        race.failed(now, race.under_way[0])
        tried += len(race.poll(now))
    assert tried == ADDRESSES_MAX and race.exhausted


@given(addresses, addresses, st.lists(st.booleans(), max_size=20))
def test_every_race_ends(first: list[bytes], second: list[bytes], failures: list[bool]) -> None:
    race, now, tried = Race(0, first, waiting=True), 0, []
    for index, fails in enumerate([*failures, *([True] * 20)]):
        if index == 3:
            race.add(now, second)
        due = race.deadline()
        if due is not None:
            now = max(now, due)
            tried += race.poll(now)
        if fails and race.under_way:
            race.failed(now, race.under_way[0])
    assert race.exhausted and sorted(tried) == sorted(set(first) | set(second))
