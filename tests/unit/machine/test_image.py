from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sarab.machine.errors import NotBootable
from sarab.machine.image import is_elf, memory_end
from tests import guest


def test_end_is_that_of_the_last_segment(tmp_path: Path) -> None:
    assert memory_end(guest.write(tmp_path / "guest.elf", guest.HANG, memory_size=0x123000)) == guest.BASE + 0x123000


def test_elf_is_told_from_a_script(tmp_path: Path) -> None:
    script = tmp_path / "app.py"
    script.write_text("print()")
    assert is_elf(guest.write(tmp_path / "guest.elf", guest.HANG))
    assert not is_elf(script)
    assert not is_elf(tmp_path)
    assert not is_elf(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is no ELF file"),
        (b"#!/bin/sh\n" + bytes(100), "is no ELF file"),
        (b"\x7fELF\x01\x01\x01" + bytes(100), "for another processor"),
        (Path("/bin/true").read_bytes(), "no PVH note"),
    ],
)
def test_what_is_no_image_is_refused(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(NotBootable, match=sentence):
        memory_end(path)


def test_missing_image_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotBootable, match="there is no image"):
        memory_end(tmp_path / "nothing.elf")


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return guest.write(tmp_path_factory.mktemp("image") / "guest.elf", guest.HANG).read_bytes()[:0x400]


@given(data=st.data())
def test_damaged_headers_are_read_or_refused(
    good: bytes, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    damaged = bytearray(good)
    for at, value in data.draw(st.lists(st.tuples(st.integers(4, 0x100), st.integers(0, 255)), max_size=8)):
        damaged[at] = value
    path = tmp_path_factory.getbasetemp() / "damaged.elf"
    path.write_bytes(damaged[: data.draw(st.integers(0, len(damaged)))])
    try:
        assert memory_end(path) >= 0
    except NotBootable:
        pass
