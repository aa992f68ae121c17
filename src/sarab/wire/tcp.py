"""TCP segments (RFC 9293 section 3.1; options: RFC 7323, RFC 2018)."""

from __future__ import annotations

from typing import NamedTuple

FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = 1, 2, 4, 8, 16, 32, 64, 128


class Options(NamedTuple):
    """What the options of a segment said; None or () where one is absent."""

    mss: int | None = None
    window_scale: int | None = None
    sack_permitted: bool = False
    sack: tuple[tuple[int, int], ...] = ()
    """Blocks as (left edge, right edge), the right one exclusive."""
    timestamps: tuple[int, int] | None = None
    """(TSval, TSecr)"""


NO_OPTIONS = Options()


class Segment(NamedTuple):
    """One TCP segment. `seq`, `ack`: 32 bits; `window`: the 16 bits of the wire, not scaled."""

    src_port: int
    dst_port: int
    seq: int
    ack: int
    flags: int
    window: int
    options: Options = NO_OPTIONS
    payload: bytes | memoryview = b""
    urgent: int = 0
