"""The control channel and the monitor, as bytes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sarab.machine.control import LINE_MAX, MARKS_MAX, ControlChannel
from sarab.machine.errors import QemuFailed
from sarab.machine.outcome import Ending, Mark, Outcome
from sarab.machine.qmp import LINE_MAX as QMP_LINE_MAX
from sarab.machine.qmp import Qmp


def test_control_lines_in_pieces_are_put_together_and_come_when_they_begin() -> None:
    channel = ControlChannel()
    for now, piece in enumerate([b"mark ker", b"nel 5\nma", b"rk two words 6\ninput\nexit", b" 300\n"]):
        channel.receive(now, piece)
    assert channel.marks == [Mark("kernel", 5, 0), Mark("two words", 6, 1)]
    assert channel.input_open
    assert channel.status == 300 & 0xFF


def test_marks_told_late_have_the_moment_when_they_were_made() -> None:
    channel = ControlChannel()
    channel.receive(9_000, b"marks 5000\nmark kernel 10\nmark user 30\n")
    channel.receive(20_000, b"marks 15000\nmark application 12000\n")
    moments = [Mark("kernel", 10, 4_010), Mark("user", 30, 4_030), Mark("application", 12_000, 17_000)]
    assert channel.marks == moments


def test_control_first_status_counts() -> None:
    channel = ControlChannel()
    channel.receive(0, b"exit 3\nexit 4\n")
    assert channel.status == 3


@given(st.lists(st.binary(max_size=100), max_size=20))
def test_control_takes_anything(pieces: list[bytes]) -> None:
    channel = ControlChannel()
    for piece in pieces:
        channel.receive(0, piece)
    assert channel.status is None or 0 <= channel.status <= 255


def test_control_of_a_mad_guest_is_bounded() -> None:
    channel = ControlChannel()
    channel.receive(0, b"x" * (LINE_MAX * 3))
    assert len(channel._pending) == LINE_MAX
    channel.receive(0, b"\n" + b"mark a 1\n" * (MARKS_MAX + 5))
    assert len(channel.marks) == MARKS_MAX


def test_qmp_answers_come_by_number() -> None:
    qmp = Qmp()
    first, _ = qmp.execute("a")
    second, message = qmp.execute("b", {"x": 1})
    assert json.loads(message) == {"execute": "b", "id": second, "arguments": {"x": 1}}
    qmp.receive(f'{{"QMP": {{}}}}\r\n{{"return": 2, "id": {second}}}\r\n{{"event": "STO'.encode())
    assert qmp.answered(second)
    assert not qmp.answered(first)
    assert qmp.take(second) == 2
    qmp.receive(b'P"}\r\n')
    assert qmp.stopped
    qmp.receive(b'{"event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-reset"}}\r\n')
    assert not qmp.stopped
    assert qmp.shutdown_reason == "guest-reset"


def test_qmp_refusal_is_an_error() -> None:
    qmp = Qmp()
    number, _ = qmp.execute("a")
    qmp.receive(json.dumps({"error": {"class": "x", "desc": "no such thing"}, "id": number}).encode() + b"\n")
    with pytest.raises(QemuFailed, match="refused a command: no such thing"):
        qmp.take(number)


@pytest.mark.parametrize("piece", [b"nonsense\n", b"x" * (QMP_LINE_MAX + 1)])
def test_qmp_that_is_none_is_an_error(piece: bytes) -> None:
    with pytest.raises(QemuFailed):
        Qmp().receive(piece)


def test_outcome_finds_when_a_line_was_whole() -> None:
    outcome = Outcome(
        Ending.EXITED, 0, "tcg", 100, chunks=((10, b"a\nhel"), (20, b"lo wor"), (30, b"ld\nhello again\n"))
    )
    assert outcome.line_ns(b"a") == 10
    assert outcome.line_ns(b"hello") == 30
    assert outcome.line_ns(b"lo") is None
    assert outcome.console == b"a\nhello world\nhello again\n"


def test_outcome_of_a_death_quotes_qemu() -> None:
    outcome = Outcome(Ending.DIED, 125, "kvm", 100, complaint="one\nKVM: entry failed\n")
    assert outcome.sentence.endswith("QEMU ended; QEMU said: KVM: entry failed")
