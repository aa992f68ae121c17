"""What a host must know of an image before it starts a machine with it: that it can be booted, and where it ends."""

from __future__ import annotations

import struct
from pathlib import Path

from sarab.machine.errors import NotBootable

PT_LOAD, PT_NOTE = 1, 4
XEN_PHYS32_ENTRY = 18
MACHINE_X86_64 = 62
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_PROGRAM = struct.Struct("<IIQQQQQQ")
NOTES_MAX = 1 << 16
PROGRAM_HEADERS_MAX = 64


def is_elf(path: Path) -> bool:
    """Whether `path` is a file that begins as an ELF file does."""
    try:
        with path.open("rb") as file:
            return file.read(4) == b"\x7fELF"
    except OSError:
        return False


def memory_end(path: Path) -> int:
    """Return the physical address where the image's last segment ends, in bytes. Raises NotBootable."""
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER.size)
            if len(header) < _HEADER.size or header[:4] != b"\x7fELF":
                raise NotBootable(f"{path} is no image: it is no ELF file")
            fields = _HEADER.unpack(header)
            offset, entry_size, count = fields[5], fields[9], fields[10]
            if header[4:6] != b"\x02\x01" or fields[2] != MACHINE_X86_64 or entry_size != _PROGRAM.size:
                raise NotBootable(f"{path} is no image: it is an ELF file for another processor")
            file.seek(offset)
            table = file.read(min(count, PROGRAM_HEADERS_MAX) * _PROGRAM.size)
            programs = [
                _PROGRAM.unpack_from(table, at) for at in range(0, len(table) - _PROGRAM.size + 1, _PROGRAM.size)
            ]
            bootable, end = False, 0
            for kind, _flags, file_offset, _virtual, physical, file_size, memory_size, _align in programs:
                if kind == PT_LOAD:
                    end = max(end, physical + memory_size)
                elif kind == PT_NOTE:
                    file.seek(file_offset)
                    bootable = bootable or _has_pvh_note(file.read(min(file_size, NOTES_MAX)))
    except FileNotFoundError:
        raise NotBootable(f"there is no image {path}") from None
    except (OSError, OverflowError, ValueError) as error:
        raise NotBootable(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if not bootable:
        raise NotBootable(f"{path} is an ordinary program, no image: it has no PVH note; build one with 'sarab build'")
    return end


def _has_pvh_note(notes: bytes) -> bool:
    at = 0
    while at + 12 <= len(notes):
        name_size, value_size, kind = struct.unpack_from("<III", notes, at)
        if kind == XEN_PHYS32_ENTRY and notes[at + 12 : at + 12 + name_size] == b"Xen\0":
            return True
        at += 12 + (name_size + 3 & ~3) + (value_size + 3 & ~3)
    return False
