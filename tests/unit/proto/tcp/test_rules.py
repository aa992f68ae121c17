"""Rules of RFC 9293 that need bytes on a wire, or two connections, where a packetdrill script has neither."""

from __future__ import annotations

import pytest

from sarab.net.errors import AddressInUse
from sarab.proto.tcp.isn import Secrets
from sarab.proto.tcp.machine import Connection
from sarab.proto.tcp.values import SECOND, Settings, State
from sarab.testing.packetdrill import LOCAL, LOCAL_PORT, REMOTE, REMOTE_PORT, Player
from sarab.testing.script import read
from sarab.wire import icmpv4, ipv4
from sarab.wire import tcp as wire
from sarab.wire.checksum import checksum, pseudo_header
from sarab.wire.tcp import ACK, SYN, Options, Segment

LISTEN = """
0    socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0   bind(3, ..., ...) = 0
+0   listen(3, 1) = 0
"""
OPEN = (
    LISTEN
    + """
+0   < S 0:0(0) win 32792 <mss 1000>
+0   > S. 0:0(0) ack 1 <mss 1460>
+.1  < . 1:1(0) ack 1 win 32792
+0   accept(3, ..., ...) = 4
"""
)


def played(text: str) -> Player:
    player = Player(read("x.pkt", text))
    player.run()
    return player


def header(seq: int, ack: int, flags: int, options: bytes = b"") -> bytes:
    """A segment's header with raw options, and no checksum yet."""
    bare = Segment(REMOTE_PORT, LOCAL_PORT, seq, ack & 0xFFFFFFFF, flags, 1000)
    data = bytearray(wire.emit(bare) + options)
    data[12] = (20 + len(options)) // 4 << 4
    return bytes(data)


def with_checksum(body: bytes, source: bytes = REMOTE, destination: bytes = LOCAL) -> bytes:
    value = checksum(body, pseudo_header(source, destination, ipv4.TCP, len(body)))
    return body[:16] + value.to_bytes(2, "big") + body[18:]


def answers(player: Player) -> list[Segment]:
    player.settle()
    sent = [sent.segment for sent in player.sent]
    player.sent.clear()
    return sent


def data(player: Player, payload: bytes, options: bytes = b"") -> bytes:
    """The peer's next segment of a connection that OPEN made."""
    assert player.iss is not None
    return header(1, player.iss + 1, ACK, options) + payload


def test_a_wrong_checksum_is_dropped() -> None:
    player = played(OPEN)
    good = with_checksum(data(player, b"hello"))
    player.receive_packet(ipv4.TCP, good[:-1] + b"X")
    assert player.flow is not None and player.flow.readable == 0
    player.receive_packet(ipv4.TCP, good)
    assert player.flow.readable == 5


def test_options_nobody_knows_are_ignored_wherever_they_come() -> None:
    unknown = b"\xfd\x04\x00\x00\x01\xfe\x03\x00"
    player = played(OPEN)
    player.receive_packet(ipv4.TCP, with_checksum(data(player, b"hello", unknown)))
    assert player.flow is not None and player.flow.readable == 5
    player = played(LISTEN)
    player.receive_packet(ipv4.TCP, with_checksum(header(0, 0, SYN, unknown + b"\x02\x04\x02\x00")))
    assert [segment.flags for segment in answers(player)] == [SYN | ACK]
    assert next(iter(player.stack.tcp.flows.values())).machine.snd_mss == 512


def test_options_need_no_alignment() -> None:
    player = played(LISTEN)
    player.receive_packet(ipv4.TCP, with_checksum(header(0, 0, SYN, b"\x01\x02\x04\x02\x00\x03\x03\x05")))
    (answer,) = answers(player)
    assert answer.options.window_scale is not None
    assert next(iter(player.stack.tcp.flows.values())).machine.snd_mss == 512


@pytest.mark.parametrize("options", [b"\2\0\2\0", b"\x08\1\0\0", b"\1\1\1\2", b"\3\xff\0\0"])
def test_an_option_of_illegal_length_drops_the_segment_and_harms_nobody(options: bytes) -> None:
    player = played(OPEN)
    player.receive_packet(ipv4.TCP, with_checksum(data(player, b"hello", options)))
    assert answers(player) == []
    assert player.stack.counters["malformed"] == 1
    assert player.flow is not None and player.flow.readable == 0
    player.receive_packet(ipv4.TCP, with_checksum(data(player, b"hello")))
    assert player.flow.readable == 5


def test_what_follows_the_last_option_is_zeros() -> None:
    for options in (Options(1460), Options(1460, 7, True), Options(timestamps=(1, 2)), Options(sack=((1, 2),))):
        emitted = wire.emit(Segment(1, 2, 3, 4, SYN, 5, options))
        assert len(emitted) % 4 == 0
        assert len(emitted) == (emitted[12] >> 4) * 4
        at = 20
        while at < len(emitted) and emitted[at]:
            at += 1 if emitted[at] == 1 else emitted[at + 1]
        assert not any(emitted[at:])


@pytest.mark.parametrize("source", [bytes(4), bytes((255,) * 4), bytes((224, 0, 0, 1)), bytes((127, 0, 0, 1))])
def test_a_syn_from_an_impossible_address_is_ignored(source: bytes) -> None:
    player = played(LISTEN)
    player.receive_packet(ipv4.TCP, with_checksum(header(0, 0, SYN), source, LOCAL), source=source)
    assert answers(player) == []
    assert not player.stack.tcp.flows


@pytest.mark.parametrize("destination", [bytes((255,) * 4), bytes((192, 168, 0, 255)), bytes((224, 0, 0, 1))])
def test_a_syn_to_everybody_is_ignored(destination: bytes) -> None:
    player = played(LISTEN)
    syn = with_checksum(header(0, 0, SYN), REMOTE, destination)
    player.receive_packet(ipv4.TCP, syn, destination=destination)
    assert answers(player) == []
    assert not player.stack.tcp.flows


def test_ip_options_are_passed_over() -> None:
    player = played(LISTEN)
    record_route = bytes((7, 7, 4, 0, 0, 0, 0, 0))
    player.receive_packet(ipv4.TCP, with_checksum(header(0, 0, SYN)), options=record_route)
    assert [segment.flags for segment in answers(player)] == [SYN | ACK]


@pytest.mark.parametrize("kind", [icmpv4.TIME_EXCEEDED, icmpv4.PARAMETER_PROBLEM, 4])
def test_icmp_that_tells_of_a_passing_trouble_ends_nothing(kind: int) -> None:
    player = played(OPEN + "+0 write(4, ..., 100) = 100\n+0 > P. 1:101(100) ack 1\n")
    assert player.iss is not None and player.flow is not None
    quoted = wire.emit(Segment(LOCAL_PORT, REMOTE_PORT, player.iss + 1 & 0xFFFFFFFF, 0, ACK, 0))
    inner = ipv4.emit(ipv4.Header(LOCAL, REMOTE, ipv4.TCP, 140)) + quoted
    player.receive_packet(ipv4.ICMP, icmpv4.emit(icmpv4.Message(kind, 0, 0, 0, inner)))
    assert answers(player) == []
    assert player.flow.machine.state is State.ESTABLISHED


def test_segments_that_come_together_get_one_acknowledgement() -> None:
    player = played(OPEN)
    assert player.iss is not None
    for index in range(4):
        body = header(1 + 100 * index, player.iss + 1, ACK) + bytes(100)
        player.receive_packet(ipv4.TCP, with_checksum(body))
    player.now += SECOND
    assert len(answers(player)) == 1


def test_many_connections_of_one_listener() -> None:
    player = played(LISTEN.replace("listen(3, 1)", "listen(3, 8)"))
    for port in (1000, 1001, 1002):
        syn = Segment(port, LOCAL_PORT, 7, 0, SYN, 1000)
        player.receive_packet(ipv4.TCP, with_checksum(wire.emit(syn)))
    assert {segment.dst_port for segment in answers(player)} == {1000, 1001, 1002}
    assert len(player.stack.tcp.flows) == 3


def test_two_addresses_may_have_a_listener_each_on_one_port() -> None:
    player = played("0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n")
    player.interface.set_addresses([*player.interface.addresses, (bytes((192, 168, 0, 9)), 24)])
    player.stack.tcp_listen(player.now, LOCAL, 80)
    player.stack.tcp_listen(player.now, bytes((192, 168, 0, 9)), 80)
    with pytest.raises(AddressInUse):
        player.stack.tcp_listen(player.now, LOCAL, 80)


def test_the_address_of_a_syn_is_asked_of_ip_and_kept() -> None:
    player = played("0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n")
    second = bytes((10, 0, 0, 1))
    player.interface.set_addresses([*player.interface.addresses, (second, 24)])
    assert player.stack.tcp_connect(player.now, REMOTE, 80).local[0] == LOCAL
    assert player.stack.tcp_connect(player.now, bytes((10, 0, 0, 7)), 80).local[0] == second
    assert player.stack.tcp_connect(player.now, REMOTE, 80, local=second).local[0] == second


def test_initial_numbers_follow_a_clock_and_a_secret() -> None:
    secrets, others = Secrets(bytes(32)), Secrets(b"\1" * 32)
    connection = (LOCAL, 80, REMOTE, 1000)
    first = secrets.isn(0, connection)
    assert (secrets.isn(SECOND, connection) - first) & 0xFFFFFFFF == 250_000
    assert others.isn(0, connection) != first
    assert secrets.isn(0, (LOCAL, 80, REMOTE, 1001)) != first
    starts = {secrets.isn(0, (LOCAL, 80, REMOTE, port)) >> 24 for port in range(2000)}
    assert len(starts) > 240, "numbers of neighbours are spread over all that there are"


def test_the_mss_is_told_in_syns_alone() -> None:
    machine = Connection.active(0, 1, 2, 3, Settings())
    (syn,) = machine.poll(0)
    assert syn.options.mss == 1460
    machine.receive(1, Segment(2, 1, 9, 4, SYN | ACK, 65535, Options(1000, 7, True, (), (1, 1))))
    machine.write(1, bytes(5000))
    later = machine.poll(1)
    assert len(later) > 4
    assert all(segment.options.mss is None for segment in later)
