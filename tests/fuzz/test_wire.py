"""Whatever comes, a parser of `wire` gives a value or raises Malformed, and nothing else.

Three kinds of input: any bytes; any bytes with a good checksum, which would stop nearly everything; good packets that
were cut, or had bits turned over.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sarab.wire import arp, ethernet, icmpv4, icmpv6, igmp, ipv4, ipv6, mld, ndp, tcp, udp
from sarab.wire.checksum import checksum, pseudo_header
from sarab.wire.errors import Malformed

A4, B4 = b"\x0a\0\0\1", b"\xe0\0\0\x16"
A6, B6 = b"\xfe\x80" + bytes(13) + b"\1", b"\xff\x02" + bytes(13) + b"\1"


def any_ethernet(data: bytes) -> None:
    assert ethernet.line(ethernet.parse(data))


def any_arp(data: bytes) -> None:
    assert arp.line(arp.parse(data))


def any_ipv4(data: bytes) -> None:
    """Any header, with a good checksum."""
    size = (data[0] & 15) * 4 if data else 0
    bare = data[:10] + b"\0\0" + data[12:size]
    header = ipv4.parse(data[:10] + checksum(bare).to_bytes(2, "big") + data[12:])
    assert ipv4.line(header)
    assert header.size <= header.total_length <= len(data)
    ipv4.parse_options(header.options)


def any_ipv6(data: bytes) -> None:
    header = ipv6.parse(data)
    assert ipv6.line(header)
    ipv6.walk(data, header.next_header)


def any_tcp(data: bytes) -> None:
    segment = tcp.parse(data)
    assert tcp.line(segment)
    assert len(segment.payload) <= len(data) - tcp.HEADER_SIZE


def any_udp(data: bytes) -> None:
    assert udp.line(udp.parse(data))


def summed(data: bytes, initial: int = 0) -> bytes:
    return data[:2] + checksum(data[:2] + b"\0\0" + data[4:], initial).to_bytes(2, "big") + data[4:]


def any_icmpv4(data: bytes) -> None:
    assert icmpv4.line(icmpv4.parse(summed(data)))


def any_igmp(data: bytes) -> None:
    assert igmp.line(igmp.parse(summed(data)))


def any_icmpv6(data: bytes) -> None:
    """With what is read from its messages."""
    good = summed(data, pseudo_header(A6, B6, icmpv6.PROTOCOL, max(len(data), 4)))
    message = icmpv6.parse(good, A6, B6)
    assert icmpv6.line(message)
    with contextlib.suppress(Malformed):
        group = mld.parse(message)
        assert mld.line(group)
        mld.validate(group, A6, 1)
    value = ndp.parse(message)
    assert ndp.line(value)
    ndp.validate(value, A6, B6, 255)


PARSERS: dict[str, Callable[[bytes], None]] = {
    "ethernet": any_ethernet,
    "arp": any_arp,
    "ipv4": any_ipv4,
    "ipv6": any_ipv6,
    "tcp": any_tcp,
    "udp": any_udp,
    "icmpv4": any_icmpv4,
    "icmpv6": any_icmpv6,
    "igmp": any_igmp,
}


def packet6(next_header: int, payload: bytes) -> bytes:
    return ipv6.emit(ipv6.Header(A6, B6, next_header, len(payload))) + payload


OPTIONS = ndp.Options(
    b"\2\0\0\0\0\1", b"\2\0\0\0\0\2", (ndp.Prefix(A6, 64, True, True, 9, 9),), 1500, bytes(8),
    (ndp.Route(A6, 64, 0, 9),), ((A6, 9),), (("example.org", 9),),
)  # fmt: skip
GOOD: list[tuple[str, bytes]] = [
    ("ethernet", ethernet.emit(ethernet.Header(b"\2" * 6, b"\4" * 6, ethernet.IPV4, 5))),
    ("arp", arp.emit(arp.Packet(arp.REQUEST, b"\2" * 6, A4, bytes(6), B4))),
    ("ipv4", ipv4.emit(ipv4.Header(A4, B4, 2, 24, options=ipv4.ROUTER_ALERT))),
    ("ipv6", packet6(ipv6.HOP_BY_HOP, mld.HOP_BY_HOP + bytes(8))),
    ("ipv6", packet6(ipv6.DESTINATION, bytes((43, 0, 0x1E, 0, 1, 2, 0, 0)) + bytes((17, 0, 0, 0)) + bytes(12))),
    ("ipv6", packet6(ipv6.FRAGMENT, ipv6.emit_fragment(ipv6.Fragment(17, 8, True, 7)) + bytes(8))),
    ("tcp", tcp.emit(tcp.Segment(1, 2, 3, 4, tcp.SYN, 5, tcp.Options(1460, 7, True, ((1, 2),), (1, 2))))),
    ("udp", udp.emit(udp.Header(1, 2, 12)) + bytes(4)),
    ("icmpv4", icmpv4.emit(icmpv4.echo(1, 2, b"abc"))),
    ("icmpv6", icmpv6.emit(ndp.emit(ndp.RouterAdvertisement(options=OPTIONS)), A6, B6)),
    ("icmpv6", icmpv6.emit(ndp.emit(ndp.Redirect(A6, A6, OPTIONS)), A6, B6)),
    ("icmpv6", icmpv6.emit(ndp.emit(ndp.NeighbourSolicitation(A6, OPTIONS)), A6, B6)),
    ("icmpv6", icmpv6.emit(mld.emit(mld.Query(B6, 100, (A6,))), A6, B6)),
    ("icmpv6", icmpv6.emit(mld.emit(igmp.Report((igmp.Record(1, B6, (A6, A6)),))), A6, B6)),
    ("igmp", igmp.emit(igmp.Query(B4, 100, (A4,)))),
    ("igmp", igmp.emit(igmp.Report((igmp.Record(1, B4, (A4, A4)),)))),
]


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
