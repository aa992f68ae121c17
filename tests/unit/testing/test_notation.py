"""packetdrill's notation, there and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sarab.testing.notation import NotationError, matches, parse, parse_options, pattern_bytes, show, show_pattern
from sarab.wire.tcp import ACK, CWR, ECE, PSH, SYN, Options, Segment

numbers = st.integers(0, 0xFFFFFFFF)
pairs = st.tuples(numbers, numbers)
options = st.builds(
    Options,
    st.none() | st.integers(0, 65535),
    st.none() | st.integers(0, 14),
    st.booleans(),
    st.lists(pairs, max_size=4).map(tuple),
    st.none() | pairs,
)


@st.composite
def segments(draw: st.DrawFn) -> Segment:
    flags = draw(st.integers(0, 255))
    ack = draw(numbers) if flags & ACK else 0
    payload = bytes(draw(st.integers(0, 3000)))
    urgent = draw(st.integers(0, 65535))
    window = draw(st.integers(0, 65535))
    return Segment(1, 2, draw(numbers), ack, flags, window, draw(options), payload, urgent)


@given(segments())
def test_what_is_shown_is_read_back(segment: Segment) -> None:
    read = parse(show(segment), 1, 2)
    assert read.segment == segment
    assert matches(read, segment)
    assert parse(show_pattern(read), 1, 2) == read


@given(st.text(max_size=60))
def test_what_is_no_packet_is_an_error_of_its_own_kind(text: str) -> None:
    try:
        parse(text)
    except NotationError:
        pass


def test_a_whole_packet() -> None:
    read = parse("SWE 7:7(0) win 100 <mss 1460,sackOK,TS val 5 ecr 0,nop,wscale 7>")
    assert read.segment.flags == SYN | CWR | ECE
    assert read.segment.seq == 7
    assert read.segment.options == Options(1460, 7, True, (), (5, 0))
    assert parse("[ce] P. 1:11(10) ack 1").ecn == "ce"


def test_what_is_left_out_is_not_compared() -> None:
    segment = Segment(0, 0, 1, 5, ACK | PSH, 77, Options(timestamps=(1, 2)), b"abc")
    assert matches(parse("P. 1:4(3) ack 5 <...>"), segment)
    assert not matches(parse("P. 1:4(3) ack 5"), segment), "no options is something that is said"
    assert not matches(parse("P. 1:4(3) ack 5 win 78 <...>"), segment)
    assert not matches(parse(". 1:4(3) ack 5 <...>"), segment)
    assert not matches(parse("P. 1:5(4) ack 5 <...>"), segment)
    assert not matches(parse("P. 2:5(3) ack 5 <...>"), segment)
    assert not matches(parse("P. 1:4(3) ack 6 <...>"), segment)


@pytest.mark.parametrize(
    ("text", "because"),
    [
        (". 1:3(1) ack 1", "does not add up"),
        (". 1:1(0)", "go together"),
        ("S 0:0(0) ack 1", "go together"),
        ("S 0:0(0) win 70000", "16 bits"),
        ("S 4294967296:4294967296(0)", "32 bits"),
        ("S 0:0(0) <mss>", "no option"),
        ("S 0:0(0) <TS val 1>", "no option"),
        ("Q 0:0(0)", "no packet"),
        ("P. 0:9999999(9999999) ack 1", "the most"),
    ],
)
def test_errors_say_what_is_wrong(text: str, because: str) -> None:
    with pytest.raises(NotationError, match=because):
        parse(text)


def test_numbers_wrap_at_32_bits() -> None:
    assert len(parse(". 4294967295:1(2) ack 0").segment.payload) == 2


def test_sack_blocks() -> None:
    assert parse_options("nop,nop,sack 1:2 5:9").sack == ((1, 2), (5, 9))


@given(st.integers(0, 1 << 33), st.integers(0, 200), st.integers(0, 200))
def test_the_pattern_is_one_stream(start: int, first: int, second: int) -> None:
    assert pattern_bytes(start, first + second) == pattern_bytes(start, first) + pattern_bytes(start + first, second)


def test_no_two_places_of_the_pattern_look_alike() -> None:
    pieces = {pattern_bytes(at, 8) for at in range(100_000)}
    assert len(pieces) == 100_000
