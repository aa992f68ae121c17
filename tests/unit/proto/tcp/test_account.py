"""What connections hold together has a bound, and none of them stands still for it."""

from __future__ import annotations

from sarab.proto.tcp.account import MINIMUM, PIECE_SIZE, Account
from sarab.proto.tcp.machine import Connection
from sarab.proto.tcp.values import Event, Settings
from sarab.wire.tcp import ACK, FIN, PSH, RST, SYN, Options, Segment

PIECE = bytes(1000)
PEER_ISS = 5000


def connection(account: Account, settings: Settings | None = None) -> Connection:
    machine = Connection.active(0, 1000, 80, 100, settings or Settings(nagle=False), account)
    machine.poll(0)
    machine.receive(0, peer(SYN | ACK, 0, 1, mss=1460, sack_permitted=True, window_scale=0))
    machine.poll(0)
    return machine


def peer(flags: int, seq: int, ack: int, payload: bytes = b"", *, mss: int = 0, **options: int) -> Segment:
    said = Options(mss or None, options.get("window_scale"), bool(options.get("sack_permitted")))
    return Segment(80, 1000, PEER_ISS + seq, 100 + ack, flags, 65535, said, payload)


def window(machine: Connection) -> int:
    """Return the window that the machine tells of now, in bytes."""
    machine._ack_now = True
    machine._deadline = 0
    (segment,) = machine.poll(0)
    return segment.window << 7


def fill(machine: Connection, size: int, seq: int = 1) -> None:
    for at in range(0, size, 1000):
        machine.receive(0, peer(ACK, seq + at, 1, PIECE))


def test_everything_that_a_connection_holds_is_counted_and_counted_off() -> None:
    account = Account()
    machine = connection(account)
    machine.write(0, bytes(5000))
    machine.receive(0, peer(ACK, 1, 1, PIECE))
    assert account.used == 6000
    machine.receive(0, peer(ACK, 3001, 1, PIECE))
    machine.receive(0, peer(ACK, 2001, 1, PIECE))
    assert account.used == 8000 + PIECE_SIZE, "two that touch are one piece"
    assert list(account.keepers) == [machine.rx]
    machine.receive(0, peer(ACK, 1001, 1, PIECE))
    assert account.used == 9000
    assert not account.keepers
    machine.read(0, 1500)
    machine.read_into(0, memoryview(bytearray(1500)))
    assert account.used == 6000
    machine.poll(0)
    machine.receive(0, peer(ACK, 4001, 2001))
    assert account.used == 4000
    machine.close(0)  # what nobody has read goes with it
    assert account.used == 0


def test_connection_that_is_reset_gives_back_all_but_what_is_to_be_read() -> None:
    account = Account()
    machine = connection(account)
    machine.write(0, bytes(5000))
    machine.receive(0, peer(ACK, 1, 1, PIECE))
    machine.receive(0, peer(ACK, 3001, 1, PIECE))
    assert machine.receive(0, peer(RST, 1001, 1)) & Event.RESET
    assert account.used == 1000
    machine.read(0, 1000)
    assert account.used == 0


def test_windows_shrink_as_they_drain_and_are_never_taken_back() -> None:
    account = Account(100_000)
    machine, other = connection(account), connection(account)
    told = window(machine)
    assert told == 131072
    fill(other, 80_000)
    assert window(machine) == told
    for at in range(0, told, 1000):  # what was told is taken: its user reads at once
        machine.receive(0, peer(ACK, 1 + at, 1, PIECE[: told - at]))
        machine.read(0, 1000)
        machine.poll(0)
    assert window(machine) == MINIMUM
    other.read(0, 80_000)
    assert window(machine) == 131072


def test_window_of_who_reads_nothing_shuts_under_pressure() -> None:
    account = Account(10_000)
    machine, other = connection(account, Settings(rcv_buffer=8192)), connection(account)
    fill(other, 8000)
    machine.receive(0, peer(ACK, 1, 1, PIECE * 8 + bytes(192)))
    assert machine.readable == MINIMUM
    assert window(machine) == 8192 - MINIMUM, "what was told"


def test_at_the_limit_each_may_hold_a_minimum_and_no_more() -> None:
    account = Account(1)
    machine = connection(account)
    fill(machine, 10_000)
    assert machine.readable == MINIMUM
    assert account.refused > 0
    assert machine.write(0, bytes(10_000)) == MINIMUM
    assert machine.write(0, b"x") == 0
    machine.poll(0)
    assert machine.receive(0, peer(ACK, 1 + MINIMUM, 1 + MINIMUM)) & Event.WRITABLE
    assert machine.write(0, b"x") == 1


def test_fin_behind_what_was_not_taken_is_not_taken_either() -> None:
    machine = connection(Account(1))
    events = machine.receive(0, peer(ACK | PSH | FIN, 1, 1, bytes(MINIMUM + 1)))
    assert not events & Event.EOF
    (answer,) = machine.poll(0)
    assert answer.ack == PEER_ISS + 1 + MINIMUM
    machine.read(0, MINIMUM)
    assert machine.receive(0, peer(ACK | FIN, 1 + MINIMUM, 1, b"x")) & Event.EOF
    assert machine.read(0, 10) == b"x"


def test_what_is_out_of_order_goes_first_whoever_has_it_and_comes_again() -> None:
    account = Account(40_000)
    hoarder, honest = connection(account), connection(account)
    fill(hoarder, 25_000, seq=2001)
    assert account.used == 25_000 + PIECE_SIZE
    assert hoarder.read(0, 1) == b""
    fill(honest, 20_000)
    assert honest.readable == 20_000
    assert account.pruned == 25_000 + PIECE_SIZE
    assert account.used == 20_000
    honest.read(0, 20_000)
    fill(hoarder, 27_000)  # it begins again at what was acknowledged
    assert hoarder.read(0, 1 << 20) == bytes(27_000)


def test_nothing_is_kept_out_of_order_under_pressure() -> None:
    account = Account(10_000)
    hoarder, honest = connection(account), connection(account)
    fill(honest, 8000)
    hoarder.receive(0, peer(ACK, 2001, 1, PIECE))
    assert not hoarder.rx.pieces
    assert account.refused == 1


def test_receive_buffers_do_not_grow_under_pressure() -> None:
    for limit, grown in ((1 << 30, True), (150_000, False)):
        account = Account(limit)
        machine, other = connection(account), connection(account)
        fill(other, 120_000)
        now = 0
        for _ in range(5):
            now += 1_000_000_000
            start = machine.rx.rcv_nxt - PEER_ISS
            for at in range(0, machine.rx.rcv_adv - machine.rx.rcv_nxt, 1000):
                machine.receive(now, peer(ACK, start + at, 1, PIECE))
                machine.rx.read(1000)
            machine._was_read(now)
            machine.poll(now)
        assert (machine.rx.buffer_size > 131072) is grown
