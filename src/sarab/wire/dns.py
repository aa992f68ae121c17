"""DNS messages (RFC 1035 section 4; EDNS0: RFC 6891; AAAA: RFC 3596), as far as a stub resolver reads and writes them.

A name is a tuple of labels, bytes as they stand on the wire: () is the root. Compression is followed in what comes and
not used in what goes: a question has one name.
"""

from __future__ import annotations

from struct import Struct, unpack_from
from typing import NamedTuple

from sarab.wire.errors import Malformed

Name = tuple[bytes, ...]

HEADER_SIZE = 12
NAME_SIZE_MAX = 255
LABEL_SIZE_MAX = 63
RECORDS_MAX = 256
"""Of one message; as many as 64 KiB hold that mean anything to a stub."""
POINTERS_MAX = 32
"""Of one name: each must lead further to the front, and so none can turn in a circle."""
A, NS, CNAME, SOA, AAAA, OPT = 1, 2, 5, 6, 28, 41
IN = 1
QR, AA, TC, RD, RA = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080
NO_ERROR, FORMAT_ERROR, SERVER_FAILURE, NAME_ERROR, NOT_IMPLEMENTED, REFUSED = 0, 1, 2, 3, 4, 5
UDP_SIZE = 1232
"""What we say that we can take: no fragments on any path (DNS flag day 2020)."""

_HEADER = Struct("!HHHHHH")
_QUESTION = Struct("!HH")
_RECORD = Struct("!HHIH")


class Question(NamedTuple):
    """What is asked."""

    name: Name
    type: int
    cls: int = IN


class Record(NamedTuple):
    """A resource record. `data` is the bytes of RDATA; of a CNAME, NS or the like, `target` is the name in it."""

    name: Name
    type: int
    cls: int
    ttl: int
    data: bytes
    target: Name | None = None


class Message(NamedTuple):
    """A query or a response. `flags` has the code of the result in its four low bits."""

    id: int
    flags: int
    questions: tuple[Question, ...] = ()
    answers: tuple[Record, ...] = ()
    authorities: tuple[Record, ...] = ()
    additionals: tuple[Record, ...] = ()

    @property
    def rcode(self) -> int:
        """The code of the result."""
        return self.flags & 15


def name_of(text: str) -> Name:
    """Return the name that `text` writes, in ASCII, with or without a dot at its end. Raises ValueError."""
    labels = tuple(label.encode("ascii") for label in text.rstrip(".").split(".")) if text.rstrip(".") else ()
    if any(not 1 <= len(label) <= LABEL_SIZE_MAX for label in labels):
        raise ValueError(f"{text!r} is no domain name: a label has 1 to 63 characters")
    if sum(len(label) + 1 for label in labels) + 1 > NAME_SIZE_MAX:
        raise ValueError(f"{text!r} is no domain name: it is longer than 255 bytes")
    return labels


def text_of(name: Name) -> str:
    """Return a name as a person writes it; what is not printable is escaped (RFC 4343 section 2.1)."""
    parts = []
    for label in name:
        parts.append("".join(chr(c) if 33 <= c <= 126 and c not in b'."\\' else f"\\{c:03d}" for c in label))
    return ".".join(parts) + "."


def lower(name: Name) -> Name:
    """Return the name in lower case: names are compared without regard to case (RFC 4343)."""
    return tuple(label.lower() for label in name)


def parse_name(view: bytes, at: int) -> tuple[Name, int]:
    """Return a name and where what follows it begins. Raises Malformed."""
    labels: list[bytes] = []
    size, following, limit = 1, -1, at
    pointers = 0
    while True:
        if at >= len(view):
            raise Malformed("a name leaves the message")
        length = view[at]
        if length >= 0xC0:
            if at + 2 > len(view):
                raise Malformed("a compression pointer is cut off")
            target = (length & 0x3F) << 8 | view[at + 1]
            if following < 0:
                following = at + 2
            pointers += 1
            if target >= limit or pointers > POINTERS_MAX:
                raise Malformed("a compression pointer does not lead to the front")
            at = limit = target
            continue
        if length > LABEL_SIZE_MAX:
            raise Malformed("a label of an unknown kind")
        at += 1
        if not length:
            return tuple(labels), following if following >= 0 else at
        if at + length > len(view):
            raise Malformed("a label leaves the message")
        labels.append(view[at : at + length])
        size += length + 1
        if size > NAME_SIZE_MAX:
            raise Malformed("a name is longer than 255 bytes")
        at += length


def parse(view: bytes | memoryview) -> Message:
    """Return the message. Raises Malformed."""
    data = bytes(view)
    if len(data) < HEADER_SIZE:
        raise Malformed("a DNS message has 12 bytes at least")
    identifier, flags, *counts = _HEADER.unpack_from(data)
    if max(counts) > RECORDS_MAX:
        raise Malformed("a DNS message with too many records")
    at = HEADER_SIZE
    questions = []
    for _ in range(counts[0]):
        name, at = parse_name(data, at)
        if at + 4 > len(data):
            raise Malformed("a question is cut off")
        questions.append(Question(name, *unpack_from("!HH", data, at)))
        at += 4
    sections: list[tuple[Record, ...]] = []
    for count in counts[1:]:
        records = []
        for _ in range(count):
            record, at = _parse_record(data, at)
            records.append(record)
        sections.append(tuple(records))
    return Message(identifier, flags, tuple(questions), sections[0], sections[1], sections[2])


def _parse_record(data: bytes, at: int) -> tuple[Record, int]:
    name, at = parse_name(data, at)
    if at + 10 > len(data):
        raise Malformed("a record is cut off")
    kind, cls, ttl, length = _RECORD.unpack_from(data, at)
    at += 10
    end = at + length
    if end > len(data):
        raise Malformed("a record leaves the message")
    target: Name | None = None
    if kind in (CNAME, NS):
        target, stop = parse_name(data, at)
        if stop != end:
            raise Malformed("a name is shorter than its record")
    elif (kind == A and cls == IN and length != 4) or (kind == AAAA and length != 16):
        raise Malformed("an address of another length")
    elif kind == SOA:
        _, stop = parse_name(data, at)
        _, stop = parse_name(data, stop)
        if stop + 20 != end:
            raise Malformed("an SOA of another length")
        return Record(name, kind, cls, ttl, data[stop:end]), end
    return Record(name, kind, cls, ttl if ttl < 1 << 31 else 0, data[at:end], target), end


def _emit_name(name: Name) -> bytes:
    return b"".join(bytes((len(label),)) + label for label in name) + b"\0"


def _emit_record(record: Record) -> bytes:
    data = record.data if record.target is None else _emit_name(record.target)
    if record.type == SOA:
        data = b"\0\0" + data  # its two names are not kept: both the root
    return _emit_name(record.name) + _RECORD.pack(record.type, record.cls, record.ttl, len(data)) + data


def emit(message: Message) -> bytes:
    """Return the message's bytes, without compression."""
    identifier, flags, questions, *sections = message
    parts = [_HEADER.pack(identifier, flags, len(questions), *(len(section) for section in sections))]
    parts += [_emit_name(q.name) + _QUESTION.pack(q.type, q.cls) for q in questions]
    parts += [_emit_record(record) for section in sections for record in section]
    return b"".join(parts)


def query(identifier: int, name: Name, kind: int, *, edns: bool) -> bytes:
    """Return a stub's question: recursion desired, and, with `edns`, how much we can take."""
    additionals = (Record((), OPT, UDP_SIZE, 0, b""),) if edns else ()
    return emit(Message(identifier, RD, (Question(name, kind),), additionals=additionals))


def line(message: Message) -> str:
    """Return one line for a person."""
    what = "response" if message.flags & QR else "query"
    asked = " ".join(f"{text_of(q.name)}/{q.type}" for q in message.questions)
    return f"dns {what} {message.id} {asked} rcode {message.rcode} answers {len(message.answers)}"
