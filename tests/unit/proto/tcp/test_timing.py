"""Timers and decisions about when to send, beside those of test_machine.py."""

from __future__ import annotations

from typing import Any

from sarab.proto.tcp.machine import Connection
from sarab.proto.tcp.values import BLACK_HOLE_MSS, MILLISECOND, OVERRIDE, SECOND, Event, Settings, State
from sarab.wire.tcp import ACK, CWR, ECE, SYN, Options, Segment

PLAIN = Settings(timestamps=False, sack=False, nagle=False)


def peer(flags: int, seq: int, ack: int, payload: bytes = b"", *, window: int = 65535, **options: Any) -> Segment:
    """A segment of the peer; numbers count from the initial ones."""
    return Segment(80, 1000, 5000 + seq, 100 + ack, flags, window, Options(**options), payload)


def established(settings: Settings = PLAIN, *, window: int = 65535, flags: int = 0, **options: Any) -> Connection:
    """A connection that we opened at time 0, with a round trip of 10 ms, that has nothing to send."""
    machine = Connection.active(0, 1000, 80, 100, settings)
    machine.poll(0)
    options = {"mss": 1460, "sack_permitted": settings.sack, **options}
    machine.receive(10 * MILLISECOND, peer(SYN | ACK | flags, 0, 1, window=window, **options))
    machine.poll(10 * MILLISECOND)
    return machine


def sizes(segments: list[Segment]) -> list[int]:
    """Of their payloads."""
    return [len(segment.payload) for segment in segments]


def run_out(machine: Connection) -> list[int]:
    """Let time pass until the machine asks for no more; return the moments at which it was polled."""
    moments = []
    while (now := machine.deadline()) is not None:
        machine.poll(now)
        moments.append(now)
        assert len(moments) < 1000
    return moments


def test_a_user_timeout_is_kept_to_the_nanosecond() -> None:
    machine = established(PLAIN._replace(user_timeout=5 * SECOND))
    machine.write(7 * SECOND, b"x")
    machine.poll(7 * SECOND)
    assert run_out(machine)[-1] == 12 * SECOND
    assert machine.error == Event.TIMEOUT


def test_a_user_timeout_counts_from_the_last_progress() -> None:
    machine = established(PLAIN._replace(user_timeout=5 * SECOND))
    machine.write(SECOND, bytes(2000))
    machine.poll(SECOND)
    machine.receive(3 * SECOND, peer(ACK, 1, 1461))
    machine.poll(3 * SECOND)
    assert run_out(machine)[-1] == 8 * SECOND


def test_a_user_timeout_ends_the_wait_for_a_closed_window() -> None:
    machine = established(PLAIN._replace(user_timeout=5 * SECOND))
    machine.receive(SECOND, peer(ACK, 1, 1, window=0))
    machine.write(2 * SECOND, b"x")
    machine.poll(2 * SECOND)
    while machine.state is State.ESTABLISHED:
        now = machine.deadline()
        assert now is not None
        for _segment in machine.poll(now):
            machine.receive(now, peer(ACK, 1, 1, window=0))
    assert now == 7 * SECOND


def test_probes_that_nobody_answers_end_the_connection() -> None:
    machine = established(PLAIN._replace(retries=4))
    machine.receive(SECOND, peer(ACK, 1, 1, window=0))
    machine.write(2 * SECOND, b"x")
    machine.poll(2 * SECOND)
    run_out(machine)
    assert machine.error == Event.TIMEOUT
    assert machine.counters["window_probes"] == 5


def test_a_keepalive_that_is_asked_for_late_works() -> None:
    machine = established()
    assert machine.deadline() is None
    machine.configure(SECOND, PLAIN._replace(keepalive_idle=10 * SECOND, keepalive_interval=SECOND, keepalive_count=3))
    machine.poll(SECOND)
    assert machine.deadline() == 10 * SECOND + 10 * MILLISECOND
    run_out(machine)
    assert machine.error == Event.TIMEOUT


def test_a_small_window_is_filled_after_a_while_only() -> None:
    machine = established(window=60000)
    machine.receive(SECOND, peer(ACK, 1, 1, window=100))
    machine.write(SECOND, bytes(5000))
    assert machine.poll(SECOND) == []
    assert machine.deadline() == SECOND + OVERRIDE
    assert sizes(machine.poll(SECOND + OVERRIDE)) == [100]


def test_a_window_worth_a_segment_is_used_at_once() -> None:
    machine = established(window=60000)
    machine.receive(SECOND, peer(ACK, 1, 1, window=100))
    machine.write(SECOND, bytes(5000))
    machine.poll(SECOND)
    machine.receive(SECOND + MILLISECOND, peer(ACK, 1, 1, window=2000))
    assert sizes(machine.poll(SECOND + MILLISECOND)) == [1460]


def test_a_short_segment_goes_with_the_full_ones_before_it() -> None:
    for gso in (False, True):
        machine = established(PLAIN._replace(nagle=True, gso=gso))
        machine.write(SECOND, bytes(3000))
        assert sum(sizes(machine.poll(SECOND))) == 3000
        machine.write(SECOND, bytes(10))  # and the next waits for it (Minshall)
        assert machine.poll(SECOND) == []
        machine.receive(2 * SECOND, peer(ACK, 1, 3001))
        assert sizes(machine.poll(2 * SECOND)) == [10]


def test_a_cork_holds_back_what_is_no_full_segment() -> None:
    for gso in (False, True):
        machine = established(PLAIN._replace(gso=gso))
        machine.cork = True
        machine.write(SECOND, bytes(3000))
        assert sum(sizes(machine.poll(SECOND))) == 2920
        machine.cork = False
        assert sizes(machine.poll(SECOND)) == [80]


def test_long_segments_that_vanish_get_shorter() -> None:
    machine = established()
    machine.write(SECOND, bytes(1460))
    machine.poll(SECOND)
    sent: list[int] = []
    while len(sent) < 4:
        now = machine.deadline()
        assert now is not None
        sent += sizes(machine.poll(now))
    assert sent == [1460, 1460, BLACK_HOLE_MSS, BLACK_HOLE_MSS]
    assert machine.counters["black_holes"] == 1


def test_the_echo_tells_the_round_trip_of_what_was_sent_twice() -> None:
    machine = established(PLAIN._replace(timestamps=True), timestamps=(1, 0))
    machine.write(SECOND, b"x")
    machine.poll(SECOND)
    now = machine.deadline()
    assert now is not None
    (again,) = machine.poll(now)
    assert again.options.timestamps is not None
    machine.receive(now + 80 * MILLISECOND, peer(ACK, 1, 2, timestamps=(2, again.options.timestamps[0])))
    assert machine.rtt.latest == 80 * MILLISECOND


def test_a_lost_syn_makes_the_first_timeout_three_seconds() -> None:
    machine = Connection.active(0, 1000, 80, 100, PLAIN)
    machine.poll(0)
    machine.poll(SECOND)
    machine.receive(SECOND + MILLISECOND, peer(SYN | ACK, 0, 1, mss=1460))
    assert machine.rtt.rto == 3 * SECOND


def test_the_tail_loss_probe_is_put_off_by_each_new_segment() -> None:
    machine = established(PLAIN._replace(sack=True))
    machine.write(SECOND, bytes(2920))
    machine.poll(SECOND)
    machine.write(SECOND + 15 * MILLISECOND, bytes(2920))
    machine.poll(SECOND + 15 * MILLISECOND)
    assert machine.deadline() == SECOND + 35 * MILLISECOND


def test_a_tail_loss_probes_timer_is_no_timeout_once_a_loss_is_known() -> None:
    machine = established(PLAIN._replace(sack=True))
    machine.write(SECOND, bytes(14600))
    machine.poll(SECOND)
    now = SECOND + 15 * MILLISECOND
    machine.receive(now, peer(ACK, 1, 1, sack=((100 + 1461, 100 + 5841),)))
    machine.poll(now)
    assert machine.recovering
    deadline = machine.deadline()
    assert deadline is not None and deadline >= now + 200 * MILLISECOND


def test_a_loss_that_the_probe_repaired_slows_us_down() -> None:
    machine = established(PLAIN._replace(sack=True))
    machine.write(SECOND, bytes(2920))
    machine.poll(SECOND)
    now = machine.deadline() or 0
    assert sizes(machine.poll(now)) == [1460]
    before = machine.congestion.cwnd
    machine.receive(now + MILLISECOND, peer(ACK, 1, 2921))
    machine.write(now + MILLISECOND, b"x")
    machine.poll(now + MILLISECOND)
    machine.receive(now + 2 * MILLISECOND, peer(ACK, 1, 2922))
    assert machine.congestion.cwnd < before


def test_a_probe_for_nothing_does_not() -> None:
    machine = established(PLAIN._replace(sack=True))
    machine.write(SECOND, bytes(2920))
    machine.poll(SECOND)
    now = machine.deadline() or 0
    machine.poll(now)
    before = machine.congestion.cwnd
    machine.receive(now + MILLISECOND, peer(ACK, 1, 2921))
    machine.receive(now + MILLISECOND, peer(ACK, 1, 2921, sack=((100 + 1461, 100 + 2921),)))
    machine.write(now + MILLISECOND, b"x")
    machine.poll(now + MILLISECOND)
    machine.receive(now + 2 * MILLISECOND, peer(ACK, 1, 2922))
    assert machine.congestion.cwnd >= before


def test_congestion_that_a_router_marks_is_told_and_heard() -> None:
    machine = established(PLAIN._replace(ecn=True), flags=ECE)
    machine.receive(SECOND, peer(ACK, 1, 1, b"marked"), ce=True)
    (answer,) = machine.poll(SECOND)
    assert answer.flags & ECE
    machine.receive(SECOND, peer(ACK | CWR, 7, 1, b"heard"))
    machine.write(SECOND, bytes(14600))
    first = machine.poll(SECOND)
    assert not first[0].flags & ECE
    assert all(machine.ect(segment) for segment in first)
    before = machine.congestion.cwnd
    machine.receive(2 * SECOND, peer(ACK | ECE, 12, 1461))
    assert machine.congestion.cwnd < before
    machine.receive(2 * SECOND, peer(ACK | ECE, 12, 14601))
    machine.write(2 * SECOND, bytes(1460))
    assert machine.poll(2 * SECOND)[0].flags & CWR


def test_what_is_sent_again_is_not_capable_of_ecn() -> None:
    machine = established(PLAIN._replace(ecn=True), flags=ECE)
    machine.write(SECOND, b"x")
    assert machine.ect(machine.poll(SECOND)[0])
    now = machine.deadline() or 0
    assert not machine.ect(machine.poll(now)[0])
    machine.receive(now, peer(ACK, 1, 2, b"y" * 3000))
    assert not machine.ect(machine.poll(now)[0])


def test_sack_blocks_take_their_room_from_the_payload() -> None:
    for gso in (False, True):
        machine = established(PLAIN._replace(sack=True, gso=gso))
        machine.receive(SECOND, peer(ACK, 101, 1, b"x"))
        machine.receive(SECOND, peer(ACK, 201, 1, b"x"))
        machine.write(SECOND, bytes(5000))
        segments = machine.poll(SECOND)
        assert sum(sizes(segments)) == 5000
        assert max(sizes(segments)) == 1460 - 4 - 2 * 8
        assert all(len(segment.options.sack) == 2 for segment in segments)
