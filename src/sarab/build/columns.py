"""Code without its columns: what CPython compiles with `-X no_debug_ranges`.

Since 3.11 the table of a code object says of each instruction not only its line but also where in the line its source
begins and ends, for the `^^^^` of a traceback that shows the line. An image has no source to show. Without them
bytecode is a sixth smaller, in the image and in the memory of who imports it. Instructions that follow each other on
one line share an entry. The format: Objects/locations.md of CPython 3.11 to 3.14.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import CodeType

_ONE_LINE_FIRST, _NO_COLUMNS, _LONG, _NONE = 10, 13, 14, 15
"""Kinds of entries; those below the first are on the line before, with columns in one byte."""
_LENGTH_MAX = 8
"""Code units that an entry covers at most."""


def without_columns(code: CodeType) -> CodeType:
    """Return `code`, and the code in it, with lines only."""
    constants = tuple(without_columns(item) if isinstance(item, CodeType) else item for item in code.co_consts)
    return code.replace(co_consts=constants, co_linetable=_lines_only(code.co_linetable))


def _lines_only(table: bytes) -> bytes:
    output = bytearray()
    pending: int | None = None
    length = 0
    for delta, units in _entries(table):
        if length and (delta is None) == (pending is None) and not delta:
            length += units  # the same line goes on
            continue
        _emit(output, pending, length)
        pending, length = delta, units
    _emit(output, pending, length)
    return bytes(output)


def _entries(table: bytes) -> Iterator[tuple[int | None, int]]:
    """Yield how far each entry's line is from the one before (None: it has no line), and its code units."""
    at = 0
    while at < len(table):
        kind, units = table[at] >> 3 & 15, (table[at] & 7) + 1
        at += 1
        delta: int | None = 0
        if kind == _NONE:
            delta = None
        elif kind >= _NO_COLUMNS:
            value, at = _number(table, at)
            delta = -(value >> 1) if value & 1 else value >> 1
            for _ in range(3 if kind == _LONG else 0):
                _, at = _number(table, at)
        elif kind >= _ONE_LINE_FIRST:
            delta = kind - _ONE_LINE_FIRST
            at += 2
        else:
            at += 1
        yield delta, units


def _number(table: bytes, at: int) -> tuple[int, int]:
    """Return a number of six bits a byte, the lowest first, and where it ends."""
    value = shift = 0
    while True:
        value |= (table[at] & 63) << shift
        at += 1
        if not table[at - 1] & 64:
            return value, at
        shift += 6


def _emit(output: bytearray, delta: int | None, length: int) -> None:
    while length > 0:
        units = min(length, _LENGTH_MAX)
        length -= units
        kind = _NONE if delta is None else _NO_COLUMNS
        output.append(0x80 | kind << 3 | units - 1)
        if delta is not None:
            value = -delta << 1 | 1 if delta < 0 else delta << 1
            while value >= 64:
                output.append(64 | value & 63)
                value >>= 6
            output.append(value)
            delta = 0
