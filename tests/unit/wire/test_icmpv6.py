"""ICMP for IPv6 to bytes and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sarab.wire import icmpv6
from sarab.wire.address import parse
from sarab.wire.errors import Malformed

A, B = parse("fe80::1"), parse("2001:db8::2")
byte = st.integers(0, 255)
messages = st.builds(icmpv6.Message, byte, byte, st.integers(0, 2**32 - 1), st.binary(max_size=40))


@given(messages)
def test_parse_is_the_inverse_of_emit(message: icmpv6.Message) -> None:
    assert icmpv6.parse(icmpv6.emit(message, A, B), A, B) == message


def test_the_checksum_covers_the_pseudo_header_of_rfc_8200() -> None:
    sent = icmpv6.emit(icmpv6.echo(1, 2, b"odd"), A, B)
    flat = A + B + (11).to_bytes(4, "big") + (58).to_bytes(4, "big") + sent + b"\0"
    total = sum(int.from_bytes(flat[i : i + 2], "big") for i in range(0, len(flat), 2))
    assert (total & 0xFFFF) + (total >> 16) == 0xFFFF


@given(messages, st.integers(0, 63))
def test_a_flipped_bit_is_noticed(message: icmpv6.Message, bit: int) -> None:
    damaged = bytearray(icmpv6.emit(message, A, B))
    damaged[bit // 8] ^= 1 << bit % 8
    with pytest.raises(Malformed):
        icmpv6.parse(bytes(damaged), A, B)


def test_a_message_for_somebody_else_is_noticed() -> None:
    with pytest.raises(Malformed):
        icmpv6.parse(icmpv6.emit(icmpv6.echo(1, 2), A, B), A, parse("2001:db8::3"))


def test_errors_quote_as_much_as_every_path_carries() -> None:
    message = icmpv6.packet_too_big(1400, bytes(9000))
    assert (message.word, 40 + len(icmpv6.emit(message, A, B))) == (1400, 1280)
    assert icmpv6.is_error(message)
    assert icmpv6.error(icmpv6.PARAMETER_PROBLEM, 1, bytes(50), pointer=40).word == 40
    assert not icmpv6.is_error(icmpv6.echo(1, 2))


def test_lines() -> None:
    assert icmpv6.line(icmpv6.echo(7, 1, b"abc")) == "icmp6 echo request id 7 seq 1 (3)"
    assert icmpv6.line(icmpv6.packet_too_big(1400, b"")) == "icmp6 packet too big mtu 1400"
    assert icmpv6.line(icmpv6.Message(200, 3)) == "icmp6 200 code 3"
