"""Whatever comes, a parser of `wire` gives a value or raises Malformed, and nothing else.

Three kinds of input: any bytes; any bytes with a good checksum, which would stop nearly everything; good packets that
were cut, or had bits turned over.
"""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sarab.wire.errors import Malformed
from tests.fuzz.parsers import GOOD, PARSERS, any_icmpv6, any_ipv6, any_tcp, packet6


@pytest.mark.parametrize("name", PARSERS)
@given(data=st.binary(max_size=120))
@example(data=b"")
def test_any_bytes_give_a_value_or_malformed(name: str, data: bytes) -> None:
    with contextlib.suppress(Malformed):
        PARSERS[name](data)


@pytest.mark.parametrize(("name", "packet"), GOOD)
def test_a_good_packet_that_is_cut_gives_a_value_or_malformed(name: str, packet: bytes) -> None:
    with contextlib.suppress(Malformed):
        PARSERS[name](packet)
    for size in range(len(packet)):
        with contextlib.suppress(Malformed):
            PARSERS[name](packet[:size])


@pytest.mark.parametrize(("name", "packet"), GOOD)
def test_a_good_packet_with_a_bit_or_a_byte_changed_gives_a_value_or_malformed(name: str, packet: bytes) -> None:
    for at in range(len(packet)):
        for change in (1, 2, 4, 8, 16, 32, 64, 128, packet[at], packet[at] ^ 0xFF):
            with contextlib.suppress(Malformed):
                PARSERS[name](packet[:at] + bytes((packet[at] ^ change,)) + packet[at + 1 :])


@given(data=st.data())
def test_a_good_packet_with_bits_turned_over_gives_a_value_or_malformed(data: st.DataObject) -> None:
    name, packet = data.draw(st.sampled_from(GOOD))
    damaged = bytearray(packet)
    for bit in data.draw(st.lists(st.integers(0, len(packet) * 8 - 1), min_size=2, max_size=6)):
        damaged[bit // 8] ^= 1 << bit % 8
    with contextlib.suppress(Malformed):
        PARSERS[name](bytes(damaged))


@given(tail=st.binary(min_size=4, max_size=40).filter(lambda tail: len(tail) % 4 == 0))
def test_tcp_options_give_a_value_or_malformed(tail: bytes) -> None:
    header = bytearray(20)
    header[12] = (5 + len(tail) // 4) << 4
    with contextlib.suppress(Malformed):
        any_tcp(bytes(header) + tail)


@given(first=st.sampled_from([0, 43, 44, 60]), chain=st.binary(max_size=120))
def test_extension_headers_give_a_value_or_malformed(first: int, chain: bytes) -> None:
    with contextlib.suppress(Malformed):
        any_ipv6(packet6(first, chain))


@given(kind=st.sampled_from([130, 131, 132, 133, 134, 135, 136, 137, 143]), data=st.binary(max_size=120))
def test_messages_of_ndp_and_mld_give_a_value_or_malformed(kind: int, data: bytes) -> None:
    with contextlib.suppress(Malformed):
        any_icmpv6(bytes((kind, 0, 0, 0)) + data)


@given(kind=st.sampled_from([1, 2, 3, 4, 5, 24, 25, 31]), units=st.integers(1, 5), data=st.binary(max_size=120))
def test_options_of_ndp_give_a_value_or_malformed(kind: int, units: int, data: bytes) -> None:
    option = (bytes((kind, units)) + data).ljust(units * 8, b"\1")[: units * 8]
    with contextlib.suppress(Malformed):
        any_icmpv6(bytes((133, 0, 0, 0)) + bytes(4) + option)
