"""Hundreds who would have the victim hold bytes for them: the sum has a bound, and who behaves goes on."""

from __future__ import annotations

import tracemalloc

from sarab.proto.tcp.account import MINIMUM, Account
from sarab.proto.tcp.values import State
from sarab.wire.tcp import Options
from tests.attack.field import Field, tcp
from tests.attack.peer import Peer, full, memory

LIMIT = 4 << 20
PEERS = 300
BOUND = LIMIT + 2 * MINIMUM * PEERS
OBJECTS = 3
"""What the bytes and the objects that hold them may come to, in times of what is counted."""
CONNECTION = 12_000
"""Bytes of a connection with empty buffers and what the tests keep of it."""


def small(backlog: int = 512) -> Field:
    """Return a field whose victim has little memory for TCP."""
    field = Field(backlog=backlog)
    field.victim.stack.tcp.account = Account(LIMIT)
    tracemalloc.start()
    return field


def check(field: Field, before: int) -> None:
    """Check what the victim holds, and that the client is served meanwhile."""
    grown = memory() - before
    tracemalloc.stop()
    account = field.victim.stack.tcp.account
    assert account.high - 65536 < account.used <= BOUND, "the attack comes up to the bound, and not over it"
    assert grown < OBJECTS * BOUND + PEERS * CONNECTION
    for family in (4, 6):
        field.exchange(family, 100_000)
    assert account.used <= BOUND
    assert field.counters()["tcp_memory_used"] == account.used


def let_go(field: Field, peers: list[Peer]) -> None:
    """End the attackers' connections, and check that nothing of them is left."""
    for peer in peers:
        peer.flow.abort(field.link.now)
    field.pass_time(70)
    assert not field.victim.stack.tcp.flows
    assert field.victim.stack.tcp.account.used == 0
    field.still_serves()


def test_slow_readers_fill_the_account_and_no_more() -> None:
    field = small()
    before = memory()
    peers = full(field, PEERS, 1000)
    for peer in peers:
        peer.window = 0
        peer.send(b"", ack=peer.flow.machine.snd_una)
    check(field, before)
    let_go(field, peers)


def test_bytes_that_nobody_reads_fill_the_account_and_no_more() -> None:
    field = small()
    before = memory()
    peers = [Peer(field, number, Options(1460)) for number in range(PEERS)]
    peers[0].take()
    field.service.reads = False
    for _ in range(20):
        for peer in peers:
            at = peer.flow.machine.rx.rcv_nxt - peer.flow.machine._irs - 1
            peer.send(bytes(1400), at=at - (peer.seq - 1001))
    field.victim.stack.take_ready()
    field.service.reads = True
    assert field.counted("tcp_memory_refused") > 0
    assert all(peer.flow.readable >= MINIMUM for peer in peers)
    check(field, before)
    let_go(field, peers)


def test_pieces_out_of_order_fill_the_account_and_make_room_for_what_is_in_order() -> None:
    field = small()
    before = memory()
    peers = [Peer(field, number, Options(1460, 7, True)) for number in range(PEERS)]
    peers[0].take()
    for hole in range(60):
        for peer in peers:
            field.strike(tcp(peer.address, peer.segment(b"x" * 400, at=100 + 500 * hole)))
    field.victim.stack.poll(field.link.now)
    assert field.counted("tcp_memory_refused") > 0
    check(field, before)
    assert all(peer.flow.machine.state is State.ESTABLISHED for peer in peers)
    for peer in peers[:3]:  # it was SACKed and dropped: the peer has it still, and nothing is missing in the end
        peer.send(bytes(2000))
        peer.take()
        assert peer.flow.machine.rx.rcv_nxt - peer.flow.machine._irs - 1 >= 2000
    let_go(field, peers)


def test_what_is_out_of_order_goes_when_bytes_in_order_need_its_room() -> None:
    field = small()
    before = memory()
    hoarders = [Peer(field, number, Options(1460, 7, True)) for number in range(PEERS // 2)]
    others = [Peer(field, PEERS + number, Options(1460)) for number in range(PEERS // 2)]
    hoarders[0].take()
    for hole in range(60):
        for peer in hoarders:
            field.strike(tcp(peer.address, peer.segment(b"x" * 400, at=100 + 500 * hole)))
    field.victim.stack.poll(field.link.now)
    field.service.reads = False
    for _ in range(30):
        for peer in others:
            peer.send(bytes(1400))
    field.victim.stack.take_ready()
    field.service.reads = True
    assert field.counted("tcp_memory_pruned") > 0
    check(field, before)
    let_go(field, hoarders + others)
