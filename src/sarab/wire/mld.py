"""Multicast listener discovery: IGMP's messages for IPv6, read from ICMPv6 (RFC 9777, which was RFC 3810: version 2;
RFC 2710: version 1).

    value = parse(icmpv6.parse(view, source, destination))
    validate(value, source, hop_limit)
    HOP_BY_HOP + icmpv6.emit(emit(value), source, destination)      # hop limit 1, from a link-local address or ::

`igmp.join` and `igmp.leave` make reports of both protocols.
"""

from typing import NamedTuple

from sarab.wire.address import is_link_local, is_unspecified, text
from sarab.wire.errors import Malformed
from sarab.wire.icmpv6 import PROTOCOL, Message
from sarab.wire.igmp import (
    Report,
    emit_query_rest,
    emit_records,
    expand,
    parse_query_rest,
    parse_records,
    records_line,
    squeeze,
)

QUERY, REPORT_V1, DONE, REPORT_V2 = 130, 131, 132, 143
TYPES = frozenset((QUERY, REPORT_V1, DONE, REPORT_V2))
ALL_V2_ROUTERS = b"\xff\x02" + bytes(13) + b"\x16"
HOP_BY_HOP = bytes((PROTOCOL, 0, 5, 2, 0, 0, 1, 0))
"""The header that stands before every message: a router alert for MLD (RFC 2711), padded."""
HOP_LIMIT = 1

_V1_SIZE, _V2_SIZE = 16, 20
"""Bytes of a query behind the header of ICMPv6."""


class Query(NamedTuple):
    """A router asks who listens (RFC 9777 section 5.1)."""

    group: bytes
    """`::`: any group."""
    max_response: int
    """Answer within so many milliseconds."""
    sources: tuple[bytes, ...] = ()
    suppress: bool = False
    robustness: int = 0
    interval: int = 0
    """Seconds between queries."""
    version: int = 2


class Membership(NamedTuple):
    """A host joins (REPORT_V1) or leaves (DONE) one group (RFC 2710 section 3)."""

    type: int
    group: bytes


Value = Query | Membership | Report


def parse(message: Message) -> Value:
    """Return what a message of ICMPv6 says. Raises Malformed."""
    kind, _, word, view = message
    data = bytes(view)
    if kind == REPORT_V2:
        return Report(parse_records(data, 0, word & 0xFFFF, 16))
    if kind not in TYPES:
        raise Malformed("a message that is none of MLD")
    if len(data) < _V1_SIZE:
        raise Malformed("an MLD message has 24 bytes at least")
    group = data[:16]
    if kind != QUERY:
        return Membership(kind, group)
    if len(data) == _V1_SIZE:
        return Query(group, word >> 16, version=1)
    if len(data) < _V2_SIZE:
        raise Malformed("an MLD query of no version")  # RFC 9777 section 8.1
    suppress, robustness, interval, sources = parse_query_rest(data, _V1_SIZE, 16)
    return Query(group, expand(word >> 16, 12), sources, suppress, robustness, interval)


def validate(value: Value, source: bytes, hop_limit: int) -> None:
    """Check a message against the header of its packet (RFC 9777 sections 5.1.14 and 5.2.13). Raises Malformed."""
    if hop_limit != HOP_LIMIT:
        raise Malformed("MLD from another link")
    if not is_link_local(source) and (isinstance(value, Query) or not is_unspecified(source)):
        raise Malformed("MLD that does not speak from a link-local address")


def emit(value: Value) -> Message:
    """Return the message of ICMPv6. Sources of a query of version 1 are left out."""
    if isinstance(value, Report):
        return Message(REPORT_V2, 0, len(value.records), emit_records(value.records))
    if isinstance(value, Membership):
        return Message(value.type, 0, 0, value.group)
    if value.version == 1:
        return Message(QUERY, 0, min(value.max_response, 0xFFFF) << 16, value.group)
    rest = emit_query_rest(value.suppress, value.robustness, value.interval, value.sources)
    return Message(QUERY, 0, squeeze(value.max_response, 12) << 16, value.group + rest)


def line(value: Value) -> str:
    """Return one line for a person."""
    if isinstance(value, Query):
        return f"mld query v{value.version} {text(value.group)}"
    if isinstance(value, Membership):
        return f"mld {'leave' if value.type == DONE else 'join'} {text(value.group)}"
    return f"mld report {records_line(value.records)}".rstrip()
