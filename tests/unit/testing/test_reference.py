"""The reference is judged: an honest exchange passes, and each rule is noticed when it is broken."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sarab.proto.tcp.values import State
from sarab.testing.notation import parse
from sarab.testing.reference import TRANSITIONS, Broken, Judge
from sarab.wire.tcp import Segment

PEER = 5000
OURS = 100


def ours(text: str) -> Segment:
    """A segment of the judged end; numbers count from the initial ones."""
    segment = parse(text).segment
    sack = tuple((PEER + left, PEER + right) for left, right in segment.options.sack)
    options = segment.options._replace(sack=sack)
    return segment._replace(seq=OURS + segment.seq, ack=PEER + segment.ack if segment.ack else 0, options=options)


def theirs(text: str) -> Segment:
    segment = parse(text).segment
    return segment._replace(seq=PEER + segment.seq, ack=OURS + segment.ack if segment.ack else 0)


def established(stream: bytes | None = None) -> Judge:
    judge = Judge("a", stream)
    judge.step(State.SYN_SENT, "user")
    judge.sent(ours("S 0:0(0) win 1000 <mss 1000,wscale 2>"))
    judge.received(theirs("S. 0:0(0) ack 1 win 500 <mss 1000,wscale 0>"))
    judge.step(State.ESTABLISHED, "segment")
    judge.sent(ours(". 1:1(0) ack 1 win 250"))
    judge.step(State.ESTABLISHED, "poll")
    return judge


def test_an_honest_connection() -> None:
    judge = established(bytes(300))
    judge.sent(ours("P. 1:201(200) ack 1 win 250"))
    judge.received(theirs("P. 1:101(100) ack 201 win 500"))
    judge.sent(ours(". 201:201(0) ack 101 win 225"))
    judge.sent(ours("F. 201:201(0) ack 101 win 225"))
    judge.step(State.FIN_WAIT_1, "poll")
    judge.received(theirs(". 101:101(0) ack 202 win 500"))
    judge.step(State.FIN_WAIT_2, "segment")
    judge.received(theirs("F. 101:101(0) ack 202 win 500"))
    judge.step(State.TIME_WAIT, "segment")
    judge.sent(ours(". 202:202(0) ack 102 win 225"))
    judge.step(State.CLOSED, "poll")


@pytest.mark.parametrize(
    ("sent", "because"),
    [
        (". 1:1(0) ack 50 win 250", "what did not come"),
        ("P. 1:701(700) ack 1 win 250", "beyond the window"),
        (". 1:1(0) ack 1 win 100", "takes back"),
        ("P 1:2(1)", "without ACK"),
        (". 1:1(0) ack 1 win 250 <mss 1000>", "options of a SYN"),
        (". 1:1(0) ack 1 win 250 <TS val 1 ecr 1>", "timestamps"),
        (". 1:1(0) ack 1 win 250 <sack 100:200>", "reports to hold"),
        ("P. 50:60(10) ack 1 win 250", "out of order"),
        ("S 7:7(0) win 1000 <mss 1000>", "initial sequence number"),
    ],
)
def test_a_segment_that_breaks_a_rule(sent: str, because: str) -> None:
    with pytest.raises(Broken, match=because):
        established().sent(ours(sent))


def test_bytes_that_nobody_wrote() -> None:
    with pytest.raises(Broken, match="did not write"):
        established(b"\1" * 100).sent(ours("P. 1:11(10) ack 1 win 250"))


def acknowledged_and_back(judge: Judge) -> None:
    judge.received(theirs("P. 1:101(100) ack 1 win 500"))
    judge.sent(ours(". 1:1(0) ack 101 win 250"))
    judge.sent(ours(". 1:1(0) ack 51 win 250"))


def data_behind_a_fin(judge: Judge) -> None:
    judge.sent(ours("F. 1:1(0) ack 1 win 250"))
    judge.sent(ours("P. 2:12(10) ack 1 win 250"))


def what_is_acknowledged(judge: Judge) -> None:
    judge.sent(ours("P. 1:101(100) ack 1 win 250"))
    judge.received(theirs(". 1:1(0) ack 101 win 500"))
    judge.sent(ours("P. 1:101(100) ack 1 win 250"))


def a_hole(judge: Judge) -> None:
    judge.received(theirs("P. 101:201(100) ack 1 win 500"))
    judge.sent(ours(". 1:1(0) ack 201 win 250"))


@pytest.mark.parametrize(
    ("story", "because"),
    [
        (acknowledged_and_back, "goes back"),
        (data_behind_a_fin, "behind its FIN"),
        (what_is_acknowledged, "sends again"),
        (a_hole, "what did not come"),
    ],
)
def test_a_story_that_breaks_a_rule(story: Callable[[Judge], None], because: str) -> None:
    with pytest.raises(Broken, match=because):
        story(established())


def test_a_change_of_state_needs_its_cause() -> None:
    with pytest.raises(Broken, match="by poll, and not by fin"):
        established().step(State.CLOSE_WAIT, "poll")
    with pytest.raises(Broken, match="no way"):
        established().step(State.TIME_WAIT, "segment")
    with pytest.raises(Broken, match="not by fin_sent"):
        established().step(State.FIN_WAIT_1, "poll")
    judge = established()
    judge.received(theirs(". 1:1(0) ack 1 win 500"))
    with pytest.raises(Broken, match="not by"):
        judge.step(State.CLOSED, "segment")


def test_the_table_leads_everywhere_and_ends() -> None:
    reached = {State.SYN_SENT, State.SYN_RECEIVED}
    for _ in State:
        reached |= {after for before, after in TRANSITIONS if before in reached}
    assert reached == set(State)
    assert not [after for before, after in TRANSITIONS if before is State.CLOSED]
