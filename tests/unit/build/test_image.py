"""The image as one ELF file."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sarab.build import elf, image, pieces, sarabfs
from sarab.build.errors import BuildError, Malformed, OutputError
from sarab.build.tree import File, Tree
from tests.unit.build.conftest import make_kernel

MANIFEST = {"format": 1, "sarab": "0", "name": "h\u00e9llo"}


def files() -> bytes:
    tree = Tree()
    tree.add("/app/hello.pyc", File(b"code" * 100))
    tree.add("/lib/libc.so.6", File(b"\x7fELF" + b"c" * 5000))
    return sarabfs.write(tree)


@pytest.mark.parametrize("worth", [(), pieces.CHEAP, pieces.SMALLEST])
def test_read_of_an_assembled_image_gives_its_parts_back(worth: tuple[float, ...]) -> None:
    content = image.read(image.assemble(make_kernel(), files(), MANIFEST, worth=worth))
    assert content.manifest == MANIFEST
    assert content.files.read("/app/hello.pyc") == b"code" * 100
    assert content.is_compressed is (worth != ())
    assert content.entry == 0x200000


def test_kernel_segments_keep_addresses_and_bytes() -> None:
    kernel = make_kernel()
    data = image.assemble(kernel, files(), MANIFEST)
    before, after = elf.read(kernel, "kernel"), elf.read(data, "image")
    for old, new in zip(before.segments, after.segments, strict=False):
        assert old._replace(offset=0) == new._replace(offset=0)
        assert kernel[old.offset : old.offset + old.filesz] == data[new.offset : new.offset + new.filesz]


def test_file_system_is_at_the_next_two_megabytes_and_every_offset_fits_its_page() -> None:
    content = elf.read(image.assemble(make_kernel(), files(), MANIFEST), "image")
    *kernel, last = content.loads
    end = max(segment.paddr + segment.memsz for segment in kernel)
    assert last.paddr == (end + 0x1FFFFF) // 0x200000 * 0x200000 == image.file_system_address(tuple(kernel))
    assert last.flags == elf.PF_R
    assert all((segment.offset - segment.paddr) % 4096 == 0 for segment in content.loads)


def test_equal_inputs_give_equal_bytes() -> None:
    assert image.assemble(make_kernel(), files(), MANIFEST) == image.assemble(make_kernel(), files(), dict(MANIFEST))


def test_compressed_image_is_smaller() -> None:
    plain, small = (image.assemble(make_kernel(), files(), MANIFEST, worth=pieces.SMALLEST * c) for c in (False, True))
    assert len(small) < len(plain)


def test_kernel_that_is_no_elf_is_refused() -> None:
    with pytest.raises(Malformed, match="kernel"):
        image.assemble(b"#!/bin/sh", files(), MANIFEST)


@pytest.mark.parametrize(
    "data", [b"", b"\x7fELF", b"MZ" + bytes(100), make_kernel()], ids=["empty", "cut", "other", "kernel"]
)
def test_read_of_what_is_no_image_says_so(data: bytes) -> None:
    with pytest.raises(Malformed):
        image.read(data)


@pytest.mark.parametrize("manifest", [{"format": 2}, {}, [1]])
def test_read_of_another_manifest_is_malformed(manifest: object) -> None:
    with pytest.raises(Malformed, match="manifest"):
        image.read(image.assemble(make_kernel(), files(), manifest))  # type: ignore[arg-type]


ASSEMBLED = {c: image.assemble(make_kernel(), files(), MANIFEST, worth=pieces.SMALLEST * c) for c in (False, True)}


@settings(max_examples=300, deadline=None)
@given(
    st.booleans(), st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), min_size=1, max_size=5), st.data()
)
def test_read_of_a_damaged_image_returns_or_raises_build_error(
    compress: bool, changes: list[tuple[int, int]], data: st.DataObject
) -> None:
    damaged = bytearray(ASSEMBLED[compress])
    limit = data.draw(st.sampled_from([600, 20000, len(damaged)]))
    for place, value in changes:
        damaged[place % limit] = value
    cut = data.draw(st.one_of(st.just(len(damaged)), st.integers(0, len(damaged))))
    try:
        image.read(bytes(damaged[:cut]))
    except BuildError:
        pass


def test_write_replaces_a_file_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "out.elf"
    path.write_bytes(b"old")
    image.write(path, b"new")
    assert path.read_bytes() == b"new"
    assert [p.name for p in tmp_path.iterdir()] == ["out.elf"]


def test_write_into_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="there is no folder"):
        image.write(tmp_path / "no/out.elf", b"")


def test_write_over_a_directory(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(OutputError, match="cannot be written: it is a folder"):
        image.write(tmp_path / "out", b"x")
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_write_never_replaces_a_program_s_source(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("print()")
    with pytest.raises(OutputError, match=r"app.py is a source"):
        image.write(tmp_path / "app.py", b"x")
    assert (tmp_path / "app.py").read_text() == "print()"


def test_write_into_a_pipe_leaves_it_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    image.write(tmp_path / "pipe", b"image")
    assert os.read(reader, 10) == b"image"
    os.close(reader)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_write_through_a_link_leaves_the_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("out.elf")
    image.write(tmp_path / "link", b"image")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "out.elf").read_bytes() == b"image"


def test_interrupted_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def replace(_source: object, _target: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(KeyboardInterrupt):
        image.write(tmp_path / "out.elf", b"data")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk_is_said_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def replace(_source: object, _target: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(OutputError, match="disk is full"):
        image.write(tmp_path / "out.elf", b"data")
    assert list(tmp_path.iterdir()) == []


def test_write_to_a_real_full_disk(tmp_path: Path) -> None:
    """/dev/full cannot be renamed over; a tiny tmpfs can be filled, where we may mount one."""
    mounted = os.system(f"mount -t tmpfs -o size=16k tmpfs {tmp_path} 2>/dev/null") == 0
    if not mounted:
        pytest.skip("mounting a tmpfs is not allowed here")
    try:
        with pytest.raises(OutputError, match="disk is full"):
            image.write(tmp_path / "out.elf", bytes(1 << 20))
        assert list(tmp_path.iterdir()) == []
    finally:
        os.system(f"umount {tmp_path}")
