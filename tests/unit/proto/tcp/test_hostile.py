"""Segments that nobody honest sends, or that a broken path makes: what they must not do."""

from __future__ import annotations

from typing import Any

from sarab.proto.tcp.machine import Connection
from sarab.proto.tcp.values import CHALLENGE_ACKS_PER_SECOND, MILLISECOND, SECOND, Event, Settings, State
from sarab.wire.tcp import ACK, FIN, PSH, RST, SYN, Options, Segment

PLAIN = Settings(timestamps=False, sack=False, nagle=False)
SACKING = PLAIN._replace(sack=True)
STAMPING = PLAIN._replace(timestamps=True)


def peer(flags: int, seq: int, ack: int, payload: bytes = b"", *, window: int = 65535, **options: Any) -> Segment:
    """A segment of the peer; numbers count from the initial ones."""
    return Segment(80, 1000, 5000 + seq, 100 + ack, flags, window, Options(**options), payload)


def established(settings: Settings = PLAIN, *, window: int = 65535, **options: Any) -> Connection:
    """A connection that we opened at time 0, with a round trip of 10 ms, that has nothing to send."""
    machine = Connection.active(0, 1000, 80, 100, settings)
    machine.poll(0)
    options = {"mss": 1460, "sack_permitted": settings.sack, **options}
    machine.receive(10 * MILLISECOND, peer(SYN | ACK, 0, 1, window=window, **options))
    machine.poll(10 * MILLISECOND)
    return machine


def test_a_made_up_old_segment_does_not_move_the_timestamp() -> None:
    machine = established(STAMPING, timestamps=(1000, 0))
    machine.receive(SECOND, peer(ACK | PSH, 1, 1, b"first", timestamps=(1001, 0)))
    machine.poll(SECOND)
    for payload in (b"", b"x"):  # outside of the window, and long after the peer's clock
        machine.receive(SECOND, peer(ACK, -10, 1, payload, timestamps=(0x70000000, 0)))
    machine.receive(SECOND, peer(ACK, 6, 999, b"x", timestamps=(0x70000000, 0)))  # acknowledges what was never sent
    machine.receive(SECOND, peer(ACK | PSH, 6, 1, b"second", timestamps=(1002, 0)))
    assert machine.read(SECOND, 100) == b"firstsecond"
    assert machine.counters["paws_drops"] == 0


def test_ends_that_disagree_do_not_answer_each_other_for_ever() -> None:
    machine = established()
    answers = 0
    for _ in range(1000):
        machine.receive(SECOND, peer(ACK, -5, 1))
        answers += len(machine.poll(SECOND))
    assert answers == CHALLENGE_ACKS_PER_SECOND


def test_a_keepalive_is_answered() -> None:
    machine = established()
    machine.receive(SECOND, peer(ACK, 0, 1))
    (answer,) = machine.poll(SECOND)
    assert answer.ack == 5001


def test_an_impossible_acknowledgement_of_our_syn_is_reset() -> None:
    machine = Connection.active(0, 1000, 80, 100, PLAIN)
    machine.poll(0)
    answers = []
    for _ in range(1000):
        assert machine.receive(0, peer(ACK, 77, 5000)) == Event.NONE
        answers += machine.poll(0)
    assert {(answer.seq, answer.flags) for answer in answers} == {(5100, RST)}
    assert len(answers) == CHALLENGE_ACKS_PER_SECOND
    assert machine.state is State.SYN_SENT


def test_an_impossible_acknowledgement_of_our_syn_ack_is_reset() -> None:
    machine = Connection.passive(0, peer(SYN, 0, 0), 100, PLAIN)
    machine.poll(0)
    machine.receive(0, peer(ACK, 1, 2000))
    (answer,) = machine.poll(0)
    assert (answer.seq, answer.flags) == (2100, RST)
    assert machine.state is State.SYN_RECEIVED
    assert machine.receive(0, peer(ACK, 1, 1)) & Event.ESTABLISHED


def test_the_window_of_a_syn_is_never_scaled() -> None:
    machine = Connection.active(0, 1000, 80, 100, PLAIN)
    machine.poll(0)
    machine.receive(0, peer(SYN, 0, 0, window=1000, window_scale=7))
    machine.poll(0)
    machine.receive(0, peer(SYN | ACK, 0, 1, window=1000, window_scale=7))
    assert machine.state is State.ESTABLISHED
    assert machine.snd_wnd == 1000


def test_duplicate_acknowledgements_that_are_made_up_do_not_open_the_window_without_end() -> None:
    machine = established()
    machine.write(SECOND, bytes(1 << 20))
    sent = sum(len(segment.payload) for segment in machine.poll(SECOND))
    for _ in range(1000):
        machine.receive(SECOND, peer(ACK, 1, 1))
        sent += sum(len(segment.payload) for segment in machine.poll(SECOND))
    assert sent <= 3 * 14600


def test_a_fin_that_comes_early_waits_for_what_it_ends() -> None:
    machine = established()
    assert machine.receive(0, peer(FIN | ACK, 101, 1, b"end")) == Event.NONE
    assert not machine.eof
    assert machine.receive(0, peer(ACK, 1, 1, bytes(100))) == Event.READABLE | Event.EOF
    assert machine.read(0, 1000) == bytes(100) + b"end"
    assert machine.state is State.CLOSE_WAIT


def test_a_fin_alone_that_comes_early_is_kept_too() -> None:
    machine = established()
    machine.receive(0, peer(FIN | ACK, 6, 1))
    assert machine.receive(0, peer(ACK, 1, 1, b"hello")) & Event.EOF


def test_what_came_twice_is_reported() -> None:
    machine = established(SACKING)
    machine.receive(SECOND, peer(ACK, 1, 1, bytes(100)))
    machine.poll(SECOND)
    machine.receive(SECOND, peer(ACK, 1, 1, bytes(100)))
    (answer,) = machine.poll(SECOND)
    assert answer.options.sack == ((5001, 5101),)
    machine.receive(SECOND, peer(ACK, 101, 1, bytes(5000)))
    (answer,) = machine.poll(SECOND)
    assert answer.options.sack == ()


def test_a_probe_of_our_closed_window_is_answered_and_its_acknowledgement_counts() -> None:
    machine = established(PLAIN._replace(rcv_buffer=4000, rcv_buffer_max=4000))
    machine.write(SECOND, b"data")
    machine.poll(SECOND)
    machine.receive(SECOND, peer(ACK, 1, 1, bytes(4000)))
    assert machine.poll(SECOND)[-1].window == 0
    machine.receive(SECOND, peer(ACK, 4001, 5, b"x"))
    (answer,) = machine.poll(SECOND)
    assert (answer.ack, answer.window) == (9001, 0)
    assert machine.unsent == 0


def test_a_window_that_is_taken_back_does_not_end_the_connection_of_a_peer_that_answers() -> None:
    machine = established(PLAIN._replace(retries=3))
    machine.write(SECOND, bytes(1000))
    machine.poll(SECOND)
    now = SECOND
    for _ in range(20):
        now = machine.deadline() or 0
        for _segment in machine.poll(now):
            machine.receive(now + MILLISECOND, peer(ACK, 1, 1, window=0))
        machine.poll(now + MILLISECOND)
    assert machine.state is State.ESTABLISHED
    machine.receive(now + SECOND, peer(ACK, 1, 1001))
    assert machine.unsent == 0


def test_an_old_segment_says_nothing_of_the_window() -> None:
    machine = established()
    machine.receive(SECOND, peer(ACK, 1, 1, b"0123456789", window=3000))
    machine.receive(SECOND, peer(ACK, 1, 1, window=20000))
    assert machine.snd_wnd == 3000


def test_an_old_segment_acknowledges_nothing() -> None:
    machine = established(window=2000)
    machine.write(SECOND, bytes(3000))
    machine.poll(SECOND)
    machine.receive(SECOND, peer(ACK, 0, 1461, window=0))
    assert sum(len(segment.payload) for segment in machine.poll(SECOND)) == 0
    assert machine.unsent == 3000


def test_after_a_timeout_without_sack_nothing_goes_three_times() -> None:
    machine = established()
    machine.write(SECOND, bytes(14600))
    machine.poll(SECOND)
    now = machine.deadline()
    assert now is not None
    again = machine.poll(now)
    acked = 1
    while machine.unsent:
        acked += 1460
        now += MILLISECOND
        machine.receive(now, peer(ACK, 1, acked))
        again += machine.poll(now)
    assert sorted(segment.seq for segment in again) == [101 + 1460 * number for number in range(10)]


def test_a_cookies_data_is_heard_of() -> None:
    machine = Connection.from_cookie(0, peer(ACK | PSH, 1, 1, b"GET /"), Options(mss=1000), PLAIN)
    assert machine.take_events() & (Event.ESTABLISHED | Event.READABLE) == Event.ESTABLISHED | Event.READABLE
    assert machine.read(0, 100) == b"GET /"
    assert machine.snd_mss == 1000


def test_time_wait_gives_way_to_what_is_clearly_newer() -> None:
    machine = established()
    machine.close(0)
    machine.poll(0)
    machine.receive(0, peer(FIN | ACK, 1, 2))
    assert machine.state is State.TIME_WAIT
    assert machine.gives_way(peer(SYN, 1000, 0))
    assert not machine.gives_way(peer(SYN, -1000, 0))
    assert not machine.gives_way(peer(SYN | ACK, 1000, 0))


def test_time_wait_gives_way_to_a_later_timestamp_whatever_the_number() -> None:
    machine = established(STAMPING, timestamps=(1000, 0))
    machine.close(0)
    machine.poll(0)
    machine.receive(0, peer(FIN | ACK, 1, 2, timestamps=(1001, 0)))
    assert machine.gives_way(peer(SYN, -1000, 0, timestamps=(1002, 0)))
    assert not machine.gives_way(peer(SYN, 1000, 0, timestamps=(900, 0)))


def test_time_wait_keeps_little() -> None:
    machine = established(SACKING)
    machine.write(0, bytes(100_000))
    machine.close(0)
    machine.poll(0)
    while machine.state is not State.FIN_WAIT_2:
        machine.receive(0, peer(ACK, 1, machine.snd_nxt - 100))
        machine.poll(0)
    machine.receive(0, peer(FIN | ACK, 1, machine.snd_nxt - 100))
    other = established(SACKING)
    other.close(0)
    other.poll(0)
    other.receive(0, peer(FIN | ACK, 1, 2))
    assert machine._flight is other._flight
    assert machine.congestion is other.congestion
    machine.path_mtu(0, 500)
    assert machine.statistics()["in_flight"] == 0


def test_what_is_older_than_the_first_number_and_was_told_of_leaves_its_room_in_the_segment() -> None:
    """A number below the peer's first is negative inside. Found by fuzzing: the segment was 8 bytes too long."""
    machine = established(SACKING)
    machine.receive(SECOND, peer(ACK | PSH, -5300, 1, b"x" * 200))
    machine.write(SECOND, bytes(5000))
    segment = machine.poll(SECOND)[0]
    assert len(segment.options.sack) == 1
    assert len(segment.payload) + 12 == 1460
