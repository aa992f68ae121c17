"""The file system of an image: decision 0001. The writer, and a reader that believes nothing.

Whatever the bytes, `read` returns a FileSystem or raises Malformed: never another exception, and never more work than
the bytes given are worth (every node is looked at once).
"""

from __future__ import annotations

import stat
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from sarab.build.errors import BuildError, Malformed
from sarab.build.tree import File, Link, Tree

MAGIC = b"SARABFS1"
PAGE = 4096
SMALL_ALIGN = 16
PAGED_SIZE_MIN = 65536
"""Files of this size and more start on a page, as ELF files of any size do."""
FLAG_PAGED = 1
FLAG_PIECES = 1
"""Of the superblock: the file system is followed by compressed pieces of it (sarab.build.pieces)."""
FLAGS_AT = 20
TARGET_SIZE_MAX = 4095
"""Linux's PATH_MAX less the NUL: no longer link target can be followed."""
DEPTH_MAX = 64
"""Directories below one another; site-packages are some 10 deep, and the kernel walks paths with a fixed bound."""

_SUPERBLOCK = struct.Struct("<8sQIIQQQQII")
_NODE = struct.Struct("<IHHQQIIIIQ")
_ROOT_NAME_LENGTH = 0


class Node(NamedTuple):
    """One file, directory or link as the image stores it."""

    path: str
    mode: int
    data_offset: int
    size: int
    flags: int

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.mode)

    @property
    def is_file(self) -> bool:
        return stat.S_ISREG(self.mode)

    @property
    def is_link(self) -> bool:
        return stat.S_ISLNK(self.mode)


class Superblock(NamedTuple):
    """What a file system begins with, its sizes and offsets checked."""

    total_size: int
    node_count: int
    flags: int
    names_offset: int
    names_size: int
    data_offset: int
    metadata_crc: int


class FileSystem:
    """A checked sarabfs: its nodes by path, and their bytes."""

    def __init__(self, view: memoryview, superblock: Superblock, nodes: dict[str, Node]) -> None:
        self._view = view
        self.superblock = superblock
        self.nodes = nodes

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes.values())

    def data(self, node: Node) -> bytes:
        """The bytes of a file, or the target of a link."""
        return bytes(self._view[node.data_offset : node.data_offset + node.size])

    def read(self, path: str) -> bytes:
        """The bytes of the file at `path`; KeyError if there is none."""
        return self.data(self.nodes[path])


def write(tree: Tree) -> bytes:
    """Lay out `tree`: equal trees give equal bytes.

    What begins on a page comes first: it changes seldom from build to build, and so seldom lies elsewhere.
    """
    children: dict[str, dict[bytes, str]] = {"/": {}}

    def add_directory(path: str) -> None:
        if path in children:
            return
        if path in tree.entries:
            raise BuildError(f"{path} is a file and a directory at once in the image.")
        parent, _, name = path.rpartition("/")
        add_directory(parent or "/")
        children[path] = {}
        children[parent or "/"][name.encode()] = path

    for directory in sorted(tree.directories):
        add_directory(directory)
    for path, _ in tree:
        parent, _, name = path.rpartition("/")
        add_directory(parent or "/")
        if path in children:
            raise BuildError(f"{path} is a file and a directory at once in the image.")
        children[parent or "/"][name.encode()] = path

    order: list[tuple[str, bytes, int]] = [("/", b"", 0)]  # path, name, parent's number
    spans: dict[int, tuple[int, int]] = {}
    position = 0
    while position < len(order):
        path = order[position][0]
        if path in children:
            entries = sorted(children[path].items())
            spans[position] = (len(order) if entries else 0, len(entries))
            order.extend((child, name, position) for name, child in entries)
        position += 1

    names = bytearray()
    name_offsets: dict[bytes, int] = {}
    for _, label, _ in order[1:]:
        if label not in name_offsets:
            name_offsets[label] = len(names)
            names += label

    names_offset = _SUPERBLOCK.size + _NODE.size * len(order)
    data_offset = _align(names_offset + len(names), PAGE)
    small, paged = bytearray(), bytearray()
    places: dict[int, tuple[bool, int, int]] = {}  # node -> paged, offset inside its part, size
    for number, (path, _, _) in enumerate(order):
        entry = tree.entries.get(path)
        if entry is None:
            continue
        data = entry.data if isinstance(entry, File) else entry.target.encode()
        in_pages = isinstance(entry, File) and (entry.is_elf or len(data) >= PAGED_SIZE_MIN)
        part = paged if in_pages else small
        places[number] = (in_pages, len(part), len(data))
        part += data
        part += bytes(-len(part) % (PAGE if in_pages else SMALL_ALIGN))
    small += bytes(-len(small) % PAGE)

    nodes = bytearray()
    for number, (path, label, parent_number) in enumerate(order):
        first_child, child_count = spans.get(number, (0, 0))
        offset = size = flags = 0
        entry = tree.entries.get(path)
        if entry is None:
            mode = stat.S_IFDIR | 0o555
        else:
            in_pages, offset, size = places[number]
            offset += data_offset + (0 if in_pages else len(paged))
            flags = FLAG_PAGED if in_pages else 0
            if isinstance(entry, Link):
                mode = stat.S_IFLNK | 0o777
            else:
                mode = stat.S_IFREG | (0o555 if entry.executable else 0o444)
        nodes += _NODE.pack(
            name_offsets.get(label, 0),
            len(label),
            mode,
            offset,
            size,
            first_child,
            child_count,
            parent_number,
            flags,
            0,
        )

    metadata = bytes(nodes) + bytes(names)
    metadata += bytes(data_offset - _SUPERBLOCK.size - len(metadata))
    total = data_offset + len(small) + len(paged)
    superblock = _SUPERBLOCK.pack(
        MAGIC, total, len(order), 0, _SUPERBLOCK.size, names_offset, len(names), data_offset, zlib.crc32(metadata), 0
    )
    return b"".join((superblock, metadata, paged, small))


def read(data: bytes | bytearray | memoryview) -> FileSystem:
    """Check every rule of decision 0001 and return the file system; raise Malformed at the first that is broken."""
    view = memoryview(data)
    superblock = read_superblock(view)
    if superblock.flags or superblock.total_size > len(view):
        raise Malformed("The superblock of the image's file system is inconsistent.")
    data_offset = superblock.data_offset
    if zlib.crc32(view[_SUPERBLOCK.size : data_offset]) != superblock.metadata_crc:
        raise Malformed("The checksum of the image's file system is wrong: the image is damaged.")
    names = bytes(view[superblock.names_offset : superblock.names_offset + superblock.names_size])
    nodes = _read_nodes(view, superblock.node_count, names, data_offset, superblock.total_size)
    return FileSystem(view, superblock, nodes)


def read_superblock(view: memoryview) -> Superblock:
    """Check what the file system begins with; raise Malformed if it is wrong. The rest of it may be missing."""
    if len(view) < _SUPERBLOCK.size:
        raise Malformed("The image's file system is shorter than its superblock.")
    (magic, total, count, flags, nodes_offset, names_offset, names_size, data_offset, crc, reserved) = (
        _SUPERBLOCK.unpack_from(view)
    )
    if magic != MAGIC:
        raise Malformed("The image's file system does not begin with SARABFS1.")
    if total % PAGE or flags & ~FLAG_PIECES or reserved or nodes_offset != _SUPERBLOCK.size:
        raise Malformed("The superblock of the image's file system is inconsistent.")
    nodes_end = nodes_offset + count * _NODE.size
    if not (count and nodes_end <= names_offset <= names_offset + names_size <= data_offset <= total):
        raise Malformed("The parts of the image's file system overlap or leave it.")
    if data_offset % PAGE:
        raise Malformed("The data of the image's file system does not begin on a page.")
    return Superblock(total, count, flags, names_offset, names_size, data_offset, crc)


def _read_nodes(view: memoryview, count: int, names: bytes, data_offset: int, total: int) -> dict[str, Node]:
    nodes: dict[str, Node] = {}
    paths: list[str] = []
    depths: list[int] = []
    kinds: list[int] = []
    next_child = 1  # breadth first, consecutive: the children of node after node are numbered without a gap
    claimed: list[tuple[int, int]] = []  # a node's children: first, end
    previous: bytes = b""
    for number in range(count):
        fields = _NODE.unpack_from(view, _SUPERBLOCK.size + number * _NODE.size)
        name_offset, name_length, mode, offset, size, first_child, child_count, parent, flags, reserved = fields
        if reserved or flags & ~FLAG_PAGED:
            raise Malformed(f"Node {number} of the image has unknown flags.")
        kind = stat.S_IFMT(mode)
        if number == 0:
            if name_length or parent or kind != stat.S_IFDIR:
                raise Malformed("The first node of the image is not a root directory.")
            paths.append("")
            depths.append(0)
        else:
            if name_offset + name_length > len(names) or not 1 <= name_length <= 255:
                raise Malformed(f"The name of node {number} of the image is out of bounds.")
            name = names[name_offset : name_offset + name_length]
            if b"/" in name or b"\0" in name or name in (b".", b".."):
                raise Malformed(f"The name of node {number} of the image is not a file name.")
            if parent >= number or kinds[parent] != stat.S_IFDIR:
                raise Malformed(f"The parent of node {number} of the image is not a directory before it.")
            first, end = claimed[parent]
            if not first <= number < end or (number > first and name <= previous):
                raise Malformed(f"Node {number} of the image is not in its place among its parent's children.")
            previous = name
            depths.append(depths[parent] + 1)
            if depths[number] > DEPTH_MAX:
                raise Malformed(f"The directories of the image are more than {DEPTH_MAX} deep.")
            try:
                paths.append(paths[parent] + "/" + name.decode())
            except UnicodeDecodeError:
                raise Malformed(f"The name of node {number} of the image is not UTF-8.") from None
        kinds.append(kind)
        if kind == stat.S_IFDIR:
            if offset or size or flags or mode != stat.S_IFDIR | 0o555:
                raise Malformed(f"Node {number} of the image is a strange directory.")
            if child_count and (first_child != next_child or child_count > count - first_child):
                raise Malformed(f"The children of node {number} of the image are not where they belong.")
            claimed.append((first_child, first_child + child_count))
            next_child += child_count
        else:
            _check_content(number, view, (mode, offset, size, flags, first_child, child_count), data_offset, total)
            claimed.append((0, 0))
        path = paths[number] or "/"
        nodes[path] = Node(path, mode, offset, size, flags)
    if next_child != count:
        raise Malformed("The image's file system has nodes that belong to no directory.")
    return nodes


def _check_content(
    number: int, view: memoryview, fields: tuple[int, int, int, int, int, int], data_offset: int, total: int
) -> None:
    mode, offset, size, flags, first_child, child_count = fields
    if mode not in (stat.S_IFREG | 0o444, stat.S_IFREG | 0o555, stat.S_IFLNK | 0o777):
        raise Malformed(f"Node {number} of the image is neither file, directory nor link.")
    if first_child or child_count:
        raise Malformed(f"Node {number} of the image is no directory but has children.")
    if not data_offset <= offset <= total or size > total - offset:
        raise Malformed(f"The data of node {number} lies outside of the image's file system.")
    if offset % (PAGE if flags & FLAG_PAGED else SMALL_ALIGN):
        raise Malformed(f"The data of node {number} of the image is not aligned.")
    if stat.S_ISLNK(mode):
        if flags or not 1 <= size <= TARGET_SIZE_MAX or b"\0" in bytes(view[offset : offset + size]):
            raise Malformed(f"The link target of node {number} of the image is not a path.")
    elif flags & FLAG_PAGED:
        if size % PAGE and any(view[offset + size : _align(offset + size, PAGE)]):
            raise Malformed(f"The last page of node {number} of the image is not filled with zeros.")
    elif size >= PAGED_SIZE_MIN or bytes(view[offset : offset + min(size, 4)]) == b"\x7fELF":
        raise Malformed(f"Node {number} of the image must start on a page and does not.")


def _align(value: int, alignment: int) -> int:
    return (value + alignment - 1) // alignment * alignment


def extract(files: FileSystem, folder: Path) -> None:
    """Write all of `files` below `folder`, which is empty or new."""
    for node in files:
        path = folder / node.path.lstrip("/")
        if node.is_directory:
            path.mkdir(parents=True, exist_ok=True)
        elif node.is_link:
            path.symlink_to(files.data(node).decode())
        else:
            path.write_bytes(files.data(node))
            path.chmod(stat.S_IMODE(node.mode) | stat.S_IWUSR)
