"""Ethernet, ARP, IPv4, IPv6 and UDP headers to bytes and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sarab.wire import arp, ethernet, ipv4, ipv6, udp
from sarab.wire.errors import Malformed

mac = st.binary(min_size=6, max_size=6)
ip4 = st.binary(min_size=4, max_size=4)
ip6 = st.binary(min_size=16, max_size=16)
byte = st.integers(0, 255)


@given(st.builds(ethernet.Header, mac, mac, st.integers(0, 65535).filter(lambda t: t != ethernet.VLAN), st.none()))
def test_ethernet(header: ethernet.Header) -> None:
    assert ethernet.parse(ethernet.emit(header)) == header
    tagged = header._replace(vlan=0xA00F)
    assert ethernet.parse(ethernet.emit(tagged)) == tagged
    assert len(ethernet.emit(tagged)) == tagged.size


@given(st.builds(arp.Packet, st.sampled_from([1, 2]), mac, ip4, mac, ip4))
def test_arp(packet: arp.Packet) -> None:
    assert arp.parse(arp.emit(packet) + bytes(18)) == packet


ipv4_headers = st.builds(
    ipv4.Header,
    ip4,
    ip4,
    byte,
    st.integers(24, 100),
    st.integers(0, 65535),
    st.integers(0, 3),
    st.integers(0, 8000).map(lambda n: n * 8),
    byte,
    st.integers(0, 63),
    st.integers(0, 3),
    st.sampled_from([b"", b"\x94\x04\0\0"]),
)


@given(ipv4_headers)
def test_ipv4(header: ipv4.Header) -> None:
    packet = ipv4.emit(header).ljust(header.total_length, b"x")
    assert ipv4.parse(packet + b"padding") == header


@given(ipv4_headers, st.integers(0, 159))
def test_a_flipped_bit_in_an_ipv4_header_is_noticed(header: ipv4.Header, bit: int) -> None:
    packet = bytearray(ipv4.emit(header).ljust(100, b"x"))
    packet[bit // 8] ^= 1 << bit % 8
    with pytest.raises(Malformed):
        ipv4.parse(bytes(packet))


@given(
    st.builds(
        ipv6.Header,
        ip6,
        ip6,
        byte,
        st.integers(0, 50),
        byte,
        st.integers(0, 63),
        st.integers(0, 3),
        st.integers(0, 0xFFFFF),
    )
)
def test_ipv6(header: ipv6.Header) -> None:
    assert ipv6.parse(ipv6.emit(header) + bytes(50)) == header


@given(st.integers(8, 30), st.integers(0, 65535))
def test_udp(length: int, checksum: int) -> None:
    header = udp.Header(53, 5353, length, checksum)
    assert udp.parse(udp.emit(header) + bytes(22)) == header


def packet6(*parts: bytes, first: int) -> bytes:
    payload = b"".join(parts)
    return ipv6.emit(ipv6.Header(bytes(16), bytes(15) + b"\1", first, len(payload))) + payload


def test_extension_headers_are_followed() -> None:
    packet = packet6(bytes((60, 0, 5, 2, 0, 0, 1, 0)), bytes((17, 0, 1, 4, 0, 0, 0, 0)), bytes(8), first=0)
    found = ipv6.walk(packet, 0)
    assert (found.protocol, found.offset, found.problem) == (17, 56, None)


def test_a_fragment_stops_the_walk_and_an_atomic_one_does_not() -> None:
    fragment = ipv6.Fragment(17, 1448, True, 7)
    found = ipv6.walk(packet6(ipv6.emit_fragment(fragment), bytes(8), first=44), 44)
    assert found.fragment == fragment
    assert (
        ipv6.walk(packet6(ipv6.emit_fragment(ipv6.Fragment(17, 0, False, 7)), bytes(8), first=44), 44).fragment is None
    )


@pytest.mark.parametrize(("option", "problem"), [(0x05, None), (0x1E, None), (0x8A, (2, 42)), (0xCA, (2, 42))])
def test_unknown_options_do_as_their_high_bits_say(option: int, problem: tuple[int, int] | None) -> None:
    packet = packet6(bytes((17, 0, option, 4, 0, 0, 0, 0)), bytes(8), first=60)
    assert ipv6.walk(packet, 60).problem == problem


def test_an_unknown_option_may_ask_to_be_dropped() -> None:
    with pytest.raises(Malformed):
        ipv6.walk(packet6(bytes((17, 0, 0x4A, 4, 0, 0, 0, 0)), first=60), 60)


def test_a_chain_without_end_is_malformed() -> None:
    with pytest.raises(Malformed):
        ipv6.walk(packet6(bytes((60, 0, 1, 4, 0, 0, 0, 0)) * 20, first=60), 60)


def test_segments_left_are_a_problem() -> None:
    packet = packet6(bytes((17, 0, 0, 1, 0, 0, 0, 0)), first=43)
    assert ipv6.walk(packet, 43).problem == (0, 42)
