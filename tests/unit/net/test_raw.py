"""Protocols of IP and frames that the stack does not speak: who gets them, and what bounds them."""

from __future__ import annotations

import errno

import pytest

from sarab.net import raw
from sarab.net.errors import AddressInUse, MessageTooLong, NetworkUnreachable
from sarab.testing.network import Host, VirtualLink
from sarab.wire import ethernet, ipv4, ipv6
from sarab.wire.address import LOOPBACK4, parse

OSPF = 89


def pair(prefix: str = "10.0.0.{}/24") -> tuple[VirtualLink, Host, Host]:
    link = VirtualLink()
    return link, link.host(prefix.format(1)), link.host(prefix.format(2))


@pytest.mark.parametrize("prefix", ["10.0.0.{}/24", "fd00::{}/64"])
@pytest.mark.parametrize("size", [5, 4000])
def test_packets_of_a_protocol_go_to_who_has_taken_it(prefix: str, size: int) -> None:
    link, a, b = pair(prefix)
    link.run(5)
    here, there = a.stack.raw.open_packets(OSPF), b.stack.raw.open_packets(OSPF)
    here.send_to(link.now, b"x" * size, b.address)
    link.run(5, until=lambda: bool(there._queue))
    assert there.receive_from() == (b"x" * size, a.address)
    assert there.receive_from() is None


def test_a_protocol_that_nobody_has_is_complained_of_as_before() -> None:
    link, a, b = pair()
    here = a.stack.raw.open_packets(OSPF)
    here.send_to(link.now, b"x", b.address)
    link.run(1)
    assert b.stack.counters["no_protocol"] == 1
    assert a.stack.counters["icmp_errors_in"] == 1
    there = b.stack.raw.open_packets(OSPF)
    there.close(link.now)
    there.close(link.now)
    here.send_to(link.now, b"x", b.address)
    link.run(1)
    assert b.stack.counters["no_protocol"] == 2
    assert b.stack.raw.open_packets(OSPF) is not there


def test_packets_to_ourselves_come_back() -> None:
    link, a, _ = pair()
    port = a.stack.raw.open_packets(OSPF)
    port.send_to(link.now, b"x", LOOPBACK4)
    link.run(0.1, until=lambda: bool(port._queue))
    assert port.receive_from() == (b"x", LOOPBACK4)


@pytest.mark.parametrize("number", [ipv4.ICMP, ipv4.TCP, ipv4.UDP, ipv6.ICMPV6, ipv6.FRAGMENT, 0, 43, 59, 60, 256, -1])
def test_what_the_stack_speaks_is_not_to_be_had(number: int) -> None:
    _, a, _ = pair()
    with pytest.raises(AddressInUse) as caught:
        a.stack.raw.open_packets(number)
    assert caught.value.errno == errno.EADDRINUSE


def test_a_protocol_and_a_type_have_one_reader() -> None:
    _, a, _ = pair()
    interface = a.stack.interfaces[0]
    a.stack.raw.open_packets(OSPF)
    with pytest.raises(AddressInUse):
        a.stack.raw.open_packets(OSPF)
    a.stack.raw.open_frames(interface)
    a.stack.raw.open_frames(interface, 0x88CC)
    for kind in (0, 0x88CC, ethernet.IPV4, ethernet.ARP, ethernet.IPV6):
        with pytest.raises(AddressInUse):
            a.stack.raw.open_frames(interface, kind)


def test_what_cannot_be_sent_is_refused() -> None:
    link, a, _ = pair()
    port = a.stack.raw.open_packets(OSPF)
    with pytest.raises(MessageTooLong):
        port.send_to(link.now, bytes(65516), parse("10.0.0.2"))
    with pytest.raises(NetworkUnreachable):
        port.send_to(link.now, b"x", parse("10.9.9.9"))
    with pytest.raises(MessageTooLong):
        a.stack.raw.open_frames(a.stack.interfaces[0]).send(ethernet.BROADCAST, 0x88B5, bytes(1501))


def test_frames_of_a_type_go_to_its_reader_and_all_others_to_who_takes_them() -> None:
    link, a, b = pair()
    sender = a.stack.raw.open_frames(a.stack.interfaces[0])
    special = b.stack.raw.open_frames(b.stack.interfaces[0], 0x88CC)
    mac = b.stack.interfaces[0].mac
    sender.send(mac, 0x88B5, b"lost")
    link.run(0.1)
    assert b.stack.counters["no_protocol"] == 1
    others = b.stack.raw.open_frames(b.stack.interfaces[0])
    for kind in (0x88CC, 0x88B5):
        sender.send(ethernet.BROADCAST, kind, kind.to_bytes(2, "big"))
        sender.send(b"\x02\0\0\0\0\x77", kind, b"for somebody else")
    link.run(0.1)
    head = ethernet.BROADCAST + a.stack.interfaces[0].mac
    assert special.receive() == head + b"\x88\xcc\x88\xcc"
    assert others.receive() == head + b"\x88\xb5\x88\xb5"
    assert special.receive() is None
    assert others.receive() is None


def test_who_does_not_read_loses_what_is_beyond_the_bound() -> None:
    _, a, _ = pair()
    packets, frames = a.stack.raw.open_packets(OSPF), a.stack.raw.open_frames(a.stack.interfaces[0])
    for _ in range(raw.WAITING_MAX + 3):
        packets.deliver(b"x", LOOPBACK4)
        frames.deliver(bytes(60))
    assert packets.dropped == frames.dropped == 3
    packets.receive_from()
    assert packets.deliver(b"x", LOOPBACK4)
    large = a.stack.raw.open_packets(OSPF + 1)
    while large.deliver(bytes(65000), LOOPBACK4):
        pass
    assert large._queued <= raw.WAITING_BYTES_MAX
