"""ELF files: what the builder must know of a shared object, and what need not go into an image.

`read` raises Malformed for whatever is not a well-formed ELF64 file; ObjectError for one of another machine.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from sarab.build.errors import Malformed, ObjectError

PT_LOAD, PT_DYNAMIC, PT_INTERP, PT_NOTE = 1, 2, 3, 4
PF_X, PF_W, PF_R = 1, 2, 4
ET_EXEC, ET_DYN = 2, 3
EM_X86_64 = 62
HEADER_SIZE = 64
SEGMENT_SIZE = 56
SEGMENT_COUNT_MAX = 256
"""Real objects have some ten; the kernel and ld.so read them with bounds of their own."""
DYNAMIC_COUNT_MAX = 4096
STRING_SIZE_MAX = 4096

_MACHINES = {3: "32-bit x86", 40: "32-bit ARM", 183: "ARM64", 243: "RISC-V", 21: "POWER", 22: "IBM Z", 62: "x86-64"}
_DT_NEEDED, _DT_STRTAB, _DT_SONAME, _DT_RPATH, _DT_STRSZ, _DT_RUNPATH = 1, 5, 14, 15, 10, 29

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")


class Segment(NamedTuple):
    """A program header."""

    type: int
    flags: int
    offset: int
    vaddr: int
    paddr: int
    filesz: int
    memsz: int
    align: int

    def pack(self) -> bytes:
        return _SEGMENT.pack(*self)


class Object(NamedTuple):
    """An ELF file as the dynamic linker sees it."""

    type: int
    entry: int
    segments: tuple[Segment, ...]
    interpreter: str | None
    soname: str | None
    needed: tuple[str, ...]
    rpath: tuple[str, ...]
    runpath: tuple[str, ...]

    @property
    def loads(self) -> tuple[Segment, ...]:
        return tuple(segment for segment in self.segments if segment.type == PT_LOAD)


def is_elf(data: bytes) -> bool:
    return data[:4] == b"\x7fELF"


def read(data: bytes, name: str) -> Object:
    """Read the headers and the dynamic section of `data`; `name` is what messages call the file."""
    if not is_elf(data) or len(data) < 20:
        raise Malformed(f"{name} is not an ELF file.")
    machine = int.from_bytes(data[18:20], "little" if data[5] == 1 else "big")
    if data[4] == 1:
        what = _MACHINES.get(machine, f"machine {machine}")
        raise ObjectError(f"{name} is a 32-bit library ({what}), and an image needs 64-bit x86 ones.")
    if data[4] != 2 or data[5] != 1 or machine != EM_X86_64:
        what = _MACHINES.get(machine, f"machine {machine}")
        raise ObjectError(f"{name} was built for another platform ({what}), and an image needs 64-bit x86.")
    if len(data) < HEADER_SIZE:
        raise Malformed(f"{name} is shorter than an ELF header.")
    (_, file_type, _, _, entry, table, _, _, _, entry_size, count, _, _, _) = _HEADER.unpack_from(data)
    if entry_size != SEGMENT_SIZE or not 0 < count <= SEGMENT_COUNT_MAX or table + count * SEGMENT_SIZE > len(data):
        raise Malformed(f"The program headers of {name} are damaged.")
    segments = tuple(Segment(*_SEGMENT.unpack_from(data, table + i * SEGMENT_SIZE)) for i in range(count))
    for segment in segments:
        inside = segment.offset + segment.filesz <= len(data)
        if segment.type == PT_LOAD:
            inside = inside and segment.filesz <= segment.memsz
        elif segment.type not in (PT_DYNAMIC, PT_INTERP, PT_NOTE):
            continue
        if not inside:
            raise Malformed(f"{name} has a segment that lies outside of the file: it is cut short or damaged.")
    interpreter = None
    for segment in segments:
        if segment.type == PT_INTERP:
            interpreter = _text(data[segment.offset : segment.offset + segment.filesz], 0, name)
    return Object(file_type, entry, segments, interpreter, *_read_dynamic(data, segments, name))


def strip(data: bytes, name: str) -> bytes:
    """Return `data` without what no PT_LOAD covers: symbols and lines for debuggers, section headers.

    Every byte that is mapped stays what and where it is, but for the three fields of the header that point at sections.
    """
    segments = read(data, name).segments
    end = max((s.offset + s.filesz for s in segments if s.type == PT_LOAD), default=0)
    table = int.from_bytes(data[32:40], "little")
    end = max(end, table + len(segments) * SEGMENT_SIZE)
    kept = bytearray(data[:end])
    struct.pack_into("<Q", kept, 40, 0)  # e_shoff
    struct.pack_into("<HHH", kept, 58, 0, 0, 0)  # e_shentsize, e_shnum, e_shstrndx
    return bytes(kept)


def pack_header(entry: int, segment_count: int) -> bytes:
    """The header of an x86-64 executable whose program headers follow it and that has no sections."""
    identity = b"\x7fELF\x02\x01\x01" + bytes(9)
    return _HEADER.pack(
        identity, ET_EXEC, EM_X86_64, 1, entry, HEADER_SIZE, 0, 0, HEADER_SIZE, SEGMENT_SIZE, segment_count, 0, 0, 0
    )


def _read_dynamic(
    data: bytes, segments: tuple[Segment, ...], name: str
) -> tuple[str | None, tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    dynamic = next((s for s in segments if s.type == PT_DYNAMIC), None)
    if dynamic is None:
        return None, (), (), ()
    table: list[tuple[int, int]] = []
    for i in range(min(dynamic.filesz // 16, DYNAMIC_COUNT_MAX)):
        tag, value = struct.unpack_from("<qQ", data, dynamic.offset + i * 16)
        if tag == 0:
            break
        table.append((tag, value))
    values = dict(table)
    strings = b""
    if _DT_STRTAB in values:
        address = values[_DT_STRTAB]
        for s in segments:
            if s.type == PT_LOAD and s.vaddr <= address < s.vaddr + s.filesz:
                start = address - s.vaddr + s.offset
                strings = data[start : start + values.get(_DT_STRSZ, 0)]
                break

    def texts(tag: int) -> list[str]:
        return [_text(strings, value, name) for entry, value in table if entry == tag]

    def paths(tag: int) -> tuple[str, ...]:
        return tuple(part for text in texts(tag) for part in text.split(":") if part)

    sonames = texts(_DT_SONAME)
    return sonames[0] if sonames else None, tuple(texts(_DT_NEEDED)), paths(_DT_RPATH), paths(_DT_RUNPATH)


def _text(strings: bytes, offset: int, name: str) -> str:
    end = strings.find(b"\0", offset, offset + STRING_SIZE_MAX)
    if offset >= len(strings) or end < 0:
        raise Malformed(f"A name in the dynamic section of {name} is out of bounds.")
    return strings[offset:end].decode("utf-8", "surrogateescape")
