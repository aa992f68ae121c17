"""An image: the kernel, the file system and the manifest in one ELF file (decision 0001).

`read` believes nothing: it returns an Image or raises Malformed (or ObjectError for an ELF file of another machine).
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sarab.build import elf, pieces, sarabfs
from sarab.build.errors import Malformed, OutputError
from sarab.build.sarabfs import PAGE, FileSystem

PT_SARAB_MANIFEST = 0x60534152
"""In the range that ELF leaves to systems: QEMU 7.2 crashes on a second PT_NOTE."""
ALIGNMENT = 2 << 20
"""The file system begins at the first multiple of this after the kernel: kernel/layout.h says the same."""
OVERHEAD = 32 << 10
"""More than an image has beside kernel, files and manifest: program headers, a page's rest before each segment."""
MANIFEST_SIZE_MAX = 16 << 20
SOURCE_SUFFIXES = frozenset({".py", ".pyi", ".pyx", ".toml"})
"""Of files that somebody has written by hand: no image is called so, and none is written over one."""


@dataclass(frozen=True)
class Image:
    """What an image file holds."""

    entry: int
    kernel_segments: tuple[elf.Segment, ...]
    manifest: dict[str, Any]
    files: FileSystem
    file_system_address: int
    file_system_size: int
    """Bytes in the image: less than the files' own if it is compressed."""
    is_compressed: bool


def assemble(
    kernel: bytes,
    file_system: bytes,
    manifest: Mapping[str, Any],
    *,
    worth: Sequence[float] = (),
    compressor: pieces.Compressor | None = None,
) -> bytes:
    """Make an image; equal inputs give equal bytes. Raises Malformed if the kernel is no kernel.

    The file system is divided into pieces, of which those that get smaller than `worth` of themselves are compressed
    (`pieces.divide`); with none it stays in one.
    """
    header = elf.read(kernel, "The kernel")
    if not header.loads:
        raise Malformed("The kernel has no segment to load.")
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    stretches = [pieces.Stretch(0, file_system)]
    if worth:
        room = pieces.SIZE_AIM - len(kernel) - len(text) - OVERHEAD
        stretches = pieces.divide(file_system, worth, room=room, compressor=compressor)
    count = len(header.segments) + len(stretches) + 1
    body = bytearray(elf.HEADER_SIZE + count * elf.SEGMENT_SIZE)
    table: list[elf.Segment] = []
    moved: list[tuple[elf.Segment, int]] = []  # a PT_LOAD and its new offset
    for segment in sorted(header.loads, key=lambda s: s.paddr):
        body += bytes((segment.paddr - len(body)) % PAGE)
        moved.append((segment, len(body)))
        body += kernel[segment.offset : segment.offset + segment.filesz]
    for segment in header.segments:
        table.append(segment._replace(offset=_moved_offset(segment, moved)))
    address = file_system_address(header.loads)
    for stretch in stretches:
        body += bytes(-len(body) % PAGE)
        at, size = address + stretch.offset, len(stretch.data)
        table.append(elf.Segment(elf.PT_LOAD, elf.PF_R, len(body), at, at, size, size, PAGE))
        body += stretch.data
    body += bytes(-len(body) % PAGE)
    table.append(elf.Segment(PT_SARAB_MANIFEST, elf.PF_R, len(body), 0, 0, len(text), len(text), 1))
    body += text
    head = elf.pack_header(header.entry, count) + b"".join(segment.pack() for segment in table)
    body[: len(head)] = head
    return bytes(body)


def file_system_address(loads: tuple[elf.Segment, ...]) -> int:
    """Where the file system lies in physical memory, given the kernel's PT_LOADs."""
    end = max(segment.paddr + segment.memsz for segment in loads)
    return (end + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT


def read(data: bytes) -> Image:
    """Take an image apart and check it."""
    header = elf.read(data, "The image")
    loads = header.loads
    if len(loads) < 2:
        raise Malformed("This ELF file is not an image of sarab: it has no segment with a file system.")
    kernel, stretches = _stretches(loads, data)
    if any((segment.offset - segment.paddr) % PAGE for segment in loads):
        raise Malformed("A segment of the image is not aligned to its pages.")
    manifest = _read_manifest(data, header.segments)
    superblock = sarabfs.read_superblock(memoryview(stretches[0].data))
    compressed = bool(superblock.flags & sarabfs.FLAG_PIECES)
    if len(stretches) > 1 and not compressed:
        raise Malformed("The image's file system is not one segment.")
    files = sarabfs.read(pieces.join(stretches, superblock) if compressed else stretches[0].data)
    size = sum(len(stretch.data) for stretch in stretches)
    return Image(header.entry, kernel, manifest, files, loads[len(kernel)].paddr, size, compressed)


def check_output(path: Path) -> None:
    """Refuse to write an image over a folder or a program's source, before any work is done. Raises OutputError."""
    if path.is_dir():
        raise OutputError(f"{path} cannot be written: it is a folder.")
    if path.suffix in SOURCE_SUFFIXES and path.exists():
        raise OutputError(f"{path} is a source, and the image would be written over it: name another file with -o.")


def write(path: Path, data: bytes) -> None:
    """Put `data` at `path` as a whole or not at all; OutputError says why not.

    A device or a pipe is written into: replacing it would take it from everybody. A link stays one.
    """
    check_output(path)
    temporary = None
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(data)
            return
        target = Path(os.path.realpath(path))
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=target.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            os.fchmod(file.fileno(), 0o755 & ~_umask())
        os.replace(temporary, target)
        temporary = None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OutputError(f"The disk is full: {path} needs {len(data)} bytes.") from error
        if not path.parent.is_dir():
            raise OutputError(f"{path} cannot be written: there is no folder {path.parent}.") from error
        raise OutputError(f"{path} cannot be written: {error.strerror}.") from error
    finally:  # Ctrl-C, too, leaves nothing behind.
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _moved_offset(segment: elf.Segment, moved: list[tuple[elf.Segment, int]]) -> int:
    for load, offset in moved:
        if load.offset <= segment.offset and segment.offset + segment.filesz <= load.offset + load.filesz:
            return offset + segment.offset - load.offset
    if segment.filesz:
        raise Malformed("The kernel has a segment outside of what is loaded.")
    return 0


def _stretches(loads: tuple[elf.Segment, ...], data: bytes) -> tuple[tuple[elf.Segment, ...], list[pieces.Stretch]]:
    """Return the kernel's segments, and the rest: of the file system, which begins where the kernel looks for it."""
    for count in range(1, len(loads)):
        base = file_system_address(loads[:count])
        if loads[count].paddr != base:
            continue
        found = []
        for segment in loads[count:]:
            if segment.filesz != segment.memsz or segment.flags != elf.PF_R or segment.paddr < base:
                raise Malformed("The image's file system is not where its kernel looks for it.")
            content = memoryview(data)[segment.offset : segment.offset + segment.filesz]
            found.append(pieces.Stretch(segment.paddr - base, content))
        return loads[:count], found
    raise Malformed("This ELF file is not an image of sarab: its last segment is not a file system.")


def _read_manifest(data: bytes, segments: tuple[elf.Segment, ...]) -> dict[str, Any]:
    for segment in segments:
        if segment.type == PT_SARAB_MANIFEST and segment.filesz <= MANIFEST_SIZE_MAX:
            return _parse_manifest(data[segment.offset : segment.offset + segment.filesz], segment.filesz)
    raise Malformed("This ELF file is not an image of sarab: it has no manifest.")


def _parse_manifest(text: bytes, size: int) -> dict[str, Any]:
    if len(text) != size:
        raise Malformed("The manifest of the image is cut short.")
    try:
        manifest = json.loads(text)
    except (ValueError, RecursionError):
        raise Malformed("The manifest of the image is not JSON.") from None
    if not isinstance(manifest, dict) or manifest.get("format") != 1:
        raise Malformed("The manifest of the image is of a version that this sarab does not know.")
    return manifest
