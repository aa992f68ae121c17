"""One form for a marshalled code object.

What `marshal.dumps` writes depends on the process: an object is marked for later reference when its reference count is
above one, equal constants are one object or two, and a one-character text is interned or not by what else has run.
`canonical` writes the same code again by rules of its own: equal values are one object, a mark stands where a
reference follows, and a text is interned if it could be a name. Read with CPython's Python/marshal.c, format version 4
(Python 3.11 to 3.14).
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field

from sarab.build.errors import Malformed

_FLAG_REF = 0x80
_REF = ord("r")
_CONSTANTS = frozenset(b"0NFTS.")
_NOT_SHARED = _CONSTANTS | {ord("i")}
"""As short as a reference to them would be."""
_FIXED = {ord("i"): 4, ord("g"): 8, ord("y"): 16}
_SIZED_8 = frozenset(b"zZ")
_SIZED_32 = frozenset(b"suaAt")
_TEXTS = {ord("Z"): ord("z"), ord("A"): ord("a"), ord("t"): ord("u")}
"""Kinds of interned texts, and of the same texts when they are not."""
_INTERNED = {plain: interned for interned, plain in _TEXTS.items()}
_GROUPS_32 = frozenset(b"([<>")
_CODE_LAYOUT = "iiiiiOOOOOOOOiOO"
"""Five integers, code .. qualname, first line, two tables: since 3.11."""
_NAME = re.compile(rb"[A-Za-z0-9_]*")
_U32 = struct.Struct("<I")


@dataclass(eq=False, slots=True)
class _Node:
    kind: int
    payload: bytes
    children: tuple[_Node, ...] = field(default=())
    uses: int = 0
    number: int | None = None


def canonical(data: bytes) -> bytes:
    """Return the one form of `data`, which is the marshal of a code object. Raises Malformed if it is not."""
    reader = _Reader(data)
    try:
        root = reader.node()
    except (IndexError, struct.error) as error:
        raise Malformed("A code object is cut short.") from error
    if reader.position != len(data):
        raise Malformed("A code object does not end where its marshal does.")
    _count(root)
    return _Writer().write(root)


class _Reader:
    """Reads a stream into nodes; nodes of equal value are the same node."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0
        self.marked: list[_Node | None] = []
        self.known: dict[tuple[int, bytes, tuple[int, ...]], _Node] = {}

    def node(self) -> _Node:
        byte = self.data[self.position]
        self.position += 1
        kind = byte & ~_FLAG_REF
        if kind == _REF:
            found = self.marked[self.u32()]
            if found is None:
                raise Malformed("A code object holds itself.")
            return found
        place = None
        if byte & _FLAG_REF:
            place = len(self.marked)
            self.marked.append(None)
        node = self.body(kind)
        if place is not None:
            self.marked[place] = node
        return node

    def body(self, kind: int) -> _Node:
        if kind in _CONSTANTS:
            return self.same(kind, b"")
        if kind in _FIXED:
            return self.same(kind, self.take(_FIXED[kind]))
        if kind in _SIZED_8:
            return self.text(kind, self.take(self.data[self.position], skip=1))
        if kind in _SIZED_32:
            payload = self.take(self.u32())
            return self.same(kind, payload) if kind == ord("s") else self.text(kind, payload)
        if kind == ord("l"):
            digits = struct.unpack_from("<i", self.data, self.position)[0]
            return self.same(kind, self.take(4 + 2 * abs(digits)))
        if kind == ord(")"):
            count = self.take(1)[0]
            return self.group(ord("("), count)
        if kind in _GROUPS_32:
            return self.group(kind, self.u32())
        if kind == ord(":"):  # slice, since 3.14
            return self.group(kind, 3)
        if kind == ord("c"):
            return self.code()
        raise Malformed(f"A code object holds a value of the unknown marshal type {chr(kind)!r}.")

    def code(self) -> _Node:
        numbers, children = bytearray(), []
        for part in _CODE_LAYOUT:
            if part == "i":
                numbers += self.take(4)
            else:
                children.append(self.node())
        return _Node(ord("c"), bytes(numbers), tuple(children))

    def text(self, kind: int, payload: bytes) -> _Node:
        """Names are interned whatever their form was; a text of another kind only if it is not ASCII and came so."""
        ascii_only = kind != ord("t") and kind != ord("u")
        plain = _TEXTS.get(kind, kind)
        if plain in (ord("z"), ord("a")):
            plain = ord("z") if len(payload) < 256 else ord("a")
        if ascii_only:
            kind = _INTERNED[plain] if _NAME.fullmatch(payload) else plain
        return self.same(kind, payload)

    def group(self, kind: int, count: int) -> _Node:
        return self.same(kind, b"", tuple(self.node() for _ in range(count)))

    def same(self, kind: int, payload: bytes, children: tuple[_Node, ...] = ()) -> _Node:
        key = (kind, payload, tuple(map(id, children)))
        node = self.known.get(key)
        if node is None:
            node = self.known[key] = _Node(kind, payload, children)
        return node

    def u32(self) -> int:
        value: int = _U32.unpack(self.take(4))[0]
        return value

    def take(self, size: int, skip: int = 0) -> bytes:
        start = self.position + skip
        part = self.data[start : start + size]
        if len(part) != size:
            raise IndexError(start)
        self.position = start + size
        return part


def _count(node: _Node) -> None:
    node.uses += 1
    if node.uses == 1:
        for child in node.children:
            _count(child)


class _Writer:
    def __init__(self) -> None:
        self.output = bytearray()
        self.marks = 0

    def write(self, node: _Node) -> bytes:
        self.node(node)
        return bytes(self.output)

    def node(self, node: _Node) -> None:
        if node.number is not None:
            self.output.append(_REF)
            self.output += _U32.pack(node.number)
            return
        flag = 0
        if node.uses > 1 and node.kind not in _NOT_SHARED:
            flag = _FLAG_REF
            node.number = self.marks
            self.marks += 1
        kind = node.kind
        if kind == ord("(") and len(node.children) < 256:
            self.output += bytes((ord(")") | flag, len(node.children)))
        else:
            self.output.append(kind | flag)
            if kind in _GROUPS_32:
                self.output += _U32.pack(len(node.children))
        if kind == ord("c"):
            self.code(node)
            return
        if kind in _SIZED_8:
            self.output.append(len(node.payload))
        elif kind in _SIZED_32:
            self.output += _U32.pack(len(node.payload))
        self.output += node.payload
        for child in node.children:
            self.node(child)

    def code(self, node: _Node) -> None:
        numbers, children = 0, iter(node.children)
        for part in _CODE_LAYOUT:
            if part == "i":
                self.output += node.payload[numbers : numbers + 4]
                numbers += 4
            else:
                self.node(next(children))
