"""One form for a marshalled code object.

`marshal.dumps` marks an object for later reference when its reference count is above one, which depends on what else
the process has done: two runs differ. `canonical` rewrites the stream so that an object is marked when it is referred
to and only then. What loads from both is the same. Read with CPython's Python/marshal.c, format version 4 (Python 3.11
to 3.14).
"""

from __future__ import annotations

import struct

from sarab.build.errors import Malformed

_FLAG_REF = 0x80
_REF = ord("r")
_CONSTANTS = frozenset(b"0NFTS.")
_SIZED_8 = frozenset(b"zZ")
_SIZED_32 = frozenset(b"stuaA")
_GROUPS_32 = frozenset(b"([<>")
_CODE_LAYOUT = "iiiiiOOOOOOOOiOO"  # 3.11 and later: five integers, code .. qualname, firstlineno, two tables
_U32 = struct.Struct("<I")


def canonical(data: bytes) -> bytes:
    """Return `data`, the marshal of a code object, with reference marks only where they are used."""
    scan = _Scan(data)
    scan.object()
    if scan.position != len(data):
        raise Malformed("A code object does not end where its marshal does.")
    used = sorted({index for _, index in scan.uses})
    number = {index: place for place, index in enumerate(used)}
    result = bytearray(data)
    for index, position in enumerate(scan.marks):
        if index not in number:
            result[position] &= ~_FLAG_REF
    for position, index in scan.uses:
        _U32.pack_into(result, position, number[index])
    return bytes(result)


class _Scan:
    """Walks a stream once: where marks stand (in the order of their numbers), and where they are referred to."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0
        self.marks: list[int] = []
        self.uses: list[tuple[int, int]] = []

    def u32(self) -> int:
        value: int = _U32.unpack_from(self.data, self.position)[0]
        self.position += 4
        return value

    def object(self) -> None:
        start = self.position
        byte = self.data[start]
        self.position += 1
        kind = byte & ~_FLAG_REF
        if byte & _FLAG_REF:
            self.marks.append(start)
        if kind in _CONSTANTS:
            return
        if kind == _REF:
            self.uses.append((self.position, self.u32()))
        elif kind in _SIZED_8:
            self.position += 1 + self.data[self.position]
        elif kind in _SIZED_32:
            size = self.u32()
            self.position += size
        elif kind == ord("i"):
            self.position += 4
        elif kind == ord("l"):
            digits = struct.unpack_from("<i", self.data, self.position)[0]
            self.position += 4 + 2 * abs(digits)
        elif kind == ord("g"):
            self.position += 8
        elif kind == ord("y"):
            self.position += 16
        elif kind == ord(")"):
            count = self.data[self.position]
            self.position += 1
            for _ in range(count):
                self.object()
        elif kind in _GROUPS_32:
            for _ in range(self.u32()):
                self.object()
        elif kind == ord(":"):  # slice, since 3.14
            for _ in range(3):
                self.object()
        elif kind == ord("c"):
            for field in _CODE_LAYOUT:
                if field == "i":
                    self.position += 4
                else:
                    self.object()
        else:
            raise Malformed(f"A code object holds a value of the unknown marshal type {chr(kind)!r}.")
