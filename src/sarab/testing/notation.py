"""packetdrill's notation of packets, read and written: `S. 0:0(0) ack 1 win 65535 <mss 1460,sackOK>`.

`parse` gives a Pattern: a segment, and which of its parts the text said. `show` writes a segment in the same notation,
so that what was expected and what came can be laid side by side. Both leave ports and payload to the caller: a text
says how long a payload is, not what is in it (`pattern_bytes` fills it, so that every byte has its place).
"""

from __future__ import annotations

import re
from typing import NamedTuple

from sarab.wire.tcp import ACK, CWR, ECE, FIN, NO_OPTIONS, PSH, RST, SYN, URG, Options, Segment, options_line

FLAGS = {"S": SYN, "F": FIN, "R": RST, "P": PSH, ".": ACK, "U": URG, "E": ECE, "W": CWR}
MASK = 0xFFFFFFFF
PAYLOAD_MAX = 1 << 20
"""Bytes that a text may ask for in one segment: more is a slip of the pen."""

_PACKET = re.compile(
    r"(?:\[(?P<ip>[a-z0-9,= ]+)\]\s*)?"
    r"(?P<flags>[SFRPUEW.]+|-)\s+"
    r"(?P<seq>\d+)(?::(?P<end>\d+))?\((?P<size>\d+)\)"
    r"(?:\s+ack\s+(?P<ack>\d+))?"
    r"(?:\s+win\s+(?P<win>\d+))?"
    r"(?:\s+urg\s+(?P<urg>\d+))?"
    r"(?:\s+<(?P<options>[^>]*)>)?\s*"
)


class NotationError(ValueError):
    """A text that is no packet; says what is wrong with it."""


class Pattern(NamedTuple):
    """A packet as a text says it."""

    segment: Segment
    """`window` is 0 and `options` are NO_OPTIONS where the text does not say them. The payload is zeros."""
    window: bool
    """The text says a window."""
    any_options: bool
    """`<...>`: whatever options there are."""
    ecn: str = ""
    """`[ect0]`, `[ce]`: the codepoint of the IP header, without brackets."""


def parse(text: str, src_port: int = 0, dst_port: int = 0) -> Pattern:
    """Return what `text` says. Raises NotationError."""
    found = _PACKET.fullmatch(text.strip())
    if found is None:
        raise NotationError(f"'{text.strip()}' is no packet, which is FLAGS seq:end(size) ack N win N <options>")
    flags = 0
    if found["flags"] != "-":
        for name in found["flags"]:
            flags |= FLAGS[name]
    seq, size = _number(found["seq"]), int(found["size"])
    if size > PAYLOAD_MAX:
        raise NotationError(f"a payload of {size} bytes: {PAYLOAD_MAX} is the most")
    if found["end"] is not None and int(found["end"]) != (seq + size) & MASK:
        raise NotationError(f"{found['seq']}:{found['end']}({size}) does not add up: it ends at {(seq + size) & MASK}")
    if (found["ack"] is not None) != bool(flags & ACK):
        raise NotationError("the flag '.' and 'ack N' go together")
    window = int(found["win"]) if found["win"] is not None else 0
    if window > 65535:
        raise NotationError(f"a window of {window}: it has 16 bits on the wire, before it is scaled")
    written = found["options"]
    any_options = written is not None and written.strip() == "..."
    options = NO_OPTIONS if written is None or any_options else parse_options(written)
    segment = Segment(
        src_port, dst_port, seq, _number(found["ack"] or "0"), flags, window, options, bytes(size),
        int(found["urg"] or 0),
    )  # fmt: skip
    return Pattern(segment, found["win"] is not None, any_options, (found["ip"] or "").strip())


def parse_options(text: str) -> Options:
    """Return the options in `text`, the inside of the angle brackets. Raises NotationError."""
    mss: int | None = None
    window_scale: int | None = None
    sack_permitted = False
    sack: tuple[tuple[int, int], ...] = ()
    timestamps: tuple[int, int] | None = None
    for part in text.split(","):
        words = part.split()
        if words in ([], ["nop"], ["eol"]):
            continue
        try:
            if words[0] == "mss" and len(words) == 2:
                mss = int(words[1])
            elif words[0] == "wscale" and len(words) == 2:
                window_scale = int(words[1])
            elif words == ["sackOK"]:
                sack_permitted = True
            elif words[0] == "sack" and len(words) > 1:
                edges = [word.split(":") for word in words[1:]]
                sack = tuple((_number(left), _number(right)) for left, right in edges)
            elif words[:2] == ["TS", "val"] and words[3] == "ecr" and len(words) == 5:
                timestamps = (_number(words[2]), _number(words[4]))
            else:
                raise ValueError
        except (ValueError, IndexError) as wrong:
            raise NotationError(f"'{part.strip()}' is no option that is known here") from wrong
    return Options(mss, window_scale, sack_permitted, sack, timestamps)


def _number(word: str) -> int:
    value = int(word)
    if value > MASK:
        raise NotationError(f"{value} has more than 32 bits")
    return value


def show(segment: Segment, *, window: bool = True, options: bool = True) -> str:
    """Return `segment` as parse() reads it."""
    flags = "".join(name for name, bit in FLAGS.items() if segment.flags & bit) or "-"
    size = len(segment.payload)
    words = [flags, f"{segment.seq}:{(segment.seq + size) & MASK}({size})"]
    if segment.flags & ACK:
        words.append(f"ack {segment.ack}")
    if window:
        words.append(f"win {segment.window}")
    if segment.urgent:
        words.append(f"urg {segment.urgent}")
    if options and segment.options != NO_OPTIONS:
        words.append(f"<{options_line(segment.options)}>")
    return " ".join(words)


def show_pattern(pattern: Pattern) -> str:
    """Return a pattern as it was written, in one spelling."""
    text = show(pattern.segment, window=pattern.window)
    if pattern.any_options:
        text += " <...>"
    return f"[{pattern.ecn}] {text}" if pattern.ecn else text


def matches(pattern: Pattern, segment: Segment) -> bool:
    """Say whether `segment` is what `pattern` says; ports and the payload's bytes are not looked at."""
    wanted = pattern.segment
    return (
        wanted.flags == segment.flags
        and wanted.seq == segment.seq
        and len(wanted.payload) == len(segment.payload)
        and wanted.urgent == segment.urgent
        and (wanted.ack == segment.ack or not wanted.flags & ACK)
        and (wanted.window == segment.window or not pattern.window)
        and (wanted.options == segment.options or pattern.any_options)
    )


def pattern_bytes(start: int, size: int) -> bytes:
    """Return `size` bytes of an endless stream from offset `start`: no two places of 64 KiB look the same."""
    first = start // 4
    words = b"".join((word * 2654435761 & MASK).to_bytes(4, "big") for word in range(first, (start + size) // 4 + 1))
    return words[start - first * 4 :][:size]
