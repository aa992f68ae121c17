"""ELF files: what is read of them, what stays when they are stripped, and what is refused."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sarab.build import elf
from sarab.build.errors import Malformed, ObjectError
from sarab.build.interpreter import Interpreter

PROGRAM = Interpreter.running().executable


def libc() -> Path:
    names = {line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines()}
    return next(Path(name) for name in names if Path(name).name.startswith(("libc.so", "libc-2")))


def test_read_of_the_interpreter_finds_linker_and_libraries() -> None:
    found = elf.read(PROGRAM.read_bytes(), "python")
    assert found.interpreter and found.interpreter.startswith("/lib")
    assert any(name.startswith("libc.") for name in found.needed)
    assert found.loads


def test_read_of_libc_finds_its_soname() -> None:
    assert elf.read(libc().read_bytes(), "libc").soname == "libc.so.6"


def test_strip_keeps_every_mapped_byte_and_drops_the_sections() -> None:
    data = PROGRAM.read_bytes()
    stripped = elf.strip(data, "python")
    assert len(stripped) <= len(data)
    before, after = elf.read(data, "a"), elf.read(stripped, "b")
    assert before == after
    for segment in before.loads:
        start, end = segment.offset, segment.offset + segment.filesz
        mine, theirs = bytearray(stripped[start:end]), bytearray(data[start:end])
        if start < 64:  # the header's section fields are inside the first segment
            for part in (mine, theirs):
                part[40 - start : 48 - start] = bytes(8)
                part[58 - start : 64 - start] = bytes(6)
        assert mine == theirs
    assert stripped[40:48] == bytes(8)


def test_strip_of_stripped_changes_nothing() -> None:
    once = elf.strip(PROGRAM.read_bytes(), "python")
    assert elf.strip(once, "python") == once


def test_stripped_extension_module_still_loads(tmp_path: Path) -> None:
    source = next(Interpreter.running().dynload.glob("_struct.*.so"), None)
    if source is None:
        pytest.skip("this interpreter has _struct inside")
    (tmp_path / source.name).write_bytes(elf.strip(source.read_bytes(), source.name))
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import _struct\n"
    program += "print(_struct.__file__, _struct.calcsize('Q'))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(tmp_path / source.name), "8"]


def test_read_of_32_bit_library_says_so() -> None:
    data = b"\x7fELF\x01\x01\x01" + bytes(9) + struct.pack("<HH", 3, 3) + bytes(100)
    with pytest.raises(ObjectError, match="32-bit"):
        elf.read(data, "libx.so")


def test_read_of_another_machine_names_it() -> None:
    data = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HH", 3, 183) + bytes(100)
    with pytest.raises(ObjectError, match="ARM64"):
        elf.read(data, "libx.so")


@pytest.mark.parametrize("size", [0, 3, 4, 19, 20, 63, 64, 100, 200, 5000])
def test_read_of_cut_file_is_malformed(size: int) -> None:
    with pytest.raises(Malformed):
        elf.read(PROGRAM.read_bytes()[:size], "cut")


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 255)), min_size=1, max_size=6))
def test_read_of_changed_headers_raises_nothing_else(changes: list[tuple[int, int]]) -> None:
    data = bytearray(SMALL)
    for place, value in changes:
        data[place] = value
    try:
        elf.read(bytes(data), "changed")
        elf.strip(bytes(data), "changed")
    except (Malformed, ObjectError):
        pass


SMALL = PROGRAM.read_bytes()
