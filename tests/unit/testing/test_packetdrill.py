"""The judge is judged: scripts that are wrong are refused, each with what is wrong."""

from __future__ import annotations

import pytest

from sarab.testing.packetdrill import play
from sarab.testing.script import ScriptError, read

OPEN = """
0    socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0   bind(3, ..., ...) = 0
+0   listen(3, 1) = 0
+0   < S 0:0(0) win 32792 <mss 1000>
+0   > S. 0:0(0) ack 1 <mss 1460>
+.1  < . 1:1(0) ack 1 win 257
+0   accept(3, ..., ...) = 4
"""


def run(text: str) -> None:
    play(read("x.pkt", text))


def test_a_story_that_is_so() -> None:
    run(OPEN + "+0 write(4, ..., 10) = 10\n+0 > P. 1:11(10) ack 1\n+.05 < . 1:1(0) ack 11 win 257\n")


@pytest.mark.parametrize(
    ("more", "because"),
    [
        ("+0 > . 1:1(0) ack 1", "got      nothing"),
        (
            "+0 write(4, ..., 10) = 10\n+0 > P. 1:12(11) ack 1",
            r"expected > P\. 1:12\(11\) ack 1\n  got      > P\. 1:11",
        ),
        ("+0 write(4, ..., 10) = 10\n+0 > P. 1:11(10) ack 2", "expected"),
        ("+0 write(4, ..., 10) = 10\n+0 > P. 1:11(10) ack 1 win 7", "win"),
        ("+0 write(4, ..., 10) = 10\n+0 > P. 1:11(10) ack 1 <sackOK>", "sackOK"),
        ("+0 write(4, ..., 10) = 10\n+.1 > P. 1:11(10) ack 1", "too early"),
        ("+0 write(4, ..., 10) = 9", r"write\(\) = 9"),
        ("+0 read(4, ..., 10) = 10", "EAGAIN"),
        ("+0 read(4, ..., 10) = -1 ECONNRESET", "EAGAIN"),
        ("+0 write(4, ..., 10) = 10\n", "at the end sarab had sent"),
        ("+0 write(4, ..., 10) = 10\n+.1 < . 1:1(0) ack 1 win 257", "nothing was to be sent"),
        ('+0 %{ assert state == "CLOSED" }%', "it is not so"),
        ("+0 frobnicate(4) = 0", "no call"),
        ("+0 read(9, ..., 1) = 1", "no socket"),
        ("+0 setsockopt(4, SOL_TCP, TCP_FOO, [1], 4) = 0", "no socket option"),
    ],
)
def test_a_story_that_is_not_so(more: str, because: str) -> None:
    with pytest.raises(ScriptError, match=because) as caught:
        run(OPEN + more)
    assert str(caught.value).startswith("x.pkt:")


def test_an_error_names_its_line() -> None:
    with pytest.raises(ScriptError, match=r"^x.pkt:9: > F\. 1:1\(0\) ack 1"):
        run(OPEN + "+0 > F. 1:1(0) ack 1")


@pytest.mark.parametrize(
    ("text", "because"),
    [
        ("", "nothing happens"),
        ("hello", "begin with a time"),
        ("0 hello", "no packet"),
        ("* < S 0:0(0) win 1", r"'\*' is for packets"),
        ("0...1 > S 0:0(0)", "calls that block"),
        ("+1~+0 > S 0:0(0)", "ends before"),
        ("+0~1 > S 0:0(0)", r"\+A~\+B"),
        ("0 read(3, ..., 1) = -1", "name of an error"),
        ("0 read(3, ..., 1", "end of the file"),
        ("0 %{ print(1) }%", "assert EXPRESSION"),
        ("0 close(3) = 0\n--mtu=1", "before the first"),
        ("0 < icmp redirect", "ICMP"),
        ("0 < S 1:3(1) win 1", "add up"),
    ],
)
def test_what_cannot_be_read(text: str, because: str) -> None:
    with pytest.raises(ScriptError, match=because) as caught:
        read("x.pkt", text)
    assert str(caught.value).startswith("x.pkt")


def test_an_unknown_option_lists_those_that_there_are() -> None:
    with pytest.raises(ScriptError, match="rcv_buffer"):
        run("--rcvbuf=1\n0 close(3) = 0")


def test_times_in_all_their_forms() -> None:
    script = read("x.pkt", "1.5 close(3) = 0\n+.25 close(3) = 0\n+0~+.1 > . 0:0(0) ack 0\n* > . 0:0(0) ack 0")
    whens = [event.when for event in script.events]
    assert [when.time for when in whens] == [1_500_000_000, 250_000_000, 0, 0]
    assert [when.relative for when in whens] == [False, True, True, True]
    assert whens[2].until == 100_000_000
    assert whens[3].any_time


def test_a_call_blocks_until_what_it_waits_for_comes() -> None:
    arrives = "+.2 < P. 1:11(10) ack 1 win 257\n+.04 > . 1:1(0) ack 11\n"
    run(OPEN + "+0...0.2 read(4, ..., 100) = 10\n" + arrives)
    with pytest.raises(ScriptError, match="blocked until"):
        run(OPEN + "+0...0.3 read(4, ..., 100) = 10\n" + arrives)
    with pytest.raises(ScriptError, match="blocked until"):
        run(OPEN + "+0...0.1 read(4, ..., 100) = 10\n" + arrives)
    with pytest.raises(ScriptError, match="still blocks"):
        run(OPEN + "+0...0.3 read(4, ..., 100) = 10\n")
    with pytest.raises(ScriptError, match="did not block"):
        run(OPEN + "+0...0.3 write(4, ..., 1) = 1\n")


def test_statements_go_on_over_lines_and_comments_end_them() -> None:
    script = read("x.pkt", "0 write(3,\n  ...,\n  10) = 10 // ten\n# nothing\n// xfail: it is wrong\n")
    assert len(script.events) == 1
    assert script.events[0].line == 1
    assert script.expected_failure == "it is wrong"
