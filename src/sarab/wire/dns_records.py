"""What the data of a DNS record says: MX, SOA, SRV, TXT, CAA, SVCB and HTTPS, and EDNS.

Each `*_of(data)` takes the `data` of a `dns.Record`, in which no name is compressed, raises Malformed, and has an
inverse `emit_*`. A and AAAA need none, their data is the address; of NS, CNAME and PTR, `Record.target` is the name.
"""

from collections.abc import Callable
from itertools import pairwise
from struct import Struct
from typing import NamedTuple

from sarab.wire import address, dns
from sarab.wire.dns import Message, Name, Record
from sarab.wire.errors import Malformed

STRING_SIZE_MAX = 255
PARAMETERS_MAX = 64
"""Of one SVCB record; a dozen are registered."""
EDNS_OPTIONS_MAX = 64
DO = 0x8000
"""Of an OPT's flags: DNSSEC's records are welcome (RFC 3225)."""
MANDATORY, ALPN, NO_DEFAULT_ALPN, PORT, IPV4HINT, ECH, IPV6HINT = 0, 1, 2, 3, 4, 5, 6
"""SvcParamKeys (RFC 9460 section 14.3.2)."""

_SRV = Struct("!HHH")
_SOA = Struct("!IIIII")
_PAIR = Struct("!HH")


class Mx(NamedTuple):
    """Who takes mail (RFC 1035 section 3.3.9)."""

    preference: int
    exchange: Name


class Soa(NamedTuple):
    """The start of a zone (RFC 1035 section 3.3.13); times in seconds."""

    mname: Name
    rname: Name
    serial: int
    refresh: int
    retry: int
    expire: int
    minimum: int


class Srv(NamedTuple):
    """Where a service is (RFC 2782)."""

    priority: int
    weight: int
    port: int
    target: Name


class Caa(NamedTuple):
    """Who may certify (RFC 8659)."""

    flags: int
    tag: bytes
    value: bytes


class Svcb(NamedTuple):
    """How a service is reached (RFC 9460): SVCB and HTTPS. `priority` 0 is an alias; keys come in rising order."""

    priority: int
    target: Name
    parameters: tuple[tuple[int, bytes], ...] = ()


class Edns(NamedTuple):
    """What an OPT record says (RFC 6891 section 6.1)."""

    udp_size: int
    rcode_high: int = 0
    """The eight upper bits of the code of the result, whose four lower ones are in the header."""
    version: int = 0
    flags: int = 0
    options: tuple[tuple[int, bytes], ...] = ()


Value = Name | Mx | Soa | Srv | Caa | Svcb | tuple[bytes, ...] | bytes


def _whole_name(data: bytes, at: int) -> Name:
    name, end = dns.parse_name(data, at)
    if end != len(data):
        raise Malformed("there is more behind the name in a record's data")
    return name


def mx_of(data: bytes) -> Mx:
    """Return what an MX says."""
    return Mx(int.from_bytes(data[:2], "big"), _whole_name(data, 2))


def emit_mx(value: Mx) -> bytes:
    """Return the data of an MX."""
    return value.preference.to_bytes(2, "big") + dns.emit_name(value.exchange)


def soa_of(data: bytes) -> Soa:
    """Return what an SOA says."""
    mname, at = dns.parse_name(data, 0)
    rname, at = dns.parse_name(data, at)
    if len(data) != at + _SOA.size:
        raise Malformed("an SOA of another length")
    return Soa(mname, rname, *_SOA.unpack_from(data, at))


def emit_soa(value: Soa) -> bytes:
    """Return the data of an SOA."""
    return dns.emit_name(value.mname) + dns.emit_name(value.rname) + _SOA.pack(*value[2:])


def srv_of(data: bytes) -> Srv:
    """Return what an SRV says."""
    if len(data) < _SRV.size:
        raise Malformed("an SRV is cut off")
    priority, weight, port = _SRV.unpack_from(data)
    return Srv(priority, weight, port, _whole_name(data, _SRV.size))


def emit_srv(value: Srv) -> bytes:
    """Return the data of an SRV."""
    return _SRV.pack(value.priority, value.weight, value.port) + dns.emit_name(value.target)


def txt_of(data: bytes) -> tuple[bytes, ...]:
    """Return the strings of a TXT, one at least (RFC 1035 section 3.3.14)."""
    found, at = [], 0
    while at < len(data):
        end = at + 1 + data[at]
        if end > len(data):
            raise Malformed("a string of a TXT is cut off")
        found.append(data[at + 1 : end])
        at = end
    if not found:
        raise Malformed("a TXT has one string at least")
    return tuple(found)


def emit_txt(value: tuple[bytes, ...]) -> bytes:
    """Return the data of a TXT; each string has at most STRING_SIZE_MAX bytes."""
    return b"".join(bytes((len(string),)) + string for string in value)


def caa_of(data: bytes) -> Caa:
    """Return what a CAA says."""
    if len(data) < 2 or not data[1] or len(data) < 2 + data[1]:
        raise Malformed("the tag of a CAA is cut off")
    end = 2 + data[1]
    return Caa(data[0], data[2:end], data[end:])


def emit_caa(value: Caa) -> bytes:
    """Return the data of a CAA."""
    return bytes((value.flags, len(value.tag))) + value.tag + value.value


def _pairs(data: bytes, at: int, limit: int) -> tuple[tuple[int, bytes], ...]:
    """Return key and bytes of what stands as key, length, bytes from `at` on."""
    found: list[tuple[int, bytes]] = []
    while at < len(data):
        if at + 4 > len(data):
            raise Malformed("a parameter is cut off")
        key, length = _PAIR.unpack_from(data, at)
        at += 4 + length
        if at > len(data) or len(found) == limit:
            raise Malformed("a parameter leaves its record, or there are too many")
        found.append((key, data[at - length : at]))
    return tuple(found)


def svcb_of(data: bytes) -> Svcb:
    """Return what an SVCB or HTTPS says; the keys must rise (RFC 9460 section 2.2)."""
    target, at = dns.parse_name(data, 2)
    parameters = _pairs(data, at, PARAMETERS_MAX)
    keys = [key for key, _ in parameters]
    if any(following <= key for key, following in pairwise(keys)):
        raise Malformed("the keys of an SVCB do not rise")
    return Svcb(int.from_bytes(data[:2], "big"), target, parameters)


def emit_svcb(value: Svcb) -> bytes:
    """Return the data of an SVCB or HTTPS."""
    head = value.priority.to_bytes(2, "big") + dns.emit_name(value.target)
    return head + b"".join(_PAIR.pack(key, len(data)) + data for key, data in value.parameters)


def edns_of(message: Message) -> Edns | None:
    """Return what a message's OPT says; None: it has none. Raises Malformed, also for two (RFC 6891 section 6.1.1)."""
    found = [record for record in message.additionals if record.type == dns.OPT]
    if not found:
        return None
    if len(found) > 1 or found[0].name:
        raise Malformed("two OPTs, or one with a name")
    record = found[0]
    options = _pairs(record.data, 0, EDNS_OPTIONS_MAX)
    return Edns(record.cls, record.ttl >> 24, record.ttl >> 16 & 255, record.ttl & 0xFFFF, options)


def emit_edns(value: Edns) -> Record:
    """Return the OPT record that says it, for a message's additionals."""
    ttl = value.rcode_high << 24 | value.version << 16 | value.flags
    data = b"".join(_PAIR.pack(code, len(option)) + option for code, option in value.options)
    return Record((), dns.OPT, value.udp_size, ttl, data)


_READERS: dict[int, Callable[[bytes], Value]] = {
    dns.MX: mx_of,
    dns.SOA: soa_of,
    dns.SRV: srv_of,
    dns.TXT: txt_of,
    dns.CAA: caa_of,
    dns.SVCB: svcb_of,
    dns.HTTPS: svcb_of,
}


def value_of(record: Record) -> Value:
    """Return what a record says, as its type has it: a name, an address's bytes, a value of this module.

    An unknown type's is its bytes (RFC 3597). Raises Malformed.
    """
    if record.target is not None:
        return record.target
    reader = _READERS.get(record.type)
    return record.data if reader is None else reader(record.data)


def line(record: Record) -> str:
    """Return a record on one line, near to a zone file's notation. Raises nothing."""
    return f"{dns.text_of(record.name)} {record.ttl} {dns.type_text(record.type)} {_data_text(record)}"


def _data_text(record: Record) -> str:
    if record.type in (dns.A, dns.AAAA) and len(record.data) in (4, 16):
        return address.text(record.data)
    try:
        value = value_of(record)
    except Malformed:
        value = record.data
    if isinstance(value, bytes):
        return f"\\# {len(value)} {value.hex()}".rstrip()
    if record.target is not None:
        return dns.text_of(record.target)
    if isinstance(value, Svcb):
        words = [f"key{key}={_word(data)}" for key, data in value.parameters]
        return " ".join([str(value.priority), dns.text_of(value.target), *words])
    return " ".join(_word(part) for part in value)


def _word(part: object) -> str:
    if isinstance(part, bytes):
        return '"' + "".join(chr(c) if 32 <= c <= 126 and c not in b'"\\' else f"\\{c:03d}" for c in part) + '"'
    return dns.text_of(part) if isinstance(part, tuple) else str(part)
