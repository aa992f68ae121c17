"""The lines of the tracer, and that no frame can make it fail."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sarab.device.network import Gso, Outgoing
from sarab.driver.memory import pair
from sarab.driver.tracer import Tracer, frame_line
from sarab.testing.cards import check_network
from sarab.wire import arp, ethernet, icmpv4, ipv4, ipv6, tcp, udp
from sarab.wire.address import parse

A, B = parse("10.0.0.1"), parse("10.0.0.2")
MACS = (b"\xff" * 6, b"\x02\0\0\0\0\x01")
SYN = tcp.emit(tcp.Segment(40000, 80, 7, 0, tcp.SYN, 65535, tcp.Options(mss=1460)))


def over_ipv4(protocol: int, body: bytes) -> bytes:
    head = ipv4.emit(ipv4.Header(A, B, protocol, ipv4.HEADER_SIZE + len(body)))
    return ethernet.emit(ethernet.Header(*MACS, ethernet.IPV4)) + head + body


def over_ipv6(protocol: int, body: bytes) -> bytes:
    head = ipv6.emit(ipv6.Header(parse("fd00::1"), parse("fd00::2"), protocol, len(body)))
    return ethernet.emit(ethernet.Header(*MACS, ethernet.IPV6)) + head + body


def test_it_keeps_what_a_card_promises() -> None:
    def make() -> tuple[Tracer, object]:
        left, right = pair()
        return Tracer(left, lambda line: None), right

    check_network(make)  # type: ignore[arg-type]


def test_each_protocol_has_its_line() -> None:
    assert frame_line(over_ipv4(6, SYN)) == "10.0.0.1.40000 > 10.0.0.2.80: S 7:7(0) win 65535 <mss 1460>"
    assert frame_line(over_ipv6(6, SYN)) == "fd00::1.40000 > fd00::2.80: S 7:7(0) win 65535 <mss 1460>"
    assert frame_line(over_ipv4(17, udp.emit(udp.Header(53, 99, 11)) + b"abc")) == "10.0.0.1.53 > 10.0.0.2.99: udp (3)"
    echo = icmpv4.emit(icmpv4.Message(icmpv4.ECHO, 0, 1, 1))
    assert frame_line(over_ipv4(1, echo)) == "10.0.0.1 > 10.0.0.2: icmp echo request id 1 seq 1 (0)"
    assert frame_line(over_ipv6(58, b"\x87\0" + bytes(22))) == "fd00::1 > fd00::2: icmp6 type 135 code 0 (24)"
    link = ethernet.emit(ethernet.Header(*MACS, ethernet.ARP))
    asks = arp.emit(arp.Packet(arp.REQUEST, MACS[1], A, bytes(6), B))
    assert frame_line(link + asks) == "arp who-has 10.0.0.2 tell 10.0.0.1"
    assert frame_line(over_ipv4(99, b"xyz")) == "10.0.0.1 > 10.0.0.2 proto 99 (3)"
    assert frame_line(b"short") == "malformed (5 bytes): an Ethernet frame has 14 bytes at least"


def test_direction_time_and_bursts_are_shown() -> None:
    lines: list[str] = []
    times = iter([5_000_000, 7_500_000])
    left, right = pair(descriptors=False)
    card = Tracer(left, lines.append, clock=lambda: next(times))
    card.send([Outgoing(over_ipv4(6, SYN), b"", 34, 16, Gso.TCPV4, 1460)])
    right.send([Outgoing(over_ipv4(6, SYN))])
    card.receive(9)
    assert lines[0].startswith("0.000000 > 10.0.0.1.40000")
    assert lines[0].endswith("[segments of 1460]")
    assert lines[1].startswith("0.002500 < 10.0.0.1.40000")


@given(st.binary(max_size=120), st.sampled_from([b"", over_ipv4(6, SYN), over_ipv6(6, SYN), over_ipv6(44, b"")]))
def test_no_frame_makes_it_fail(tail: bytes, head: bytes) -> None:
    assert frame_line(head + tail)
    assert frame_line(head[:34] + tail)
