"""One TCP machine, spoken to segment by segment (RFC 9293)."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from sarab.proto.tcp.machine import Connection
from sarab.proto.tcp.values import MILLISECOND, SECOND, Event, Settings, State
from sarab.wire.tcp import ACK, FIN, PSH, RST, SYN, Options, Segment, line

PLAIN = Settings(timestamps=False, sack=False, nagle=False)
SACKING = Settings(timestamps=False, nagle=False)
PEER_ISS = 5000


def peer(flags: int, seq: int, ack: int, payload: bytes = b"", *, window: int = 65535, **options: Any) -> Segment:
    """A segment of the peer; `seq` and `ack` count from the initial sequence numbers."""
    return Segment(80, 1000, PEER_ISS + seq, 100 + ack, flags, window, Options(**options), payload)


def lines(segments: list[Segment]) -> list[str]:
    """The segments in packetdrill's notation, numbers counted from the initial ones, options left out."""
    relative = []
    for segment in segments:
        ack = (segment.ack - PEER_ISS) & 0xFFFFFFFF if segment.flags & ACK else 0
        bare = segment._replace(seq=(segment.seq - 100) & 0xFFFFFFFF, ack=ack, options=Options())
        relative.append(line(bare).rpartition(" win ")[0])
    return relative


def state(machine: Connection) -> State:
    """The state, read anew."""
    return machine.state


def established(settings: Settings = PLAIN, **options: Any) -> Connection:
    """A connection that we opened, and that has nothing to send."""
    machine = Connection.active(0, 1000, 80, 100, settings)
    machine.poll(0)
    options = {"mss": 1460, "sack_permitted": settings.sack, **options}
    assert machine.receive(0, peer(SYN | ACK, 0, 1, **options)) & Event.ESTABLISHED
    assert lines(machine.poll(0)) == [". 1:1(0) ack 1"]
    return machine


def test_active_open_sends_a_syn_with_its_options() -> None:
    machine = Connection.active(0, 1000, 80, 100, Settings())
    (syn,) = machine.poll(0)
    assert syn.flags == SYN
    assert syn.options.mss == 1460
    assert syn.options.sack_permitted
    assert syn.options.window_scale == 7
    assert syn.options.timestamps is not None
    assert machine.poll(0) == []
    assert machine.deadline() == SECOND


def test_a_syn_that_nobody_answers_is_repeated_and_given_up() -> None:
    machine = Connection.active(0, 1000, 80, 100, Settings(syn_retries=2))
    times = []
    while (now := machine.deadline()) is not None:
        times += [now] * len(machine.poll(now))
    assert times == [0, SECOND, 3 * SECOND]
    assert machine.take_events() & Event.TIMEOUT
    assert machine.error is Event.TIMEOUT


def test_a_reset_refuses_a_syn_only_with_the_right_acknowledgement() -> None:
    machine = Connection.active(0, 1000, 80, 100, PLAIN)
    machine.poll(0)
    assert machine.receive(0, peer(RST | ACK, 0, 7)) == Event.NONE
    assert machine.receive(0, peer(RST, 0, 0)) == Event.NONE
    assert machine.receive(0, peer(RST | ACK, 0, 1)) == Event.REFUSED | Event.CLOSED


def test_passive_open() -> None:
    syn = Segment(80, 1000, PEER_ISS, 0, SYN, 1000, Options(mss=1000))
    machine = Connection.passive(0, syn, 100, PLAIN)
    assert lines(machine.poll(0)) == ["S. 0:0(0) ack 1"]
    assert machine.receive(1, peer(ACK, 1, 1)) & Event.ESTABLISHED
    assert state(machine) is State.ESTABLISHED
    assert machine.snd_mss == 1000


def test_a_syn_that_comes_again_gets_its_syn_ack_again() -> None:
    syn = Segment(80, 1000, PEER_ISS, 0, SYN, 1000, Options(mss=1000))
    machine = Connection.passive(0, syn, 100, PLAIN)
    machine.poll(0)
    machine.receive(1, syn)
    assert lines(machine.poll(1)) == ["S. 0:0(0) ack 1"]


def test_what_was_written_goes_in_segments_of_the_mss() -> None:
    machine = established()
    assert machine.write(0, bytes(3000)) == 3000
    assert lines(machine.poll(0)) == [". 1:1461(1460) ack 1", ". 1461:2921(1460) ack 1", "P. 2921:3001(80) ack 1"]


def test_a_card_that_cuts_gets_one_long_segment() -> None:
    machine = established(PLAIN._replace(gso=True))
    machine.write(0, bytes(5000))
    assert lines(machine.poll(0)) == ["P. 1:5001(5000) ack 1"]


def test_the_first_window_is_ten_segments() -> None:
    machine = established()
    machine.write(0, bytes(100_000))
    assert sum(len(segment.payload) for segment in machine.poll(0)) == 10 * 1460


def test_nagle_holds_back_a_short_segment_until_all_is_acknowledged() -> None:
    machine = established(PLAIN._replace(nagle=True))
    machine.write(0, b"a")
    assert lines(machine.poll(0)) == ["P. 1:2(1) ack 1"]
    machine.write(0, b"b")
    assert machine.poll(0) == []
    machine.receive(1, peer(ACK, 1, 2))
    assert lines(machine.poll(1)) == ["P. 2:3(1) ack 1"]


def test_an_acknowledgement_waits_for_an_answer_to_ride_on() -> None:
    machine = established()
    assert machine.receive(0, peer(ACK | PSH, 1, 1, b"question")) == Event.READABLE
    assert machine.poll(0) == []
    assert machine.read(0, 100) == b"question"
    machine.write(0, b"answer")
    assert lines(machine.poll(0)) == ["P. 1:7(6) ack 9"]


def test_an_acknowledgement_does_not_wait_longer_than_40_ms() -> None:
    machine = established()
    machine.receive(0, peer(ACK | PSH, 1, 1, b"question"))
    machine.poll(0)
    assert machine.deadline() == 40 * MILLISECOND
    assert lines(machine.poll(40 * MILLISECOND)) == [". 1:1(0) ack 9"]


def test_every_second_full_segment_is_acknowledged_at_once() -> None:
    machine = established()
    machine.receive(0, peer(ACK, 1, 1, bytes(1460)))
    assert machine.poll(0) == []
    machine.receive(0, peer(ACK, 1461, 1, bytes(1460)))
    assert lines(machine.poll(0)) == [". 1:1(0) ack 2921"]


def test_a_hole_is_acknowledged_at_once_with_what_lies_behind_it() -> None:
    machine = established(SACKING)
    machine.receive(0, peer(ACK, 101, 1, b"later"))
    (ack,) = machine.poll(0)
    assert ack.options.sack == ((PEER_ISS + 101, PEER_ISS + 106),)
    assert machine.readable == 0
    machine.receive(0, peer(ACK, 1, 1, bytes(100)))
    assert lines(machine.poll(0)) == [". 1:1(0) ack 106"]
    assert machine.read(0, 1000) == bytes(100) + b"later"


def test_the_retransmission_timer_doubles() -> None:
    machine = established()
    machine.write(0, b"x")
    machine.poll(0)
    sent = []
    for _ in range(4):
        now = machine.deadline()
        assert now is not None
        sent += [now] * len(machine.poll(now))
    assert [later - earlier for earlier, later in pairwise(sent)] == [
        2 * sent[0], 4 * sent[0], 8 * sent[0],
    ]  # fmt: skip


def test_three_duplicate_acknowledgements_bring_the_first_segment_again() -> None:
    machine = established()
    machine.write(0, bytes(14600))
    machine.poll(0)
    for _ in range(2):
        machine.receive(1, peer(ACK, 1, 1))
        assert machine.poll(1) == []
    machine.receive(1, peer(ACK, 1, 1))
    assert lines(machine.poll(1))[0] == ". 1:1461(1460) ack 1"
    assert machine.counters["recoveries"] == 1


def test_three_sacked_segments_show_that_the_first_is_lost() -> None:
    machine = established(SACKING)
    machine.write(0, bytes(14600))
    machine.poll(0)
    for right in (2921, 4381, 5841):
        machine.receive(10 * MILLISECOND, peer(ACK, 1, 1, sack=((100 + 1461, 100 + right),)))
    assert ". 1:1461(1460) ack 1" in lines(machine.poll(10 * MILLISECOND))
    assert machine.counters["recoveries"] == 1


def test_a_tail_that_is_lost_is_probed_before_the_timeout() -> None:
    machine = established(SACKING)
    machine.write(0, bytes(2920))
    machine.poll(0)
    machine.receive(10 * MILLISECOND, peer(ACK, 1, 1461))
    assert machine.poll(10 * MILLISECOND) == []
    now = machine.deadline()
    assert now is not None and now < 200 * MILLISECOND
    assert lines(machine.poll(now)) == ["P. 1461:2921(1460) ack 1"]
    assert machine.counters["tail_loss_probes"] == 1
    assert machine.counters["timeouts"] == 0


def test_a_closed_window_is_probed_and_opens_again() -> None:
    machine = established()
    machine.receive(0, peer(ACK, 1, 1, window=0))
    machine.write(0, b"data")
    assert machine.poll(0) == []
    now = 0
    for probe in range(3):
        now = machine.deadline() or 0
        assert lines(machine.poll(now)) == [". 0:0(0) ack 1"], probe
        machine.receive(now, peer(ACK, 1, 1, window=0))
        machine.poll(now)
    machine.receive(now, peer(ACK, 1, 1, window=1000))
    assert lines(machine.poll(now)) == ["P. 1:5(4) ack 1"]


def test_our_window_closes_when_nobody_reads_and_its_opening_is_told() -> None:
    machine = established(PLAIN._replace(rcv_buffer=4000, rcv_buffer_max=4000))
    machine.receive(0, peer(ACK, 1, 1, bytes(4000)))
    (ack,) = machine.poll(0)
    assert ack.window == 0
    machine.read(0, 4000)
    (update,) = machine.poll(0)
    assert update.window == 4000


def test_we_close_first() -> None:
    machine = established()
    machine.close(0)
    assert lines(machine.poll(0)) == ["F. 1:1(0) ack 1"]
    assert state(machine) is State.FIN_WAIT_1
    machine.receive(0, peer(ACK, 1, 2))
    assert state(machine) is State.FIN_WAIT_2
    assert machine.receive(0, peer(FIN | ACK, 1, 2)) & Event.CLOSED
    assert lines(machine.poll(0)) == [". 2:2(0) ack 2"]
    assert state(machine) is State.TIME_WAIT
    machine.poll(60 * SECOND)
    assert state(machine) is State.CLOSED


def test_the_peer_closes_first() -> None:
    machine = established()
    assert machine.receive(0, peer(FIN | ACK, 1, 1, b"bye")) & Event.EOF
    assert machine.read(0, 10) == b"bye"
    assert machine.eof
    machine.write(0, b"more")
    machine.close(0)
    assert lines(machine.poll(0)) == ["FP. 1:5(4) ack 5"]
    assert state(machine) is State.LAST_ACK
    assert machine.receive(0, peer(ACK, 5, 6)) & Event.CLOSED
    assert state(machine) is State.CLOSED
    assert machine.error is Event.NONE


def test_both_close_at_once() -> None:
    machine = established()
    machine.close(0)
    machine.poll(0)
    machine.receive(0, peer(FIN | ACK, 1, 1))
    assert state(machine) is State.CLOSING
    machine.receive(0, peer(ACK, 2, 2))
    assert state(machine) is State.TIME_WAIT


def test_data_nobody_will_read_is_answered_with_a_reset() -> None:
    machine = established()
    machine.close(0)
    machine.poll(0)
    machine.receive(0, peer(ACK, 1, 2))
    machine.receive(0, peer(ACK, 1, 2, b"still talking"))
    (reset,) = machine.poll(0)
    assert reset.flags & RST


def test_a_reset_is_believed_at_the_next_number_only() -> None:
    machine = established()
    assert machine.receive(0, peer(RST, 2, 0)) == Event.NONE
    assert lines(machine.poll(0)) == [". 1:1(0) ack 1"]  # a challenge (RFC 5961)
    assert machine.receive(0, peer(RST, 1, 0)) == Event.RESET | Event.CLOSED


def test_a_syn_in_a_connection_is_challenged() -> None:
    machine = established()
    assert machine.receive(0, peer(SYN, 1, 0)) == Event.NONE
    assert lines(machine.poll(0)) == [". 1:1(0) ack 1"]
    assert state(machine) is State.ESTABLISHED


def test_challenges_are_few() -> None:
    machine = established()
    answers = 0
    for _ in range(1000):
        machine.receive(0, peer(SYN, 1, 0))
        answers += len(machine.poll(0))
    assert answers == 10


def test_an_acknowledgement_of_what_was_never_sent_is_challenged() -> None:
    machine = established()
    machine.receive(0, peer(ACK, 1, 1000, b"spoofed"))
    assert machine.readable == 0
    assert lines(machine.poll(0)) == [". 1:1(0) ack 1"]


def test_an_old_timestamp_is_dropped() -> None:
    machine = established(Settings(nagle=False), timestamps=(1000, 0))
    machine.receive(0, peer(ACK, 1, 1, b"new", timestamps=(1001, 0)))
    machine.poll(40 * MILLISECOND)
    machine.receive(0, peer(ACK, 4, 1, b"old", timestamps=(900, 0)))
    assert machine.read(0, 100) == b"new"
    assert machine.counters["paws_drops"] == 1


def test_a_silent_peer_is_probed_and_given_up() -> None:
    settings = PLAIN._replace(keepalive_idle=10 * SECOND, keepalive_interval=SECOND, keepalive_count=2)
    machine = established(settings)
    probes = []
    while (now := machine.deadline()) is not None:
        probes += [(now, text) for text in lines(machine.poll(now))]
    assert [now for now, _ in probes] == [10 * SECOND, 11 * SECOND, 12 * SECOND]
    assert [text for _, text in probes] == [". 0:0(0) ack 1", ". 0:0(0) ack 1", "R. 1:1(0) ack 1"]
    assert machine.error is Event.TIMEOUT


def test_unacknowledged_data_ends_the_connection_after_the_user_timeout() -> None:
    machine = established(PLAIN._replace(user_timeout=5 * SECOND))
    machine.write(0, b"x")
    while (now := machine.deadline()) is not None:
        machine.poll(now)
        last = now
    assert machine.error is Event.TIMEOUT
    assert last < 30 * SECOND


@pytest.mark.parametrize("sizes", [(1,) * 5000, (100,) * 500])
def test_tiny_segments_do_not_cost_an_object_each(sizes: tuple[int, ...]) -> None:
    machine = established()
    seq = 1
    for size in sizes:
        machine.receive(0, peer(ACK, seq, 1, bytes(size)))
        seq += size
    assert machine.readable == sum(sizes)
    assert len(machine.rx._chunks) <= 2 + sum(sizes) // 8192


def test_a_smaller_path_mtu_sends_again_in_smaller_segments() -> None:
    machine = established()
    machine.write(0, bytes(2920))
    machine.poll(0)
    machine.path_mtu(1, 1000)
    assert lines(machine.poll(1))[0] == ". 1:1001(1000) ack 1"
