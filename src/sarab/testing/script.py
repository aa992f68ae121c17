"""packetdrill scripts, read: what happens when, in packetdrill's language as far as sarab's TCP has a use for it.

    --rcv_buffer=20000                                       an option: a field of Settings, or one of OPTIONS
    0    socket(..., SOCK_STREAM, IPPROTO_TCP) = 3           a call at 0 s; +.1 is 0.1 s after the event before
    +0   < S 0:0(0) win 1000 <mss 1000>                      a packet for sarab
    +0   > S. 0:0(0) ack 1 <...>                             a packet of sarab's; `*`: whenever it comes
    +0...0.3 read(4, ..., 1000) = 1000                       a call that blocks until then
    +.2~+.4  > . 1:1(0) ack 1                                some time in between
    +0   < icmp unreachable frag_needed mtu 1200 [1:1001(1000)]
    +0   %{ assert state == "ESTABLISHED" }%                 what the connection says of itself
    // xfail: a reason                                       the script is known to fail, and must

Times are nanoseconds. A line goes on where its parentheses are open.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from sarab.testing.notation import NotationError, Pattern, parse

SECOND = 1_000_000_000
SCRIPT_SIZE_MAX = 1 << 20

_TIME = r"(?:\d+\.?\d*|\.\d+)"
_WHEN = re.compile(
    rf"(?P<any>\*)\s+|(?P<sign>\+?)(?P<time>{_TIME})(?:(?P<kind>~|\.\.\.)(?P<sign2>\+?)(?P<time2>{_TIME}))?\s+"
)
_CALL = re.compile(r"(?P<name>[a-z_0-9]+)\s*\((?P<args>.*)\)\s*=\s*(?P<result>-?\w+)\s*(?P<rest>.*)", re.DOTALL)
_ICMP = re.compile(
    r"icmp\s+unreachable\s+(?P<code>\w+)(?:\s+mtu\s+(?P<mtu>\d+))?\s*\[(?P<seq>\d+):\d+\((?P<size>\d+)\)\]"
)
_OPTION = re.compile(r"--(?P<name>\w+)=(?P<value>\S+)")


class ScriptError(Exception):
    """A script that cannot be read, or whose story is not what happened. The text begins with FILE:LINE."""


class When(NamedTuple):
    """When an event is due, relative to the event before or to the start."""

    relative: bool
    time: int
    until: int | None = None
    """The end of a range, or of a call that blocks; in the same way relative to the event before, or to the start."""
    blocks: bool = False
    any_time: bool = False


class Inbound(NamedTuple):
    """A segment for sarab."""

    pattern: Pattern


class Outbound(NamedTuple):
    """A segment of sarab's."""

    pattern: Pattern


class Unreachable(NamedTuple):
    """An ICMP error about a segment of sarab's that began at `seq`."""

    code: str
    mtu: int
    seq: int
    size: int


class Call(NamedTuple):
    """A socket call: its arguments as they are written, and what it must return."""

    name: str
    args: tuple[str, ...]
    result: int
    errno: str
    """The error's name when `result` is -1."""


class Assertion(NamedTuple):
    """Expressions that must be true."""

    expressions: tuple[str, ...]


class Event(NamedTuple):
    """A step of the story."""

    line: int
    when: When
    what: Inbound | Outbound | Unreachable | Call | Assertion
    text: str


class Script(NamedTuple):
    """A whole script."""

    name: str
    options: dict[str, str]
    events: tuple[Event, ...]
    expected_failure: str
    """Why it must fail; empty: it must pass."""


def read(name: str, text: str) -> Script:
    """Return the script called `name`, a file for error texts. Raises ScriptError."""
    if len(text) > SCRIPT_SIZE_MAX:
        raise ScriptError(f"{name}: longer than {SCRIPT_SIZE_MAX} characters")
    options: dict[str, str] = {}
    events: list[Event] = []
    expected_failure = ""
    for number, statement, comment in _statements(name, text):
        if comment.startswith("xfail:"):
            expected_failure = comment[6:].strip()
        if not statement:
            continue
        if statement.startswith("--"):
            for word in statement.split():
                found = _OPTION.fullmatch(word)
                if found is None or events:
                    raise ScriptError(f"{name}:{number}: options are --name=value, and stand before the first event")
                options[found["name"]] = found["value"]
            continue
        try:
            events.append(_event(number, statement))
        except (NotationError, ValueError) as wrong:
            raise ScriptError(f"{name}:{number}: {wrong}") from wrong
    if not events:
        raise ScriptError(f"{name}: nothing happens in it")
    return Script(name, options, tuple(events), expected_failure)


def _statements(name: str, text: str) -> list[tuple[int, str, str]]:
    """Return (line, statement, comment), each statement whole."""
    found: list[tuple[int, str, str]] = []
    open_since, pending = 0, ""
    for number, whole in enumerate(text.splitlines(), 1):
        line, _, comment = whole.partition("//")
        if line.lstrip().startswith("#"):
            line, comment = "", line.lstrip()[1:]
        statement = f"{pending}\n{line.strip()}".strip() if pending else line.strip()
        start = open_since or number
        unfinished = statement.count("(") > statement.count(")") or statement.count("%{") > statement.count("}%")
        if unfinished:
            open_since, pending = start, statement
            continue
        found.append((start, statement, comment.strip()))
        open_since, pending = 0, ""
    if pending:
        raise ScriptError(f"{name}:{open_since}: the end of the file comes before the end of this statement")
    return found


def _event(number: int, statement: str) -> Event:
    found = _WHEN.match(statement)
    if found is None:
        raise ValueError(f"'{statement}' does not begin with a time: 0.1, +.1, +0~+.2, +0...0.2 or *")
    text = statement[found.end() :].strip()
    if found["any"]:
        when = When(True, 0, any_time=True)
    else:
        until = None if found["time2"] is None else _nanoseconds(found["time2"])
        if found["kind"] == "~" and found["sign"] != found["sign2"]:
            raise ValueError("a range is +A~+B or A~B")
        when = When(bool(found["sign"]), _nanoseconds(found["time"]), until, found["kind"] == "...")
        if until is not None and until < when.time:
            raise ValueError("the range ends before it begins")
    what = _what(text)
    if when.any_time and not isinstance(what, Outbound):
        raise ValueError("'*' is for packets of sarab's alone")
    if when.until is not None and when.blocks is not isinstance(what, Call):
        raise ValueError("'...' is for calls that block, '~' for packets of sarab's")
    return Event(number, when, what, text)


def _nanoseconds(word: str) -> int:
    whole, _, fraction = word.partition(".")
    return int(whole or "0") * SECOND + int((fraction + "000000000")[:9])


def _what(text: str) -> Inbound | Outbound | Unreachable | Call | Assertion:
    if text.startswith("<"):
        body = text[1:].strip()
        if body.startswith("icmp"):
            icmp = _ICMP.fullmatch(body)
            if icmp is None:
                raise ValueError("an ICMP error is `icmp unreachable CODE mtu N [seq:end(size)]`")
            return Unreachable(icmp["code"], int(icmp["mtu"] or 0), int(icmp["seq"]), int(icmp["size"]))
        return Inbound(parse(body))
    if text.startswith(">"):
        return Outbound(parse(text[1:]))
    if text.startswith("%{"):
        lines = [line.strip() for line in text.removeprefix("%{").removesuffix("}%").splitlines()]
        expressions = tuple(line.removeprefix("assert").strip() for line in lines if line)
        if not expressions or not all(line.startswith("assert ") for line in lines if line):
            raise ValueError("between %{ and }% every line is `assert EXPRESSION`")
        return Assertion(expressions)
    call = _CALL.fullmatch(text)
    if call is None:
        raise ValueError(f"'{text}' is no packet (< or >), no assertion (%{{ }}%), and no call(...) = result")
    words = call["rest"].split()
    errno = words[0] if words and not words[0].startswith("(") else ""
    if (call["result"] == "-1") != bool(errno):
        raise ValueError("-1 goes with the name of an error")
    return Call(call["name"], _arguments(call["args"]), int(call["result"]), errno)


def _arguments(text: str) -> tuple[str, ...]:
    """Split at commas that are inside of no bracket."""
    found, depth, start = [], 0, 0
    for index, letter in enumerate(text):
        if letter in "([{":
            depth += 1
        elif letter in ")]}":
            depth -= 1
        elif letter == "," and not depth:
            found.append(text[start:index].strip())
            start = index + 1
    found.append(text[start:].strip())
    return tuple(found)
