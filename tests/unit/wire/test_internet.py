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


def test_fragments_that_make_too_long_a_packet_are_malformed() -> None:
    last = ipv4.Header(bytes(4), bytes(4), 17, 28, fragment_offset=65504, flags=0)
    assert ipv4.parse(ipv4.emit(last) + bytes(8)) == last
    with pytest.raises(Malformed):
        ipv4.parse(ipv4.emit(last._replace(fragment_offset=65512)) + bytes(8))


@given(st.lists(st.tuples(st.integers(2, 255), st.binary(max_size=8)), max_size=4).map(tuple))
def test_ipv4_options(options: tuple[tuple[int, bytes], ...]) -> None:
    emitted = ipv4.emit_options(options)
    assert len(emitted) % 4 == 0
    assert ipv4.parse_options(emitted) == options


def test_ipv4_options_that_leave_the_header_are_malformed() -> None:
    assert ipv4.parse_options(b"\x01\x94\x04ab\x00\x07\xff") == ((0x94, b"ab"),)
    assert ipv4.emit_options(((0x94, bytes(2)),)) == ipv4.ROUTER_ALERT
    for wrong in (b"\x07\x01\0\0", b"\x07\x05\0\0", b"\x01\x01\x01\x07"):
        with pytest.raises(Malformed):
            ipv4.parse_options(wrong)


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


def test_an_unknown_option_is_not_complained_of_to_a_group() -> None:
    option, group = bytes((17, 0, 0xCA, 4, 0, 0, 0, 0)), b"\xff\x02" + bytes(14)
    packet = ipv6.emit(ipv6.Header(bytes(16), group, 60, len(option))) + option
    with pytest.raises(Malformed):
        ipv6.walk(packet, 60)
    again = packet[:42] + b"\x8a" + packet[43:]
    assert ipv6.walk(again, 60).problem == (2, 42)


@pytest.mark.parametrize("options", [bytes(8), b"\x01\x06" + bytes(6), b"\x1e\x00" * 9])
def test_too_much_padding_and_too_many_options_are_malformed(options: bytes) -> None:
    filler = b"\x1e" + bytes((-(len(options) + 4) % 8,)) + bytes(-(len(options) + 4) % 8)
    body = options + filler
    header = bytes((17, (len(body) + 2) // 8 - 1)) + body
    assert len(header) % 8 == 0
    with pytest.raises(Malformed):
        ipv6.walk(packet6(header, bytes(8), first=60), 60)


def test_the_walk_goes_on_behind_a_first_fragment() -> None:
    """RFC 7112: the first fragment must hold the whole chain."""
    fragment = ipv6.emit_fragment(ipv6.Fragment(60, 0, True, 7))
    packet = packet6(fragment, bytes((17, 0, 1, 4, 0, 0, 0, 0)), bytes(8), first=44)
    stopped = ipv6.walk(packet, 44)
    assert (stopped.protocol, stopped.offset) == (60, 48)
    reached = ipv6.walk(packet, stopped.protocol, stopped.offset, 40)
    assert (reached.protocol, reached.offset, reached.field) == (17, 56, 48)
    with pytest.raises(Malformed):
        ipv6.walk(packet[:52], stopped.protocol, stopped.offset, 40)


def test_hop_by_hop_comes_first_or_not_at_all() -> None:
    packet = packet6(bytes((0, 0, 1, 4, 0, 0, 0, 0)), bytes((17, 0, 1, 4, 0, 0, 0, 0)), bytes(8), first=60)
    assert ipv6.walk(packet, 60).problem == (1, 40)


def test_a_chain_without_end_is_malformed() -> None:
    with pytest.raises(Malformed):
        ipv6.walk(packet6(bytes((60, 0, 1, 4, 0, 0, 0, 0)) * 20, first=60), 60)


def test_segments_left_are_a_problem() -> None:
    packet = packet6(bytes((17, 0, 0, 1, 0, 0, 0, 0)), first=43)
    assert ipv6.walk(packet, 43).problem == (0, 42)
