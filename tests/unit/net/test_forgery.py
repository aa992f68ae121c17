"""What a host on the path, or off it, may not do to a stack with packets that nobody asked for."""

from __future__ import annotations

import random

from sarab.device.network import Incoming
from sarab.net.endpoints import HANDSHAKES_MAX
from sarab.net.interface import Configuration, Interface
from sarab.net.stack import Stack
from sarab.proto.tcp.values import State
from sarab.wire import arp, ethernet, icmpv4, ipv4
from sarab.wire import tcp as wire_tcp
from sarab.wire.tcp import RST, SYN, Options, Segment

OURS, THEIRS = b"\x0a\0\0\x01", b"\x0a\0\0\x02"
OUR_MAC, THEIR_MAC = b"\x02\0\0\0\0\x01", b"\x02\0\0\0\0\x02"
IPV4 = OUR_MAC + THEIR_MAC + b"\x08\x00"


def make() -> tuple[Stack, Interface]:
    """Return a stack whose peer has asked for its address, so that each knows the other."""
    stack = Stack(random.Random(1).randbytes)
    card = stack.add_interface("eth0", OUR_MAC, 1500, configuration=Configuration(((OURS, 24),)))
    say(stack, card, arp.Packet(arp.REQUEST, THEIR_MAC, THEIRS, bytes(6), OURS))
    return stack, card


def say(stack: Stack, card: Interface, packet: arp.Packet) -> None:
    header = ethernet.emit(ethernet.Header(OUR_MAC, packet.sha, ethernet.ARP))
    stack.receive(0, card, [Incoming(header + arp.emit(packet))])


def send(stack: Stack, card: Interface, protocol: int, body: bytes) -> None:
    header = ipv4.emit(ipv4.Header(THEIRS, OURS, protocol, 20 + len(body)))
    stack.receive(0, card, [Incoming(IPV4 + header + body, True)])


def send_segment(stack: Stack, card: Interface, port: int, seq: int, flags: int) -> None:
    options = Options(1460) if flags & SYN else wire_tcp.NO_OPTIONS
    send(stack, card, ipv4.TCP, wire_tcp.emit(Segment(port, 80, seq, 0, flags, 1000, options)))


def test_resets_of_half_open_connections_make_no_more_room_than_there_is() -> None:
    stack, card = make()
    listener = stack.tcp_listen(0, b"", 80, backlog=500)

    def handshakes() -> int:
        return sum(flow.machine.state is State.SYN_RECEIVED for flow in stack.tcp.flows.values())

    for port in range(1000, 1000 + 8 * HANDSHAKES_MAX, 2):
        send_segment(stack, card, port, 5, SYN)
        send_segment(stack, card, port + 1, 5, SYN)
        stack.poll(0)
        send_segment(stack, card, port, 6, RST)
        stack.poll(0)
        assert listener.half_open == handshakes()
    assert handshakes() <= HANDSHAKES_MAX
    assert stack.tcp.counters["cookies_sent"]


def test_an_arp_reply_that_nobody_asked_for_teaches_nothing() -> None:
    stack, card = make()
    stranger = b"\x0a\0\0\x09"
    say(stack, card, arp.Packet(arp.REPLY, b"\x02\0\0\0\0\x66", stranger, OUR_MAC, OURS))
    assert card.neighbours.lookup(0, stranger) is None
    assert card.neighbours.lookup(0, THEIRS) == THEIR_MAC


def test_an_arp_reply_that_was_asked_for_is_learnt() -> None:
    stack, card = make()
    asked = b"\x0a\0\0\x09"
    stack.udp_open(0, b"", 0).send_to(0, b"x", asked, 9)
    stack.poll(0)
    say(stack, card, arp.Packet(arp.REPLY, b"\x02\0\0\0\0\x66", asked, OUR_MAC, OURS))
    assert card.neighbours.lookup(0, asked) == b"\x02\0\0\0\0\x66"
    assert len(stack.poll(0)[0][1]) == 1


def test_a_path_mtu_is_not_learnt_from_a_quotation_that_was_not_in_flight() -> None:
    stack, card = make()
    flow = stack.tcp_connect(0, THEIRS, 80)
    stack.poll(0)
    for offset, expected in ((1_000_000, 1500), (0, 600)):
        seq = (flow.machine.snd_una + offset) & 0xFFFFFFFF
        ports = flow.local[1].to_bytes(2, "big") + (80).to_bytes(2, "big")
        quoted = ipv4.emit(ipv4.Header(OURS, THEIRS, ipv4.TCP, 1500)) + ports + seq.to_bytes(4, "big")
        message = icmpv4.Message(icmpv4.UNREACHABLE, icmpv4.FRAGMENTATION_NEEDED, 0, 600, quoted)
        send(stack, card, ipv4.ICMP, icmpv4.emit(message))
        assert stack.path_mtu(THEIRS, 0) == expected
