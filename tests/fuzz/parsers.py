"""What is fuzzed of `wire`: for each parser a function of any bytes, and good packets to begin with.

A function returns, or raises Malformed, or the parser is broken. What was read is written again, where that must give
the same.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from random import Random
from typing import TypeVar

from sarab.proto.dhcp.lease import lease_of
from sarab.wire import address, arp, dhcpv4, dns, ethernet, icmpv4, icmpv6, igmp, ipv4, ipv6, mld, ndp, tcp, udp
from sarab.wire import dns_records as records
from sarab.wire.checksum import checksum, pseudo_header
from sarab.wire.errors import Malformed

T = TypeVar("T")
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


def any_dns(data: bytes) -> None:
    message = dns.parse(data)
    assert dns.parse(dns.emit(message)) == message
    assert dns.line(message).isprintable()
    with contextlib.suppress(Malformed):
        records.edns_of(message)
    for record in (*message.answers, *message.authorities, *message.additionals):
        assert records.line(record).isprintable()
        with contextlib.suppress(Malformed):
            records.value_of(record)


def any_dhcpv4(data: bytes) -> None:
    """With the lease that is read from it."""
    message = dhcpv4.parse(data)
    assert dhcpv4.parse(dhcpv4.emit(message)) == message
    assert dhcpv4.line(message).isprintable()
    lease = lease_of(message, 0, Random(1).randbytes)
    assert lease.t1 is None or lease.t2 is None or lease.expiry is None or lease.t1 <= lease.t2 <= lease.expiry
    assert (lease.domain + lease.hostname + "".join(lease.search)).isprintable()


def any_address(data: bytes) -> None:
    """What a person writes: an address, a network, a MAC, a name. Each is a value or a ValueError."""
    word = data.decode("latin-1")
    if (own := _read(address.parse, word)) is not None:
        assert address.parse(address.text(own)) == own
    if (network := _read(address.parse_network, word)) is not None:
        assert address.in_network(network[0], address.network_of(*network), network[1])
    if (mac := _read(address.parse_mac, word)) is not None:
        assert address.parse_mac(address.mac_text(mac)) == mac
    if (name := _read(dns.name_of, word)) is not None:
        assert dns.name_of(dns.text_of(name)) == name


def _read(parse: Callable[[str], T], word: str) -> T | None:
    try:
        return parse(word)
    except ValueError:
        return None


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
    "dns": any_dns,
    "dhcpv4": any_dhcpv4,
    "address": any_address,
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
