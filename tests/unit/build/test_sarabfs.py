"""The image's file system: what is written is read back, and whatever else is read is refused."""

from __future__ import annotations

import stat
import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sarab.build import sarabfs
from sarab.build.errors import BuildError, Malformed
from sarab.build.tree import File, Link, Tree

SUPERBLOCK, NODE = 64, 48


def sample() -> Tree:
    tree = Tree()
    tree.add("/app/hello.pyc", File(b"code"))
    tree.add("/lib/libc.so.6", File(b"\x7fELF" + b"c" * 5000, executable=True))
    tree.add("/usr/lib/big", File(b"b" * 70000))
    tree.add("/usr/lib/empty", File(b""))
    tree.add("/usr/lib/link", Link("../big"))
    tree.add_directory("/usr/share")
    return tree


def patched(data: bytes, offset: int, layout: str, value: int) -> bytes:
    """Change a field, and the checksum to fit: only the rule about the field itself is broken."""
    changed = bytearray(data)
    struct.pack_into(layout, changed, offset, value)
    data_offset = struct.unpack_from("<Q", changed, 48)[0]
    if 64 <= data_offset <= len(changed):
        struct.pack_into("<I", changed, 56, zlib.crc32(changed[64:data_offset]))
    return bytes(changed)


def test_read_of_written_tree_gives_it_back() -> None:
    files = sarabfs.read(sarabfs.write(sample()))
    assert files.read("/app/hello.pyc") == b"code"
    assert files.read("/usr/lib/empty") == b""
    assert files.data(files.nodes["/usr/lib/link"]) == b"../big"
    assert files.nodes["/usr/share"].is_directory
    assert {p for p, n in files.nodes.items() if n.is_directory} == {
        "/",
        "/app",
        "/lib",
        "/usr",
        "/usr/lib",
        "/usr/share",
    }
    assert stat.S_IMODE(files.nodes["/lib/libc.so.6"].mode) == 0o555
    assert stat.S_IMODE(files.nodes["/app/hello.pyc"].mode) == 0o444


def test_elf_and_large_files_are_on_pages_filled_with_zeros() -> None:
    data = sarabfs.write(sample())
    files = sarabfs.read(data)
    for path in ("/lib/libc.so.6", "/usr/lib/big"):
        node = files.nodes[path]
        assert node.flags == 1
        assert node.data_offset % 4096 == 0
        assert not any(data[node.data_offset + node.size : -(-(node.data_offset + node.size) // 4096) * 4096])
    assert files.nodes["/app/hello.pyc"].flags == 0
    assert len(data) % 4096 == 0


def test_order_of_adding_does_not_change_the_bytes() -> None:
    forward, backward = sample(), Tree()
    for path, entry in reversed(list(forward)):
        backward.add(path, entry)
    backward.add_directory("/usr/share")
    assert sarabfs.write(forward) == sarabfs.write(backward)


def test_nodes_are_breadth_first_and_sorted() -> None:
    paths = list(sarabfs.read(sarabfs.write(sample())).nodes)
    assert paths == sorted(paths, key=lambda p: (p.count("/") if p != "/" else 0, p))


@pytest.mark.parametrize("path", ["relative", "/a//b", "/a/../b", "/a/.", "/" + "n" * 256, "/nul\0"])
def test_tree_refuses_what_is_no_path(path: str) -> None:
    with pytest.raises(BuildError):
        Tree().add(path, File(b""))


def test_tree_refuses_two_contents_for_one_path() -> None:
    tree = Tree()
    tree.add("/a", File(b"1"))
    tree.add("/a", File(b"1"))
    with pytest.raises(BuildError, match="Two different files"):
        tree.add("/a", File(b"2"))


def test_write_refuses_a_file_that_is_a_directory_too() -> None:
    tree = Tree()
    tree.add("/a", File(b""))
    tree.add("/a/b", File(b""))
    with pytest.raises(BuildError, match="directory"):
        sarabfs.write(tree)


@pytest.mark.parametrize(
    ("offset", "layout", "value"),
    [
        (0, "<Q", 0),  # magic
        (8, "<Q", 1 << 40),  # total_size
        (8, "<Q", 4097),
        (16, "<I", 0),  # node_count
        (16, "<I", 0xFFFFFFFF),
        (20, "<I", 1),  # flags
        (24, "<Q", 0),  # nodes_offset
        (32, "<Q", 1 << 63),  # names_offset
        (40, "<Q", 1 << 63),  # names_size
        (48, "<Q", 64),  # data_offset
        (60, "<I", 1),  # reserved
        (SUPERBLOCK + 4, "<H", 1),  # the root's name
        (SUPERBLOCK + 6, "<H", stat.S_IFREG | 0o444),  # the root's mode
        (SUPERBLOCK + 24, "<I", 0),  # the root is its own child
        (SUPERBLOCK + 28, "<I", 0xFFFFFFFF),
        (SUPERBLOCK + 32, "<I", 5),
        (SUPERBLOCK + NODE, "<I", 0xFFFFFFF0),  # name_offset
        (SUPERBLOCK + NODE + 4, "<H", 0),  # name_length
        (SUPERBLOCK + NODE + 4, "<H", 256),
        (SUPERBLOCK + NODE + 6, "<H", stat.S_IFCHR | 0o444),
        (SUPERBLOCK + NODE + 6, "<H", stat.S_IFDIR | 0o777),
        (SUPERBLOCK + NODE + 8, "<Q", 64),  # a directory with data
        (SUPERBLOCK + NODE + 32, "<I", 1),  # its own parent
        (SUPERBLOCK + NODE + 36, "<I", 2),  # flags
        (SUPERBLOCK + NODE + 40, "<Q", 1),  # reserved
    ],
)
def test_read_of_one_broken_field_is_malformed(offset: int, layout: str, value: int) -> None:
    with pytest.raises(Malformed):
        sarabfs.read(patched(sarabfs.write(sample()), offset, layout, value))


@pytest.mark.parametrize(
    ("field", "layout", "value"),
    [
        (8, "<Q", 0),  # data before the data
        (8, "<Q", 1 << 62),
        (16, "<Q", 1 << 62),  # size
        (8, "<Q", 4096 * 2 + 8),  # not aligned
        (24, "<I", 3),  # a file with children
        (28, "<I", 1),
        (6, "<H", stat.S_IFREG | 0o644),
        (36, "<I", 0),  # an ELF file that is not on a page
    ],
)
def test_read_of_one_broken_file_is_malformed(field: int, layout: str, value: int) -> None:
    data = sarabfs.write(sample())
    number = list(sarabfs.read(data).nodes).index("/lib/libc.so.6")
    with pytest.raises(Malformed):
        sarabfs.read(patched(data, SUPERBLOCK + number * NODE + field, layout, value))


def test_read_of_changed_metadata_says_damaged() -> None:
    data = bytearray(sarabfs.write(sample()))
    data[SUPERBLOCK + 3 * NODE] ^= 1
    with pytest.raises(Malformed, match="checksum"):
        sarabfs.read(bytes(data))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_read_of_any_bytes_returns_or_raises_malformed(data: st.DataObject) -> None:
    original = bytearray(sarabfs.write(sample()))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, 1200))
        original[place] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        end = struct.unpack_from("<Q", original, 48)[0]
        if end <= len(original):
            struct.pack_into("<I", original, 56, zlib.crc32(original[64:end]))
    cut = data.draw(st.integers(0, len(original)))
    try:
        files = sarabfs.read(bytes(original[:cut]))
    except Malformed:
        return
    for node in files:
        files.data(node)


@settings(deadline=None)
@given(st.binary(max_size=400))
def test_read_of_noise_behind_the_magic_is_malformed(noise: bytes) -> None:
    with pytest.raises(Malformed):
        sarabfs.read(sarabfs.MAGIC + noise)


def test_extract_writes_every_file(tmp_path: Path) -> None:
    sarabfs.extract(sarabfs.read(sarabfs.write(sample())), tmp_path)
    assert (tmp_path / "usr/lib/big").read_bytes() == b"b" * 70000
    assert (tmp_path / "usr/lib/link").readlink() == Path("../big")
    assert (tmp_path / "usr/share").is_dir()
