"""DNS messages and names (RFC 1035 section 4; EDNS0: RFC 6891; AAAA: RFC 3596; unknown types: RFC 3597).

A name is a tuple of labels, bytes as they stand on the wire, in the case in which they came: () is the root. The data
of a record is bytes in which no name is compressed any more, so that it means the same outside its message; what it
says, `wire/dns_records.py` reads.
"""

from struct import Struct, unpack_from
from typing import NamedTuple

from sarab.wire.errors import Malformed

Name = tuple[bytes, ...]

HEADER_SIZE = 12
NAME_SIZE_MAX = 255
LABEL_SIZE_MAX = 63
RECORDS_MAX = 256
"""Of one message; as many as 64 KiB hold that mean anything to a stub."""
POINTERS_MAX = 127
"""Of one name, which has no more labels; each must lead further to the front, and so none can turn in a circle."""
A, NS, CNAME, SOA, PTR, MX, TXT, AAAA, SRV, OPT, SVCB, HTTPS, CAA = 1, 2, 5, 6, 12, 15, 16, 28, 33, 41, 64, 65, 257
TYPES = {
    A: "A", NS: "NS", CNAME: "CNAME", SOA: "SOA", PTR: "PTR", MX: "MX", TXT: "TXT", AAAA: "AAAA", SRV: "SRV",
    OPT: "OPT", SVCB: "SVCB", HTTPS: "HTTPS", CAA: "CAA",
}  # fmt: skip
IN = 1
QR, AA, TC, RD, RA = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080
NO_ERROR, FORMAT_ERROR, SERVER_FAILURE, NAME_ERROR, NOT_IMPLEMENTED, REFUSED = 0, 1, 2, 3, 4, 5
UDP_SIZE = 1232
"""What we say that we can take: no fragments on any path (DNS flag day 2020)."""

POINTER_MAX = 0x3FFF
"""Where a name may stand that a compression pointer leads to."""
_NAME_FIRST = frozenset((NS, CNAME, PTR))
"""Types whose data is one name."""
_NAME_AT = {MX: 2, SRV: 6}
"""Types whose data ends in a name, and where it begins. SRV's may not be compressed, but is (RFC 3597 section 4)."""
_HEADER = Struct("!HHHHHH")
_QUESTION = Struct("!HH")
_RECORD = Struct("!HHIH")


class Question(NamedTuple):
    """What is asked."""

    name: Name
    type: int
    cls: int = IN


class Record(NamedTuple):
    """A resource record. `data` is the bytes of RDATA, without compression.

    Of a CNAME, NS or PTR, `target` is the name that `data` says; to emit one, `target` is enough.
    """

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
    """Return the name that `text` writes, in ASCII, with or without a dot at its end. Raises ValueError.

    What text_of() escapes may be escaped here (RFC 1035 section 5.1): a backslash and a character, or three digits.
    """
    if text in ("", "."):
        return ()
    if "\\" in text:
        labels = _labels_of(text)
    else:
        labels = tuple(label.encode("ascii") for label in text.removesuffix(".").split("."))
    if any(not 1 <= len(label) <= LABEL_SIZE_MAX for label in labels):
        raise ValueError(f"{text!r} is no domain name: a label has 1 to 63 characters")
    if sum(len(label) + 1 for label in labels) + 1 > NAME_SIZE_MAX:
        raise ValueError(f"{text!r} is no domain name: it is longer than 255 bytes")
    return labels


def _labels_of(text: str) -> Name:
    """Return the labels of a text with escapes. Raises ValueError."""
    wrong = ValueError(f"{text!r} is no domain name: a backslash escapes a character, or three digits up to 255")
    labels, label, at = [], bytearray(), 0
    data = text.encode("ascii")
    while at < len(data):
        byte = data[at]
        at += 1
        if byte == 0x2E:
            labels.append(bytes(label))
            label.clear()
            continue
        if byte == 0x5C:
            digits = data[at : at + 3]
            if digits[:1].isdigit():
                if len(digits) != 3 or not digits.isdigit() or int(digits) > 255:
                    raise wrong
                byte, at = int(digits), at + 3
            elif digits:
                byte, at = digits[0], at + 1
            else:
                raise wrong
        label.append(byte)
    if label or data[-1:] != b".":
        labels.append(bytes(label))
    return tuple(labels)


def text_of(name: Name) -> str:
    """Return a name as a person writes it; what is not printable is escaped (RFC 4343 section 2.1)."""
    parts = []
    for label in name:
        parts.append("".join(chr(c) if 33 <= c <= 126 and c not in b'."\\' else f"\\{c:03d}" for c in label))
    return ".".join(parts) + "."


def lower(name: Name) -> Name:
    """Return the name in lower case: names are compared without regard to case (RFC 4343)."""
    return tuple(label.lower() for label in name)


def reverse(address: bytes) -> Name:
    """Return under which name the names of an address are kept (RFC 1035 section 3.5, RFC 3596 section 2.5)."""
    if len(address) == 4:
        return (*(str(byte).encode() for byte in reversed(address)), b"in-addr", b"arpa")
    return (*(digit.encode() for digit in reversed(address.hex())), b"ip6", b"arpa")


def parse_name(view: bytes, at: int) -> tuple[Name, int]:
    """Return the name at `at` and where what follows it begins; a pointer counts from `view`'s start.

    Raises Malformed.
    """
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
    bounded = ttl if ttl < 1 << 31 or kind == OPT else 0  # RFC 2181 section 8; an OPT has flags there
    payload, target = data[at:end], None
    if kind in _NAME_FIRST:
        target, at = parse_name(data, at)
        payload = emit_name(target)
    elif kind == SOA:
        mname, at = parse_name(data, at)
        rname, at = parse_name(data, at)
        payload = emit_name(mname) + emit_name(rname) + data[at:end]
        at += 20
    elif kind in _NAME_AT:
        fixed = _NAME_AT[kind]
        exchange, at = parse_name(data, at + fixed)
        payload = payload[:fixed] + emit_name(exchange)
    elif (kind == A and cls == IN and length != 4) or (kind == AAAA and length != 16):
        raise Malformed("an address of another length")
    else:
        at = end
    if at != end:
        raise Malformed("a record's data has another length than it says")
    return Record(name, kind, cls, bounded, payload, target), end


def emit_name(name: Name) -> bytes:
    """Return a name's bytes, without compression."""
    return b"".join(bytes((len(label),)) + label for label in name) + b"\0"


def _compressed(name: Name, at: int, known: dict[Name, int]) -> bytes:
    """Return a name's bytes when it stands at `at`, and note where its tails stand (RFC 1035 section 4.1.4).

    A tail is pointed to in the case in which it stands there, so that no name changes its case.
    """
    parts = []
    for index in range(len(name)):
        tail = name[index:]
        there = known.get(tail)
        if there is not None:
            parts.append((0xC000 | there).to_bytes(2, "big"))
            return b"".join(parts)
        if at <= POINTER_MAX:
            known[tail] = at
        label = name[index]
        parts.append(bytes((len(label),)) + label)
        at += 1 + len(label)
    parts.append(b"\0")
    return b"".join(parts)


def emit(message: Message) -> bytes:
    """Return the message's bytes. Owners, questions and targets are compressed: no other name may be (RFC 3597)."""
    identifier, flags, questions, *sections = message
    out = bytearray(_HEADER.pack(identifier, flags, len(questions), *(len(section) for section in sections)))
    known: dict[Name, int] = {}
    for question in questions:
        out += _compressed(question.name, len(out), known)
        out += _QUESTION.pack(question.type, question.cls)
    for section in sections:
        for record in section:
            out += _compressed(record.name, len(out), known)
            at = len(out) + _RECORD.size
            data = record.data if record.target is None else _compressed(record.target, at, known)
            out += _RECORD.pack(record.type, record.cls, record.ttl, len(data))
            out += data
    return bytes(out)


def query(identifier: int, name: Name, kind: int, *, edns: bool) -> bytes:
    """Return a stub's question: recursion desired, and, with `edns`, how much we can take."""
    additionals = (Record((), OPT, UDP_SIZE, 0, b""),) if edns else ()
    return emit(Message(identifier, RD, (Question(name, kind),), additionals=additionals))


def type_text(kind: int) -> str:
    """Return a type as a person writes it (RFC 3597 section 5)."""
    return TYPES.get(kind) or f"TYPE{kind}"


def line(message: Message) -> str:
    """Return one line for a person."""
    what = "response" if message.flags & QR else "query"
    asked = " ".join(f"{text_of(q.name)}/{type_text(q.type)}" for q in message.questions)
    return f"dns {what} {message.id} {asked} rcode {message.rcode} answers {len(message.answers)}"
