"""/etc/ld.so.cache in glibc's format 1.1: with it ld.so finds a library by one look instead of a dozen opens.

The format is that of glibc's sysdeps/generic/dl-cache.h; `ldconfig -p -C FILE` prints one.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping

from sarab.build.errors import Malformed

MAGIC = b"glibc-ld.so.cache1.1"
_OLD_MAGIC = b"ld.so-1.7.0\0"
_FLAGS_X86_64 = 0x0303  # FLAG_ELF_LIBC6 | FLAG_X8664_LIB64
_LITTLE_ENDIAN = 2
_HEADER = struct.Struct("<20sIIB3xI12x")
_ENTRY = struct.Struct("<iIIIQ")
ENTRY_COUNT_MAX = 1 << 16


def write(libraries: Mapping[str, str]) -> bytes:
    """A cache that says where each library is: soname -> absolute path."""
    # ld.so searches by bisection in descending order of a comparison that takes runs of digits as numbers.
    names = sorted(libraries, key=_order, reverse=True)
    strings_offset = _HEADER.size + _ENTRY.size * len(names)
    strings = bytearray()
    entries = bytearray()
    for name in names:
        key = strings_offset + len(strings)
        strings += name.encode() + b"\0"
        value = strings_offset + len(strings)
        strings += libraries[name].encode() + b"\0"
        entries += _ENTRY.pack(_FLAGS_X86_64, key, value, 0, 0)
    return _HEADER.pack(MAGIC, len(names), len(strings), _LITTLE_ENDIAN, 0) + bytes(entries) + bytes(strings)


def read(data: bytes) -> dict[str, str]:
    """The x86-64 libraries of a cache, soname -> path, but for those of special processors; Malformed if it is none."""
    start = data.find(MAGIC, 0, 1 << 20) if data.startswith(_OLD_MAGIC) else 0
    if start < 0 or data[start : start + len(MAGIC)] != MAGIC or len(data) < start + _HEADER.size:
        raise Malformed("This is not a cache of ld.so.")
    _, count, _, _, _ = _HEADER.unpack_from(data, start)
    if count > ENTRY_COUNT_MAX or start + _HEADER.size + count * _ENTRY.size > len(data):
        raise Malformed("The cache of ld.so is cut short.")
    libraries: dict[str, str] = {}
    for i in range(count):
        flags, key, value, _, capabilities = _ENTRY.unpack_from(data, start + _HEADER.size + i * _ENTRY.size)
        if flags != _FLAGS_X86_64 or capabilities:
            continue
        libraries.setdefault(_text(data, start + key), _text(data, start + value))
    return libraries


def _order(name: str) -> list[tuple[int, int]]:
    """glibc's _dl_cache_libcmp as a sort key: a run of digits is a number and comes after any other character."""
    order: list[tuple[int, int]] = []
    for part in re.findall(rb"[0-9]+|[^0-9]", name.encode()):
        order.append((1, int(part)) if part.isdigit() else (0, part[0]))
    return order


def _text(data: bytes, offset: int) -> str:
    end = data.find(b"\0", offset)
    if end < 0:
        raise Malformed("A name in the cache of ld.so has no end.")
    return data[offset:end].decode("utf-8", "surrogateescape")
