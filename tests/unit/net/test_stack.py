"""Whole stacks on a link of virtual time: ARP, IPv4, ICMP, UDP, TCP and loopback."""

from __future__ import annotations

import errno
import os
import random
from itertools import pairwise

import pytest

from sarab.device.network import Offload
from sarab.net.errors import AddressInUse, AddressNotAvailable, MessageTooLong, NetworkUnreachable
from sarab.net.ipv4 import Ipv4
from sarab.net.stack import Stack
from sarab.proto.tcp.values import Event, Settings, State
from sarab.testing.network import Host, VirtualLink
from sarab.wire import arp, ethernet, icmpv4, ipv4
from sarab.wire import tcp as wire_tcp
from sarab.wire.address import parse
from sarab.wire.tcp import ACK, RST, SYN, Segment
from tests.unit.net.talk import connect, transfer

TSO = Offload.CHECKSUM | Offload.TSO4


def pair(offloads: Offload = Offload.NONE) -> tuple[VirtualLink, Host, Host]:
    link = VirtualLink()
    return link, link.host("10.0.0.1/24", offloads=offloads), link.host("10.0.0.2/24", offloads=offloads)


@pytest.mark.parametrize("timestamps", [True, False])
def test_the_short_way_out_makes_the_frames_of_the_long_one(timestamps: bool) -> None:
    def conversation(short: bool) -> list[bytes]:
        link, a, b = pair(TSO)
        listener = b.stack.tcp_listen(link.now, b"", 80)
        settings = Settings(timestamps=timestamps, nagle=False)
        flow = a.stack.tcp_connect(link.now, b.address, 80, local_port=40000, settings=settings)
        link.run(until=lambda: listener.waiting > 0)
        accepted = listener.accept()
        assert accepted is not None
        for step in range(1, 60):
            for sender, receiver in ((flow, accepted), (accepted, flow)):
                if sender.path is not None:
                    assert sender.path.ends or not short
                    sender.path.ends = sender.path.ends if short else b""
                sender.write(link.now, bytes([step]) * (step * 31 % 1400 + 1))
                link.run(0.003)
                receiver.read(link.now, 1 << 20)
        return [frame for frame in link.seen if frame[12:14] == b"\x08\x00"]

    frames = conversation(True)
    assert len(frames) > 120
    assert frames == conversation(False)


def test_ping() -> None:
    link, a, b = pair()
    message = icmpv4.emit(icmpv4.Message(icmpv4.ECHO, 0, 7, 1, b"payload"))
    a.stack._send(link.now, a.address, b.address, ipv4.ICMP, message)
    link.run()
    replies = [frame for frame in link.seen if frame[12:14] == b"\x08\x00" and frame[34] == icmpv4.ECHO_REPLY]
    assert len(replies) == 1
    assert icmpv4.parse(replies[0][34:]) == icmpv4.Message(icmpv4.ECHO_REPLY, 0, 7, 1, b"payload")


def test_datagrams_both_ways_with_one_question_for_the_address() -> None:
    link, a, b = pair()
    server = b.stack.udp_open(link.now, b"", 53)
    client = a.stack.udp_open(link.now, b"", 0)
    client.send_to(link.now, b"question", b.address, 53)
    link.run()
    datagram = server.receive_from()
    assert datagram == (b"question", a.address, client.local[1])
    server.send_to(link.now, b"answer", *datagram[1:])
    link.run()
    assert client.receive_from() == (b"answer", b.address, 53)
    assert a.events[client] & Event.READABLE
    assert sum(frame[12:14] == b"\x08\x06" for frame in link.seen) == 2


def test_a_large_datagram_goes_in_fragments() -> None:
    link, a, b = pair()
    server = b.stack.udp_open(link.now, b"", 53)
    data = os.urandom(20_000)
    a.stack.udp_open(link.now, b"", 0).send_to(link.now, data, b.address, 53)
    link.run()
    datagram = server.receive_from()
    assert datagram is not None and datagram[0] == data
    assert b.stack.counters["reassembled"] == 1


def test_names_of_fragments_differ_within_a_way_and_tell_nothing_of_others() -> None:
    link, a, b = pair()
    c = link.host("10.0.0.3/24")
    client = a.stack.udp_open(link.now, b"", 0)
    named: dict[bytes, list[int]] = {b.address: [], c.address: []}
    for _ in range(10):
        for host in (b, c):
            client.send_to(link.now, bytes(2000), host.address, 53)
        link.run(0.01)
    for frame in link.seen:
        if frame[12:14] == b"\x08\x00":
            header = ipv4.parse(frame[14:])
            if header.flags & ipv4.MORE_FRAGMENTS and header.source == a.address:
                named[header.destination].append(header.identification)
    first, second = named.values()
    assert len(set(first)) == len(set(second)) == 10
    assert {(right - left) & 0xFFFF for left, right in pairwise(first)} == {1}, "no name comes again before the others"
    assert not set(first) & set(second)
    other = Ipv4(Stack(random.Random(9).randbytes))
    assert other._identify(a.address, b.address, ipv4.UDP) not in first


def test_a_closed_port_refuses() -> None:
    link, a, b = pair()
    flow = a.stack.tcp_connect(link.now, b.address, 81)
    link.run()
    assert a.events[flow] & Event.REFUSED
    assert not a.stack.tcp.flows


def test_a_silent_host_is_given_up() -> None:
    link, a, _ = pair()
    flow = a.stack.tcp_connect(link.now, parse("10.0.0.77"), 81)
    link.run(10)
    assert a.events[flow] & Event.UNREACHABLE


def test_ports_are_one_users() -> None:
    link, a, _ = pair()
    a.stack.tcp_listen(link.now, b"", 80)
    with pytest.raises(AddressInUse) as refused:
        a.stack.tcp_listen(link.now, a.address, 80)
    assert refused.value.errno == errno.EADDRINUSE
    a.stack.udp_open(link.now, b"", 80)
    with pytest.raises(AddressInUse):
        a.stack.udp_open(link.now, b"", 80)


def test_what_cannot_be_reached_is_said() -> None:
    link, a, _ = pair()
    with pytest.raises(NetworkUnreachable):
        a.stack.tcp_connect(link.now, parse("192.0.2.1"), 80)
    with pytest.raises(AddressNotAvailable):
        a.stack.tcp_listen(link.now, parse("192.0.2.1"), 80)
    with pytest.raises(MessageTooLong):
        a.stack.udp_open(link.now, b"", 0).send_to(link.now, bytes(65508), parse("10.0.0.2"), 9)


def test_a_gateway_is_used_for_what_is_far() -> None:
    link = VirtualLink()
    a = link.host("10.0.0.1/24", gateway="10.0.0.2")
    b = link.host("10.0.0.2/24")
    a.stack.tcp_connect(link.now, parse("192.0.2.1"), 80)
    link.run(0.1)
    far = [frame for frame in link.seen if frame[12:14] == b"\x08\x00"]
    assert far and all(frame[:6] == b.mac and frame[30:34] == parse("192.0.2.1") for frame in far)


def syn(number: int, flags: int = SYN, ack: int = 0, isn: int = 1) -> tuple[bytes, bytes]:
    """A segment of a made-up host, as a packet, and its address."""
    source = bytes((10, 0, 0, 100 + number % 100))
    segment = Segment(1024 + number // 100, 80, isn, ack, flags, 1000)
    return source, wire_tcp.emit(segment)


def frame_of(b: Host, source: bytes, tcp: bytes) -> bytes:
    from sarab.net.tcp import whole_checksum

    header = ipv4.emit(ipv4.Header(source, b.address, ipv4.TCP, 20 + len(tcp)))
    link_header = ethernet.emit(ethernet.Header(b.mac, bytes((2, 9, 9, 9, 9, source[3])), ethernet.IPV4))
    return link_header + header + whole_checksum(tcp, b"", source, b.address)


def test_a_flood_of_syns_is_answered_with_cookies_and_others_are_served() -> None:
    link, a, b = pair()
    listener = b.stack.tcp_listen(link.now, b"", 80)
    for number in range(20_000):
        link.inject(frame_of(b, *syn(number)), b)
        b.stack.poll(link.now)
    assert len(b.stack.tcp.flows) <= 256
    assert b.stack.tcp.counters["cookies_sent"] > 19_000
    flow = a.stack.tcp_connect(link.now, b.address, 80)
    link.run(5, until=lambda: listener.waiting > 0)
    accepted = listener.accept()
    assert accepted is not None
    assert transfer(link, flow, accepted, b"through the flood") == b"through the flood"
    assert b.stack.tcp.counters["cookies_accepted"] == 1


def test_a_guessed_cookie_is_reset() -> None:
    link, _, b = pair()
    listener = b.stack.tcp_listen(link.now, b"", 80)
    for guess in range(100):
        link.inject(frame_of(b, *syn(1, ACK, ack=guess * 7919 + 1, isn=2)), b)
    assert b.stack.tcp.counters["strays"] == 100, "nobody can have one before the first was sent"
    listener.cookies_until = link.now + 1
    for guess in range(100):
        link.inject(frame_of(b, *syn(1, ACK, ack=guess * 7919 + 1, isn=2)), b)
    assert b.stack.tcp.counters["cookies_refused"] == 100
    assert not b.stack.tcp.flows


def test_an_announcement_nobody_asked_for_does_not_take_over_a_neighbour() -> None:
    link, a, b = pair()
    flow, accepted = connect(link, a, b)
    evil = bytes((2, 6, 6, 6, 6, 6))
    packet = arp.Packet(arp.REPLY, evil, b.address, ethernet.BROADCAST, b.address)
    link.inject(ethernet.emit(ethernet.Header(ethernet.BROADCAST, evil, ethernet.ARP)) + arp.emit(packet), a)
    assert transfer(link, flow, accepted, b"still here") == b"still here"
    assert not any(frame[:6] == evil for frame in link.seen)


def test_a_router_that_needs_smaller_packets_is_believed_for_what_is_in_flight() -> None:
    link, a, b = pair()
    flow, accepted = connect(link, a, b)
    flow.write(link.now, bytes(50_000))
    a.stack.tcp.poll(link.now)
    big = a.interface.outgoing[0]
    quoted = big.header[14:34] + big.header[34:42]
    message = icmpv4.emit(icmpv4.Message(icmpv4.UNREACHABLE, icmpv4.FRAGMENTATION_NEEDED, 0, 1000, quoted))
    header = ipv4.emit(ipv4.Header(b.address, a.address, ipv4.ICMP, 20 + len(message)))
    link.inject(a.mac + b.mac + b"\x08\x00" + header + message, a)
    assert flow.machine.snd_mss == 1000 - 40 - 12
    forged = bytearray(quoted)
    forged[24] ^= 0x40
    message = icmpv4.emit(icmpv4.Message(icmpv4.UNREACHABLE, icmpv4.FRAGMENTATION_NEEDED, 0, 600, bytes(forged)))
    header = ipv4.emit(ipv4.Header(b.address, a.address, ipv4.ICMP, 20 + len(message)))
    link.inject(a.mac + b.mac + b"\x08\x00" + header + message, a)
    assert flow.machine.snd_mss == 1000 - 40 - 12
    assert accepted


def test_a_backlog_that_is_full_leaves_the_peer_waiting() -> None:
    link, a, b = pair()
    listener = b.stack.tcp_listen(link.now, b"", 80, backlog=2)
    flows = [a.stack.tcp_connect(link.now, b.address, 80) for _ in range(2)]
    link.run(0.1)
    flows += [a.stack.tcp_connect(link.now, b.address, 80) for _ in range(3)]
    link.run(0.5)
    assert listener.waiting == 2
    assert sum(flow.established for flow in flows) == 2
    while listener.accept():
        pass
    link.run(30)
    assert all(flow.established for flow in flows)


def test_a_listener_that_closes_resets_what_it_has_not_given_out() -> None:
    link, a, b = pair()
    listener = b.stack.tcp_listen(link.now, b"", 80)
    flow = a.stack.tcp_connect(link.now, b.address, 80)
    link.run(until=lambda: listener.waiting > 0)
    listener.close(link.now)
    link.run()
    assert a.events[flow] & Event.RESET
    assert not b.stack.tcp.listeners


def test_a_reset_for_a_segment_of_nobody_carries_its_acknowledgement_number() -> None:
    link, _, b = pair()
    source, tcp = syn(5, ACK, ack=77)
    link.inject(frame_of(b, source, tcp), b)
    b.interface.neighbours.enqueue(link.now, source, b.interface.outgoing.pop()) if b.interface.outgoing else None
    waiting = b.interface.neighbours._entries[source].pending
    segment = wire_tcp.parse(waiting[0].header[34:] + bytes(waiting[0].payload))
    assert (segment.flags, segment.seq) == (RST, 77)


def test_idle_flows_ask_for_nothing() -> None:
    link, a, b = pair()
    listener = b.stack.tcp_listen(link.now, b"", 80, backlog=300)
    flows = [a.stack.tcp_connect(link.now, b.address, 80) for _ in range(200)]
    link.run(10, until=lambda: listener.waiting == 200)
    link.run(5)
    assert all(flow.machine.state is State.ESTABLISHED for flow in flows)
    assert a.stack.tcp.deadline() is None
    assert b.stack.tcp.deadline() is None
