"""IGMP: which groups a host listens to (RFC 9776, which was RFC 3376: version 3; RFC 2236: version 2).

A message is sent with a TTL of 1 and `ipv4.ROUTER_ALERT` (RFC 9776 section 4). Times are milliseconds or seconds, as
told; on the wire, large ones are rounded down to what few bits can say.
"""

from struct import Struct
from typing import NamedTuple

from sarab.wire.address import text
from sarab.wire.checksum import checksum, verified
from sarab.wire.errors import Malformed

SIZE = 8
"""Bytes of a message of version 2, and the least of any."""
QUERY, REPORT_V1, REPORT_V2, LEAVE, REPORT_V3 = 0x11, 0x12, 0x16, 0x17, 0x22
MODE_IS_INCLUDE, MODE_IS_EXCLUDE, CHANGE_TO_INCLUDE, CHANGE_TO_EXCLUDE, ALLOW_NEW, BLOCK_OLD = 1, 2, 3, 4, 5, 6
"""Types of a record (section 4.2.12). To join a group is CHANGE_TO_EXCLUDE of nobody, to leave CHANGE_TO_INCLUDE."""
ALL_HOSTS, ALL_ROUTERS, ALL_V3_ROUTERS = b"\xe0\0\0\1", b"\xe0\0\0\2", b"\xe0\0\0\x16"
RECORDS_MAX = 256
"""Of one report: more than 1500 bytes hold without sources."""
SOURCES_MAX = 512
"""Of one record or query: 1500 bytes hold 366 (section 4.1.8)."""

_HEADER = Struct("!BBH4s")
_QUERY_REST = Struct("!BBH")
_RECORD = Struct("!BBH")
_REPORT = Struct("!BBHHH")


class Query(NamedTuple):
    """A router asks who listens (section 4.1)."""

    group: bytes
    """0.0.0.0: any group."""
    max_response: int
    """Answer within so many milliseconds; in version 1 the message does not say, and 10 seconds are meant."""
    sources: tuple[bytes, ...] = ()
    suppress: bool = False
    robustness: int = 0
    interval: int = 0
    """Seconds between queries."""
    version: int = 3


class Membership(NamedTuple):
    """A host joins or leaves one group: REPORT_V1, REPORT_V2 or LEAVE (RFC 2236 section 2.1)."""

    type: int
    group: bytes


class Record(NamedTuple):
    """What a host wants of one group (section 4.2.4)."""

    type: int
    group: bytes
    sources: tuple[bytes, ...] = ()


class Report(NamedTuple):
    """What a host wants of groups, in version 3 (section 4.2)."""

    records: tuple[Record, ...]


Value = Query | Membership | Report


def join(*groups: bytes) -> Report:
    """Return the report of a host that wants to hear `groups`, from whomever; also for MLD."""
    return Report(tuple([Record(CHANGE_TO_EXCLUDE, group) for group in groups]))


def leave(*groups: bytes) -> Report:
    """Return the report of a host that does not want to hear `groups` any more; also for MLD."""
    return Report(tuple([Record(CHANGE_TO_INCLUDE, group) for group in groups]))


def parse(view: bytes | memoryview) -> Value:
    """Return what a message says, its checksum verified. Raises Malformed."""
    if len(view) < SIZE:
        raise Malformed("an IGMP message has 8 bytes at least")
    if not verified(view):
        raise Malformed("IGMP's checksum is wrong")
    data = bytes(view)
    kind, code, _, group = _HEADER.unpack_from(data)
    if kind == QUERY:
        if len(data) == SIZE:
            return Query(group, code * 100 or 10_000, version=2 if code else 1)
        if len(data) < SIZE + _QUERY_REST.size:
            raise Malformed("an IGMP query of no version")  # section 7.1
        suppress, robustness, interval, sources = parse_query_rest(data, SIZE, 4)
        return Query(group, expand(code, 4) * 100, sources, suppress, robustness, interval)
    if kind in (REPORT_V1, REPORT_V2, LEAVE):
        return Membership(kind, group)
    if kind == REPORT_V3:
        return Report(parse_records(data, SIZE, int.from_bytes(data[6:8], "big"), 4))
    raise Malformed("an IGMP message of an unknown type")


def emit(value: Value) -> bytes:
    """Return the message's bytes with their checksum. Sources of a query of version 1 or 2 are left out."""
    if isinstance(value, Report):
        bare = _REPORT.pack(REPORT_V3, 0, 0, 0, len(value.records)) + emit_records(value.records)
    elif isinstance(value, Membership):
        bare = _HEADER.pack(value.type, 0, 0, value.group)
    elif value.version < 3:
        code = 0 if value.version == 1 else max(1, min(255, value.max_response // 100))
        bare = _HEADER.pack(QUERY, code, 0, value.group)
    else:
        bare = _HEADER.pack(QUERY, squeeze(value.max_response // 100, 4), 0, value.group)
        bare += emit_query_rest(value.suppress, value.robustness, value.interval, value.sources)
    return bare[:2] + checksum(bare).to_bytes(2, "big") + bare[4:]


def expand(code: int, bits: int) -> int:
    """Return the number that a code of 4 + `bits` bits stands for (section 4.1.1): above half of them, a float.

    `bits` is 4 in a byte (IGMP, and intervals of MLD), 12 in 16 bits (MLD's response delay).
    """
    if code < 8 << bits:
        return code
    return (code & (1 << bits) - 1 | 1 << bits) << (code >> bits & 7) + 3


def squeeze(number: int, bits: int) -> int:
    """Return the code of the largest number not above `number`."""
    if number < 8 << bits:
        return number
    exponent = min(7, number.bit_length() - bits - 4)
    mantissa = min(number >> exponent + 3, (2 << bits) - 1)
    return 8 << bits | exponent << bits | mantissa & (1 << bits) - 1


def parse_query_rest(data: bytes, at: int, size: int) -> tuple[bool, int, int, tuple[bytes, ...]]:
    """Read flags, interval and sources, of `size` bytes each, at the end of a query; also for MLD. Raises Malformed."""
    flags, interval_code, count = _QUERY_REST.unpack_from(data, at)
    sources = _parse_sources(data, at + _QUERY_REST.size, count, size)
    return bool(flags & 8), flags & 7, expand(interval_code, 4), sources


def emit_query_rest(suppress: bool, robustness: int, interval: int, sources: tuple[bytes, ...]) -> bytes:
    """Return the end of a query; also for MLD. A robustness above 7 is written as 0 (section 4.1.6)."""
    flags = suppress << 3 | (robustness if robustness < 8 else 0)
    return _QUERY_REST.pack(flags, squeeze(interval, 4), len(sources)) + b"".join(sources)


def _parse_sources(data: bytes, at: int, count: int, size: int) -> tuple[bytes, ...]:
    end = at + count * size
    if count > SOURCES_MAX or end > len(data):
        raise Malformed("more sources than the message holds")
    return tuple([data[i : i + size] for i in range(at, end, size)])


def parse_records(data: bytes, at: int, count: int, size: int) -> tuple[Record, ...]:
    """Read `count` records with addresses of `size` bytes; also for MLD. Records of unknown types are skipped.

    Raises Malformed.
    """
    if count > RECORDS_MAX:
        raise Malformed("a report of too many groups")
    records: list[Record] = []
    for _ in range(count):
        if at + 4 + size > len(data):
            raise Malformed("a record is longer than its report")
        kind, auxiliary, sources_count = _RECORD.unpack_from(data, at)
        group = data[at + 4 : at + 4 + size]
        at += 4 + size
        sources = _parse_sources(data, at, sources_count, size)
        at += sources_count * size + auxiliary * 4
        if at > len(data):
            raise Malformed("a record is longer than its report")
        if MODE_IS_INCLUDE <= kind <= BLOCK_OLD:
            records.append(Record(kind, group, sources))
    return tuple(records)


def emit_records(records: tuple[Record, ...]) -> bytes:
    """Return the bytes of records; also for MLD."""
    return b"".join(
        _RECORD.pack(record.type, 0, len(record.sources)) + record.group + b"".join(record.sources)
        for record in records
    )


def line(value: Value) -> str:
    """Return one line for a person."""
    if isinstance(value, Query):
        return f"igmp query v{value.version} {text(value.group)}"
    if isinstance(value, Membership):
        return f"igmp {'leave' if value.type == LEAVE else 'join'} {text(value.group)}"
    return f"igmp report {records_line(value.records)}".rstrip()


def records_line(records: tuple[Record, ...]) -> str:
    """Return the records of a report for a person; also for MLD."""
    names = ("", "is-in", "is-ex", "to-in", "to-ex", "allow", "block")
    return " ".join(f"{names[kind]} {text(group)} ({len(sources)})" for kind, group, sources in records)
