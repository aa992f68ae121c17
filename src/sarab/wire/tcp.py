"""TCP segments (RFC 9293 section 3.1; options: RFC 7323, RFC 2018)."""

from collections.abc import Callable
from struct import Struct, error, unpack_from
from typing import Any, Final, NamedTuple

from sarab.wire.errors import Malformed

HEADER_SIZE: Final = 20
HEADER_SIZE_MAX = 60
PROTOCOL = 6
CHECKSUM_OFFSET = 16
SACK_BLOCKS_MAX = 4
"""As many as 40 bytes of options hold (RFC 2018 section 3)."""

# Final, here and elsewhere on the data path: mypyc puts the number in the place of the name.
FIN: Final = 1
SYN: Final = 2
RST: Final = 4
PSH: Final = 8
ACK: Final = 16
URG: Final = 32
ECE: Final = 64
CWR: Final = 128


class Options(NamedTuple):
    """What the options of a segment said; None or () where one is absent."""

    mss: int | None = None
    window_scale: int | None = None
    sack_permitted: bool = False
    sack: tuple[tuple[int, int], ...] = ()
    """Blocks as (left edge, right edge), the right one exclusive."""
    timestamps: tuple[int, int] | None = None
    """(TSval, TSecr)"""


NO_OPTIONS: Final = Options()


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


_Fields = tuple[int, int, int, int, int, int, Options, bytes | memoryview, int]
_make: Callable[..., Any] = tuple.__new__


def segment_of(fields: _Fields) -> Segment:
    """Return Segment(*fields), in half the time: nearly every segment is made so."""
    segment: Segment = _make(Segment, fields)
    return segment


def stamped(timestamps: tuple[int, int]) -> Options:
    """Return options with timestamps alone, in half the time."""
    options: Options = _make(Options, (None, None, False, (), timestamps))
    return options


_HEADER = Struct("!HHIIBBHHH")
_TIMESTAMPS = Struct("!HBBII")
_ALIGNED_TIMESTAMPS = 0x0101
_END, _NOP, _MSS, _WINDOW_SCALE, _SACK_PERMITTED, _SACK, _TS = 0, 1, 2, 3, 4, 5, 8


def parse(view: bytes | memoryview) -> Segment:
    """Return the segment; its payload is a part of `view`. The checksum is not verified. Raises Malformed."""
    length = len(view)
    if length < HEADER_SIZE:
        raise Malformed("a TCP segment has 20 bytes at least")
    src_port, dst_port, seq, ack, data_offset, flags, window, _, urgent = _HEADER.unpack_from(view)
    size = (data_offset >> 4) * 4
    if size == HEADER_SIZE:
        return segment_of((src_port, dst_port, seq, ack, flags, window, NO_OPTIONS, view[HEADER_SIZE:], urgent))
    if not HEADER_SIZE <= size <= length:
        raise Malformed("TCP's data offset is not inside the segment")
    if size == 32:
        first, kind, option_size, value, reply = _TIMESTAMPS.unpack_from(view, HEADER_SIZE)
        if first == _ALIGNED_TIMESTAMPS and kind == _TS and option_size == 10:
            options = stamped((value, reply))
            return segment_of((src_port, dst_port, seq, ack, flags, window, options, view[32:], urgent))
    options = _parse_options(bytes(view[HEADER_SIZE:size]))
    return Segment(src_port, dst_port, seq, ack, flags, window, options, view[size:], urgent)


def _parse_options(data: bytes) -> Options:
    mss: int | None = None
    window_scale: int | None = None
    sack_permitted = False
    sack: tuple[tuple[int, int], ...] = ()
    timestamps: tuple[int, int] | None = None
    at, end = 0, len(data)
    while at < end:
        kind = data[at]
        if kind == _END:
            break
        if kind == _NOP:
            at += 1
            continue
        size = data[at + 1] if at + 1 < end else 0
        if size < 2 or at + size > end:
            raise Malformed("a TCP option is longer than the header")
        try:
            if kind == _MSS and size == 4:
                mss = int.from_bytes(data[at + 2 : at + 4], "big")
            elif kind == _WINDOW_SCALE and size == 3:
                window_scale = data[at + 2]
            elif kind == _SACK_PERMITTED and size == 2:
                sack_permitted = True
            elif kind == _SACK and size >= 10 and (size - 2) % 8 == 0:
                edges = unpack_from(f"!{(size - 2) // 4}I", data, at + 2)
                sack = tuple(zip(edges[::2], edges[1::2], strict=True))
            elif kind == _TS and size == 10:
                timestamps = unpack_from("!II", data, at + 2)
        except error as wrong:  # pragma: no cover - the lengths were checked
            raise Malformed("a TCP option is cut off") from wrong
        at += size
    return Options(mss, window_scale, sack_permitted, sack, timestamps)


def _emit_options(options: Options) -> bytes:
    """Return the options padded to a multiple of 4, laid out as Linux does."""
    mss, window_scale, sack_permitted, sack, timestamps = options
    data = b""
    if mss is not None:
        data += b"\x02\x04" + mss.to_bytes(2, "big")
    if timestamps is not None:
        lead = b"\x04\x02" if sack_permitted else b"\x01\x01"
        data += lead + b"\x08\x0a" + timestamps[0].to_bytes(4, "big") + timestamps[1].to_bytes(4, "big")
    elif sack_permitted:
        data += b"\x01\x01\x04\x02"
    if window_scale is not None:
        data += b"\x01\x03\x03" + window_scale.to_bytes(1, "big")
    if sack:
        room = (HEADER_SIZE_MAX - HEADER_SIZE - len(data) - 4) // 8
        blocks = sack[:room]
        data += b"\x01\x01\x05" + bytes((2 + 8 * len(blocks),))
        data += b"".join(left.to_bytes(4, "big") + right.to_bytes(4, "big") for left, right in blocks)
    return data


def size(options: Options) -> int:
    """Return how many bytes of a header the options take, padding included."""
    mss, window_scale, sack_permitted, sack, timestamps = options
    taken = (4 if mss is not None else 0) + (4 if window_scale is not None else 0)
    if timestamps is not None:
        taken += 12
    elif sack_permitted:
        taken += 4
    if sack:
        taken += 4 + 8 * min(len(sack), (HEADER_SIZE_MAX - HEADER_SIZE - taken - 4) // 8)
    return taken


def emit(segment: Segment) -> bytes:
    """Return the header's bytes with options; the checksum is 0 and the payload is not included."""
    src_port, dst_port, seq, ack, flags, window, options, _, urgent = segment
    if options is NO_OPTIONS:
        return _HEADER.pack(src_port, dst_port, seq, ack, 0x50, flags, window, 0, urgent)
    timestamps = options.timestamps
    if timestamps is not None and options == (None, None, False, (), timestamps):
        return _HEADER.pack(src_port, dst_port, seq, ack, 0x80, flags, window, 0, urgent) + _TIMESTAMPS.pack(
            _ALIGNED_TIMESTAMPS, _TS, 10, timestamps[0], timestamps[1]
        )
    data = _emit_options(options)
    return _HEADER.pack(src_port, dst_port, seq, ack, (5 + len(data) // 4) << 4, flags, window, 0, urgent) + data


def line(segment: Segment) -> str:
    """Return the segment as packetdrill writes it, with absolute sequence numbers."""
    names = ((SYN, "S"), (FIN, "F"), (RST, "R"), (PSH, "P"), (ACK, "."), (URG, "U"), (ECE, "E"), (CWR, "W"))
    flags = "".join(name for bit, name in names if segment.flags & bit) or "-"
    size = len(segment.payload)
    words = [flags, f"{segment.seq}:{(segment.seq + size) & 0xFFFFFFFF}({size})"]
    if segment.flags & ACK:
        words.append(f"ack {segment.ack}")
    words.append(f"win {segment.window}")
    if segment.options != NO_OPTIONS:
        words.append(f"<{options_line(segment.options)}>")
    return " ".join(words)


def options_line(options: Options) -> str:
    """Return options as packetdrill writes them, without the angle brackets.

    The paddings shown are those that stand before a window scale, timestamps and SACK blocks on every system.
    """
    words = []
    if options.mss is not None:
        words.append(f"mss {options.mss}")
    if options.sack_permitted:
        words.append("sackOK")
    if options.timestamps is not None:
        if not options.sack_permitted:
            words.append("nop,nop")
        words.append("TS val {} ecr {}".format(*options.timestamps))
    if options.window_scale is not None:
        words.append(f"nop,wscale {options.window_scale}")
    if options.sack:
        words.append("nop,nop,sack " + " ".join(f"{left}:{right}" for left, right in options.sack))
    return ",".join(words)
