"""Peers that misbehave on connections they have, and strangers who would break into those of others (RFC 5961)."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from itertools import count

import pytest

from sarab.net import tcp as net_tcp
from sarab.net.endpoints import Flow
from sarab.proto.tcp.flight import SENT_MAX, UNITS_MAX
from sarab.proto.tcp.values import CHALLENGE_ACKS_PER_SECOND, MSS_MIN, REASSEMBLY_PIECES_MAX, Settings, State
from sarab.wire.tcp import ACK, FIN, NO_OPTIONS, PSH, RST, SYN, Options, Segment
from tests.attack.field import PORT, VICTIM4, Field, far, tcp
from tests.attack.peer import MASK, Peer, full, memory

WORK_MAX = 1200
"""Lines of Python for one segment, whatever state its sender has brought about."""
WINDOW = Settings().rcv_buffer


# ---- strangers ---------------------------------------------------------------------------------------------------


def client_flow(field: Field) -> tuple[Flow, Flow]:
    """Return an established connection of the client's, both ends."""
    link = field.link
    flow = field.client.stack.tcp_connect(link.now, VICTIM4, PORT)
    link.run(1, until=lambda: flow.established)
    link.run(0.1)
    other = field.victim.stack.tcp.flows[(VICTIM4, PORT, *flow.local)]
    return flow, other


def forged(flow: Flow, seq: int, ack: int, flags: int, payload: bytes = b"") -> bytes:
    """Return a segment in the name of the far end of the victim's `flow`."""
    segment = Segment(flow.remote[1], PORT, seq & MASK, ack & MASK, flags, 1000, NO_OPTIONS, payload)
    return tcp(flow.remote[0], segment)


@pytest.mark.parametrize("flags", [RST, RST | ACK, SYN, SYN | ACK, FIN | ACK, ACK, PSH | ACK, 0, FIN | SYN | RST | PSH])
def test_a_stranger_who_does_not_see_the_wire_breaks_nothing(flags: int) -> None:
    """Numbers from all over the window and beyond, but for the one right; RFC 5961 sections 3, 4 and 5."""
    field = Field()
    flow, other = client_flow(field)
    machine = other.machine
    chance = field.random
    payload = b"" if flags & (RST | SYN) else b"evil"

    def guesses() -> Iterator[bytes]:
        while True:
            near = chance.choice((1, 2, 100, WINDOW // 2, -1, -100, 1 << 20, chance.getrandbits(32) | 1))
            wrong = machine.snd_nxt + chance.randrange(100_000, 1 << 31)
            yield forged(other, machine.rx.rcv_nxt + near, wrong, flags, payload)

    flood = guesses()
    for _ in range(3):
        for _, data in zip(range(300), flood, strict=False):
            field.strike(data)
            field.victim.stack.poll(field.link.now)
        field.pass_time(1)
    assert machine.state is State.ESTABLISHED
    assert machine.counters["challenge_acks"] <= 4 * CHALLENGE_ACKS_PER_SECOND
    assert field.counted("tcp_challenge_acks", "tcp_unacceptable", "tcp_segments_in") >= 900
    assert field.work(next(flood) for _ in range(50)) < WORK_MAX
    assert not machine.rx.pieces
    flow.write(field.link.now, b"still here")
    field.link.run(2, until=lambda: flow.readable == 10)
    assert flow.read(field.link.now, 100) == b"still here"
    field.still_serves()


def test_how_many_challenges_one_connection_has_had_tells_nothing_of_another() -> None:
    """CVE-2016-5696: a limit for all would count for whoever can hear his own."""
    field = Field()
    _, first = client_flow(field)
    _, second = client_flow(field)
    for _ in range(100):
        field.strike(forged(first, first.machine.rx.rcv_nxt + 5, 0, RST))
    field.strike(forged(second, second.machine.rx.rcv_nxt + 5, 0, RST))
    assert first.machine.counters["challenge_acks"] == CHALLENGE_ACKS_PER_SECOND
    assert second.machine.counters["challenge_acks"] == 1
    field.still_serves()


def test_a_reset_with_the_right_number_ends_that_connection_alone() -> None:
    field = Field()
    _, first = client_flow(field)
    _, second = client_flow(field)
    field.strike(forged(first, first.machine.rx.rcv_nxt, 0, RST))
    assert first.machine.state is State.CLOSED
    assert second.machine.state is State.ESTABLISHED
    field.still_serves()


def test_resets_do_not_end_a_time_wait() -> None:
    """RFC 1337."""
    field = Field()
    peer = Peer(field, 1)
    peer.take()
    peer.flow.shutdown_write(field.link.now)
    field.victim.stack.poll(field.link.now)
    peer.send(b"", flags=FIN | ACK)
    assert peer.flow.machine.state is State.TIME_WAIT
    peer.send(b"", flags=RST)
    assert peer.flow.machine.state is State.TIME_WAIT
    field.still_serves()


# ---- peers -------------------------------------------------------------------------------------------------------


def test_out_of_order_floods_are_bounded_in_pieces_bytes_and_work() -> None:
    field = Field()
    peers = [Peer(field, number, Options(1460, 7, True)) for number in range(10)]
    for peer in peers:
        peer.take()
    tracemalloc.start()
    before = memory()
    for peer in peers:
        for hole in range(700):
            field.strike(tcp(peer.address, peer.segment(b"x", at=2 + 2 * hole)) + bytes(1400))
            field.victim.stack.poll(field.link.now)
    field.look()
    grown = memory() - before
    tracemalloc.stop()
    assert all(len(peer.flow.machine.rx.pieces) == REASSEMBLY_PIECES_MAX for peer in peers)
    assert grown / len(peers) < REASSEMBLY_PIECES_MAX * 700, "a piece does not hold the frame in which it came"
    assert field.counted("tcp_out_of_order") == field.frames - 20
    one = peers[0]
    low = (tcp(one.address, one.segment(b"y", at=2 + 2 * hole)) for hole in range(40))
    assert field.work(low) < WORK_MAX
    field.still_serves()


def test_small_parts_of_long_segments_do_not_hold_the_whole() -> None:
    """Each long segment brings 1100 new bytes: the rest of its frame is not to be kept."""
    field = Field()
    peer = Peer(field, 1)
    peer.take()
    tracemalloc.start()
    before = memory()
    size = 60_000
    for at in range(0, WINDOW - size - 2000, 1100):
        payload = bytes(size)
        data = tcp(peer.address, peer.segment(payload, at=4000 + at))
        field.strike(data)
    grown = memory() - before
    tracemalloc.stop()
    assert grown < 3 * WINDOW + 100_000
    field.still_serves()


@pytest.mark.parametrize("size", [1, 7])
def test_tiny_segments_that_nobody_reads_cost_little_more_than_their_bytes(size: int) -> None:
    field = Field()
    peer = Peer(field, 1)
    peer.take()
    field.service.reads = False
    tracemalloc.start()
    before = memory()
    segments = 6_000
    for _ in range(segments):
        peer.send(b"z" * size)
    grown = memory() - before
    tracemalloc.stop()
    received = peer.flow.readable
    assert received == min(segments * size, peer.flow.machine.rx.buffer_size)
    assert grown < 2 * received + 30_000
    assert field.answers <= field.frames
    field.service.reads = True
    field.still_serves()


def test_a_peer_that_sends_beyond_its_window_is_cut_off_there() -> None:
    field = Field()
    peer = Peer(field, 1)
    peer.take()
    field.service.reads = False
    for _ in range(400):
        peer.send(bytes(1400))
    assert peer.flow.readable <= WINDOW
    assert len(peer.flow.machine.rx.pieces) <= 1
    field.service.reads = True
    field.still_serves()


def test_slow_writers_cost_nothing_but_their_connection() -> None:
    """Slowloris: a byte now and then, for ever, on many connections."""
    field = Field(backlog=2000)
    peers = [Peer(field, number) for number in range(200)]
    peers[0].take()
    for _ in range(20):
        for peer in peers:
            peer.send(b"X")
        peers[0].take()
        field.pass_time(10)
    assert all(peer.flow.machine.state is State.ESTABLISHED for peer in peers)
    stack = field.victim.stack
    for peer in peers:  # the echoes
        peer.send(b"")
    field.pass_time(1)
    field.pass_time(100)
    assert stack.tcp.deadline() is None, "who waits for a slow writer has no timer"
    field.still_serves()


def test_a_window_that_stays_shut_is_probed_less_and_less_and_bounds_the_buffer() -> None:
    """RFC 9293 section 3.8.6.1 forbids to end it: what bounds it is the buffer, and the program or its user timeout."""
    field = Field()
    peers = full(field, 10, 1000)
    for peer in peers:
        peer.window = 0
        peer.send(b"")
    field.look()
    for _ in range(60):
        field.pass_time(60)
        for peer in peers:
            peer.send(b"")  # it lives, and answers
    assert all(peer.flow.machine.state is State.ESTABLISHED for peer in peers)
    assert all(peer.flow.machine.unsent <= Settings().snd_buffer_max for peer in peers)
    assert field.counted("tcp_window_probes") < 10 * 80, "an hour, a probe a minute"
    field.still_serves()
    for peer in peers[:5]:
        settings = peer.flow.machine.settings._replace(user_timeout=30 * 1_000_000_000)
        peer.flow.machine.configure(field.link.now, settings)
        field.victim.stack.touch(peer.flow)
    for peer in peers[5:]:
        peer.flow.close(field.link.now)
    for _ in range(30):
        field.pass_time(60)
        for peer in peers:
            if peer.flow.machine.state is not State.CLOSED:
                peer.send(b"")
    assert all(peer.flow.machine.state is State.CLOSED for peer in peers)
    assert not field.victim.stack.tcp.flows
    field.still_serves()


def test_a_silent_peer_with_a_shut_window_is_given_up() -> None:
    field = Field()
    peers = full(field, 3, 0)
    field.pass_time(3600)
    assert all(peer.flow.machine.state is State.CLOSED for peer in peers)
    field.still_serves()


def test_a_slow_reader_keeps_its_own_buffer_and_no_other() -> None:
    field = Field()
    peers = full(field, 10, 100)
    for _ in range(30):
        field.pass_time(5)
        for peer in peers:
            peer.send(b"")
    assert all(peer.flow.machine.unsent <= Settings().snd_buffer_max for peer in peers)
    assert field.work(tcp(peer.address, peer.segment(b"")) for peer in peers) < WORK_MAX
    field.still_serves()


def test_acknowledgements_of_crumbs_are_bounded_in_units_and_work() -> None:
    """Selective acknowledgements of single bytes cut what is in flight into units (cf. CVE-2019-11478)."""
    field = Field()
    peer = Peer(field, 1, Options(1460, 14, True), window=60_000)
    peer.take()
    while peer.flow.write(field.link.now, bytes(65536)):
        pass
    machine = peer.flow.machine
    for _ in range(200):
        field.victim.stack.poll(field.link.now)
        peer.send(b"", ack=machine.snd_una + 2 * 1460)
    base = machine.snd_una
    size = machine.snd_nxt - base
    assert size > 300_000

    def crumbs() -> Iterator[bytes]:
        for number in count():
            blocks = tuple(
                (base + at & MASK, base + at + 1 & MASK) for at in range(3 + 8 * number, 3 + 8 * number + 8, 2)
            )
            segment = peer.segment(b"", ack=base)
            yield tcp(peer.address, segment._replace(options=Options(sack=tuple(blocks))))

    flood = crumbs()
    for _, data in zip(range(60), flood, strict=False):
        field.strike(data)
    assert len(machine._flight.units) <= UNITS_MAX + 64
    assert field.work(next(flood) for _ in range(30)) < WORK_MAX + 3 * UNITS_MAX
    field.still_serves()


def test_a_peer_that_wants_tiny_segments_has_few_of_them_in_flight() -> None:
    """cf. CVE-2019-11479."""
    field = Field()
    peer = Peer(field, 1, Options(1, 14, True), window=60_000)
    peer.take()
    machine = peer.flow.machine
    while peer.flow.write(field.link.now, bytes(65536)):
        pass
    for _ in range(900):
        field.victim.stack.poll(field.link.now)
        peer.send(b"", ack=machine.snd_una + 3 * machine.snd_mss)
    assert machine.snd_mss == MSS_MIN
    assert 1000 < len(machine._flight.units) <= SENT_MAX
    assert field.work(tcp(peer.address, peer.segment(b"", ack=machine.snd_una)) for _ in range(20)) < WORK_MAX
    field.still_serves()


def test_a_flood_of_duplicate_acknowledgements_sends_no_flood() -> None:
    field = Field()
    peer = Peer(field, 1, window=60_000)
    peer.take()
    peer.flow.write(field.link.now, bytes(500_000))
    field.victim.stack.poll(field.link.now)
    field.look()
    before = field.answered_bytes
    ack = peer.flow.machine.snd_una
    for _ in range(2000):
        peer.send(b"", ack=ack)
    field.look()
    assert field.answered_bytes - before <= 2 * 65535
    field.still_serves()


def test_acknowledgements_of_what_was_not_sent_open_nothing() -> None:
    """RFC 9293 section 3.10.7.4, RFC 5961 section 5."""
    field = Field()
    peer = Peer(field, 1)
    peer.take()
    machine = peer.flow.machine
    cwnd = machine.congestion.cwnd
    for ahead in range(1, 500):
        peer.send(b"", ack=machine.snd_nxt + ahead * 1000)
    assert machine.congestion.cwnd == cwnd
    assert machine.counters["challenge_acks"] <= CHALLENGE_ACKS_PER_SECOND
    field.still_serves()


def test_connections_that_are_never_closed_cost_what_an_idle_one_costs() -> None:
    field = Field(backlog=6000)
    tracemalloc.start()
    Peer(field, 60_001).take()
    before = memory()
    peers = []
    for number in range(1000):
        peers.append(Peer(field, number))
        if number % 100 == 0:
            peers[-1].take()
    peers[-1].take()
    field.look()
    grown = memory() - before
    tracemalloc.stop()
    assert field.service.accepted >= 1000
    assert grown / 1000 < 8000
    field.pass_time(300)
    assert field.victim.stack.tcp.deadline() is None, "who waits has no timer"
    field.still_serves()


def test_when_there_are_too_many_connections_those_that_are_over_make_room() -> None:
    field = Field()
    field.victim.stack.tcp.flows_max = 100
    peers = [Peer(field, number) for number in range(60)]
    peers[0].take()
    for peer in peers[:50]:
        peer.flow.shutdown_write(field.link.now)
        field.victim.stack.poll(field.link.now)
        peer.send(b"", flags=FIN | ACK)
        assert peer.flow.machine.state is State.TIME_WAIT
    late = [Peer(field, 100 + number) for number in range(80)]
    late[0].take()
    assert len(field.victim.stack.tcp.flows) == 100
    segment = Segment(9, PORT, 1, 0, SYN, 1000)
    for number in range(20):
        field.strike(tcp(far(4, 300 + number), segment))
        field.victim.stack.poll(field.link.now)
    assert field.counted("tcp_flows_refused") >= 10
    for peer in late[:20]:
        peer.send(b"", flags=RST)
        field.victim.stack.poll(field.link.now)
    field.still_serves()


def test_deadlines_that_were_overtaken_are_forgotten() -> None:
    """A connection with keepalive has a deadline in two hours, and with each exchange another one."""
    field = Field()
    peer = Peer(field, 1)
    peer.take()
    hours = 7200 * 1_000_000_000
    peer.flow.machine.configure(field.link.now, peer.flow.machine.settings._replace(keepalive_idle=hours))
    for _ in range(2000):
        peer.send(b"x")
        peer.take()
        peer.send(b"")
        field.link.now += 50_000_000
        field.victim.stack.poll(field.link.now)
    assert len(field.victim.stack.tcp._heap) <= net_tcp.HEAP_SLACK + 10
    field.still_serves()
