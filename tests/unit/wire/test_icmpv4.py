"""ICMP for IPv4 to bytes and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sarab.wire import icmpv4
from sarab.wire.errors import Malformed

byte, u16 = st.integers(0, 255), st.integers(0, 65535)
messages = st.builds(icmpv4.Message, byte, byte, u16, u16, st.binary(max_size=40)).filter(any)


@given(messages)
def test_parse_is_the_inverse_of_emit(message: icmpv4.Message) -> None:
    assert icmpv4.parse(icmpv4.emit(message)) == message


@given(messages, st.integers(0, 63))
def test_a_flipped_bit_is_noticed(message: icmpv4.Message, bit: int) -> None:
    damaged = bytearray(icmpv4.emit(message))
    damaged[bit // 8] ^= 1 << bit % 8
    with pytest.raises(Malformed):
        icmpv4.parse(bytes(damaged))


def test_zeros_are_no_message() -> None:
    with pytest.raises(Malformed):
        icmpv4.parse(bytes(8))


def test_what_errors_carry_stands_where_their_rfc_says() -> None:
    gateway = bytes([192, 0, 2, 129])
    assert icmpv4.emit(icmpv4.fragmentation_needed(1280, b"E"))[:2].hex() == "0304"
    assert icmpv4.emit(icmpv4.fragmentation_needed(1280, b"E"))[6:] == b"\x05\0E"
    assert icmpv4.emit(icmpv4.redirect(gateway, b"E"))[4:] == gateway + b"E"
    assert icmpv4.parse(icmpv4.emit(icmpv4.redirect(gateway, b"E"))).gateway == gateway
    assert icmpv4.emit(icmpv4.parameter_problem(20, b"E"))[4:] == b"\x14\0\0\0E"
    assert icmpv4.parse(icmpv4.emit(icmpv4.parameter_problem(20, b"E"))).pointer == 20


def test_lines() -> None:
    assert icmpv4.line(icmpv4.echo(7, 1, b"abc")) == "icmp echo request id 7 seq 1 (3)"
    assert icmpv4.line(icmpv4.fragmentation_needed(1280, b"")) == "icmp unreachable mtu 1280"
    assert icmpv4.line(icmpv4.Message(3, 3)) == "icmp unreachable code 3"
