"""TCP segments to bytes and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sarab.wire import tcp
from sarab.wire.errors import Malformed
from sarab.wire.tcp import Options, Segment

u32 = st.integers(0, 2**32 - 1)
u16 = st.integers(0, 65535)
options = st.builds(
    Options,
    st.none() | u16,
    st.none() | st.integers(0, 14),
    st.booleans(),
    st.just(()) | st.lists(st.tuples(u32, u32), min_size=1, max_size=1).map(tuple),
    st.none() | st.tuples(u32, u32),
)
segments = st.builds(Segment, u16, u16, u32, u32, st.integers(0, 255), u16, options, st.binary(max_size=20), u16)


@given(segments, st.lists(st.tuples(u32, u32), max_size=6).map(tuple))
def test_size_is_that_of_the_options_in_a_header(segment: Segment, sack: tuple[tuple[int, int], ...]) -> None:
    options = segment.options._replace(sack=sack)
    assert len(tcp.emit(segment._replace(options=options))) == tcp.HEADER_SIZE + tcp.size(options)


@given(segments)
def test_parse_is_the_inverse_of_emit(segment: Segment) -> None:
    again = tcp.parse(tcp.emit(segment) + segment.payload)
    assert again == segment


def test_as_many_sack_blocks_as_fit_are_sent() -> None:
    blocks = ((1, 2), (3, 4), (5, 6), (7, 8), (9, 10))
    with_timestamps = tcp.parse(tcp.emit(Segment(1, 2, 3, 4, tcp.ACK, 5, Options(sack=blocks, timestamps=(1, 2)))))
    assert with_timestamps.options.sack == blocks[:3]
    alone = tcp.parse(tcp.emit(Segment(1, 2, 3, 4, tcp.ACK, 5, Options(sack=blocks))))
    assert alone.options.sack == blocks[:4]


def test_unknown_options_are_skipped() -> None:
    header = bytearray(tcp.emit(Segment(1, 2, 3, 4, tcp.SYN, 5)))
    header[12] = 8 << 4
    parsed = tcp.parse(bytes(header) + b"\xfe\x04ab\x02\x04\x05\xb4\x00\x00\x00\x00")
    assert parsed.options == Options(mss=1460)


@pytest.mark.parametrize("tail", [b"\x02\x01\0\0", b"\x02\x05\0\0", b"\x08\0\0\0", b"\1\1\1\x02"])
def test_an_option_that_leaves_the_header_is_malformed(tail: bytes) -> None:
    header = bytearray(tcp.emit(Segment(1, 2, 3, 4, tcp.SYN, 5)))
    header[12] = 6 << 4
    with pytest.raises(Malformed):
        tcp.parse(bytes(header) + tail)


def test_line_is_packetdrills() -> None:
    syn = Segment(1, 2, 0, 0, tcp.SYN, 65535, Options(1460, 7, True, (), (5, 0)))
    assert tcp.line(syn) == "S 0:0(0) win 65535 <mss 1460,sackOK,TS val 5 ecr 0,nop,wscale 7>"
    answer = Segment(1, 2, 0, 1, tcp.SYN | tcp.ACK, 65535, Options(1460, 7, True))
    assert tcp.line(answer) == "S. 0:0(0) ack 1 win 65535 <mss 1460,sackOK,nop,wscale 7>"
    duplicate = Segment(1, 2, 1, 2, tcp.ACK, 9, Options(sack=((3, 5), (7, 9)), timestamps=(4, 6)))
    assert tcp.line(duplicate) == ". 1:1(0) ack 2 win 9 <nop,nop,TS val 4 ecr 6,nop,nop,sack 3:5 7:9>"
    assert tcp.line(Segment(1, 2, 1, 9, tcp.ACK | tcp.PSH, 7, payload=b"abc")) == "P. 1:4(3) ack 9 win 7"
