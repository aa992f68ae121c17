"""Fragments come in any order; what overlaps, leaves holes or floods comes to nothing."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from sarab.net.reassembly import BYTES_MAX, FRAGMENTS_MAX, PACKETS_MAX, TIMEOUT, Key, Reassembly

KEY: Key = (b"\x0a\0\0\x01", b"\x0a\0\0\x02", 17, 1)


@given(st.binary(min_size=1, max_size=900), st.integers(2, 30), st.randoms(use_true_random=False))
def test_pieces_in_any_order_and_twice_make_the_whole_once(data: bytes, eights: int, chance: random.Random) -> None:
    step = eights * 8
    pieces = [(at, at + step < len(data), data[at : at + step]) for at in range(0, len(data), step)]
    chance.shuffle(pieces)
    made = Reassembly()
    found = [whole for piece in pieces for whole in (made.add(0, KEY, *piece),) if whole is not None]
    assert found == [data]
    assert made.deadline() is None
    assert made._bytes == 0


def test_a_piece_behind_the_end_does_not_stand_in_for_a_hole() -> None:
    made = Reassembly()
    assert made.add(0, KEY, 8, True, b"x" * 8) is None
    assert made.add(0, KEY, 2960, True, b"z" * 8) is None
    assert made.add(0, KEY, 16, False, b"y" * 8) is None
    assert made.dropped == 3
    assert made._bytes == 0


def test_an_overlap_drops_the_whole_packet() -> None:
    made = Reassembly()
    made.add(0, KEY, 0, True, b"a" * 16)
    assert made.add(0, KEY, 8, False, b"b" * 16) is None
    assert made.overlapping == 1
    assert made._bytes == 0


def test_nothing_comes_of_a_packet_whose_fragments_overlapped_until_its_time_is_over() -> None:
    """RFC 5722 section 4: those that come later are dropped, too."""
    made = Reassembly()
    made.add(0, KEY, 0, True, b"a" * 16)
    made.add(0, KEY, 8, True, b"b" * 16)
    assert made.add(1, KEY, 0, True, b"a" * 8) is None
    assert made.add(1, KEY, 8, False, b"b" * 8) is None
    assert made.dropped == 4
    made.add(TIMEOUT, KEY, 0, True, b"a" * 8)
    assert made.add(TIMEOUT, KEY, 8, False, b"b" * 8) == b"a" * 8 + b"b" * 8


def test_two_ends_drop_the_packet() -> None:
    made = Reassembly()
    made.add(0, KEY, 16, False, b"a" * 8)
    assert made.add(0, KEY, 24, False, b"a" * 8) is None
    assert made.dropped == 2


def test_a_packet_is_given_up_in_time() -> None:
    made = Reassembly()
    made.add(0, KEY, 0, True, b"a" * 8)
    assert made.deadline() == TIMEOUT
    made.poll(TIMEOUT)
    assert made.timed_out == 1
    assert made.add(TIMEOUT, KEY, 8, False, b"b" * 8) is None


def test_a_flood_keeps_the_bounds() -> None:
    made = Reassembly()
    for number in range(2 * PACKETS_MAX):
        for piece in range(1, FRAGMENTS_MAX + 2):
            made.add(0, (*KEY[:3], number), piece * 1000, True, b"x" * 1000)
        assert made._bytes <= BYTES_MAX
        assert len(made._packets) <= PACKETS_MAX
    assert made._bytes == sum(packet.bytes for packet in made._packets.values())
