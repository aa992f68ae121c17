"""Which libraries come along, from where, and where they go."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Sequence
from pathlib import Path

import pytest

from sarab.build import elf, ldcache
from sarab.build.errors import ObjectError
from sarab.build.interpreter import Interpreter
from sarab.build.libraries import CACHE, Libraries
from sarab.build.tree import File, Tree

NEEDED, SONAME, RPATH, RUNPATH, STRTAB, STRSZ = 1, 14, 15, 29, 5, 10
LINKER = "/lib64/ld-linux-x86-64.so.2"


def make_object(
    path: Path,
    needed: Sequence[str] = (),
    *,
    rpath: str = "",
    runpath: str = "",
    soname: str = "",
    interpreter: str = "",
    machine: int = 62,
    bits: int = 2,
) -> Path:
    """A shared object with headers and a dynamic section and nothing in it."""
    strings = bytearray(b"\0")

    def text(value: str) -> int:
        place = len(strings)
        strings.extend(value.encode() + b"\0")
        return place

    entries = [(NEEDED, text(name)) for name in needed]
    entries += [(tag, text(v)) for tag, v in ((RPATH, rpath), (RUNPATH, runpath), (SONAME, soname)) if v]
    program = text(interpreter)
    count = 2 + bool(interpreter)
    dynamic_at = 64 + 56 * count
    strings_at = dynamic_at + 16 * (len(entries) + 3)
    entries += [(STRTAB, strings_at), (STRSZ, len(strings)), (0, 0)]
    size = strings_at + len(strings)
    segments = [elf.Segment(1, 5, 0, 0, 0, size, size, 4096)]
    segments.append(elf.Segment(2, 6, dynamic_at, dynamic_at, dynamic_at, 16 * len(entries), 16 * len(entries), 8))
    if interpreter:
        place, length = strings_at + program, len(interpreter) + 1
        segments.append(elf.Segment(3, 4, place, place, place, length, length, 1))
    head = bytearray(elf.pack_header(0, count))
    struct.pack_into("<HH", head, 16, 3, machine)
    head[4] = bits
    body = bytes(head) + b"".join(s.pack() for s in segments)
    body += b"".join(struct.pack("<QQ", *entry) for entry in entries) + bytes(strings)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    return path


@pytest.fixture
def libraries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Libraries:
    """With a program that needs the host's libc, and no cache of the host's."""
    found = Libraries(Tree(), elf.strip)
    monkeypatch.setattr(Libraries, "host_cache", {"libc.so.6": str(make_object(tmp_path / "host/libc.so.6"))})
    make_object(tmp_path / "host/ld.so")
    program = make_object(tmp_path / "bin/python", ["libc.so.6"], interpreter=str(tmp_path / "host/ld.so"))
    found.add_program(str(program), "/usr/bin/python3")
    return found


def test_program_brings_its_linker_at_its_own_path_and_libraries_in_lib(libraries: Libraries, tmp_path: Path) -> None:
    assert set(libraries.sources) == {"/usr/bin/python3", str(tmp_path / "host/ld.so"), "/lib/libc.so.6"}
    assert libraries.program == sorted([str(tmp_path / "host/ld.so"), "/lib/libc.so.6"])


def test_library_beside_its_user_keeps_its_relative_place(libraries: Libraries, tmp_path: Path) -> None:
    site = tmp_path / "site"
    make_object(site / "np.libs/libblas-1.so", ["libgfortran-2.so"], rpath="$ORIGIN")
    make_object(site / "np.libs/libgfortran-2.so")
    extension = make_object(site / "np/core/ext.so", ["libblas-1.so"], rpath="$ORIGIN/../../np.libs")
    libraries.add(str(extension), "/usr/lib/python3/site-packages/np/core/ext.so")
    assert "/usr/lib/python3/site-packages/np.libs/libblas-1.so" in libraries.sources
    assert "/usr/lib/python3/site-packages/np.libs/libgfortran-2.so" in libraries.sources
    assert "libblas-1.so" not in libraries.by_soname


def test_rpath_of_the_user_s_user_counts_and_runpath_s_does_not(libraries: Libraries, tmp_path: Path) -> None:
    make_object(tmp_path / "far/libdeep.so")
    make_object(tmp_path / "near/libmiddle.so", ["libdeep.so"])
    folders = f"{tmp_path}/near:{tmp_path}/far"
    libraries.add(str(make_object(tmp_path / "a.so", ["libmiddle.so"], rpath=folders)), "/app/a.so")
    assert libraries.sources["/lib/libdeep.so"] == str(tmp_path / "far/libdeep.so")
    other = Libraries(Tree(), elf.strip)
    other.add_program(str(make_object(tmp_path / "p", interpreter=str(tmp_path / "host/ld.so"))), "/usr/bin/p")
    with pytest.raises(ObjectError, match=r"libmiddle\.so needs the library libdeep\.so"):
        other.add(str(make_object(tmp_path / "b.so", ["libmiddle.so"], runpath=folders)), "/app/b.so")


def test_runpath_makes_rpath_void(libraries: Libraries, tmp_path: Path) -> None:
    make_object(tmp_path / "one/libx.so", soname="one")
    make_object(tmp_path / "two/libx.so", soname="two")
    user = make_object(tmp_path / "a.so", ["libx.so"], rpath=f"{tmp_path}/one", runpath=f"{tmp_path}/two")
    libraries.add(str(user), "/app/a.so")
    assert libraries.sources["/lib/libx.so"] == str(tmp_path / "two/libx.so")


def test_file_of_another_machine_is_passed_over(libraries: Libraries, tmp_path: Path) -> None:
    make_object(tmp_path / "one/libx.so", machine=183)
    make_object(tmp_path / "two/libx.so")
    user = make_object(tmp_path / "a.so", ["libx.so"], runpath=f"{tmp_path}/one:{tmp_path}/two")
    libraries.add(str(user), "/app/a.so")
    assert libraries.sources["/lib/libx.so"] == str(tmp_path / "two/libx.so")


def test_missing_library_is_named_with_its_user(libraries: Libraries, tmp_path: Path) -> None:
    with pytest.raises(ObjectError, match=r"a\.so needs the library libnothing\.so\.7, and this machine has none"):
        libraries.add(str(make_object(tmp_path / "a.so", ["libnothing.so.7"])), "/app/a.so")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"bits": 1, "machine": 3}, r"libx\.so is a 32-bit library \(32-bit x86\), and an image needs 64-bit x86 ones"),
        ({"machine": 183}, r"libx\.so was built for another platform \(ARM64\)"),
    ],
)
def test_a_needed_library_of_another_machine_is_named_as_one(
    libraries: Libraries, tmp_path: Path, options: dict[str, int], sentence: str
) -> None:
    make_object(tmp_path / "other/libx.so", **options)  # type: ignore[arg-type]
    user = make_object(tmp_path / "a.so", ["libx.so"], runpath=f"{tmp_path}/other")
    with pytest.raises(ObjectError, match=rf"a\.so needs the library libx\.so: .*{sentence}"):
        libraries.add(str(user), "/app/a.so")


def test_two_libraries_of_one_name_are_refused(libraries: Libraries, tmp_path: Path) -> None:
    make_object(tmp_path / "one/libx.so", soname="one")
    make_object(tmp_path / "two/libx.so", soname="two")
    libraries.add(str(make_object(tmp_path / "a.so", ["libx.so"], runpath=f"{tmp_path}/one")), "/app/a.so")
    with pytest.raises(ObjectError, match=r"needs libx\.so from .*two"):
        libraries.add(str(make_object(tmp_path / "b.so", ["libx.so"], runpath=f"{tmp_path}/two")), "/app/b.so")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"machine": 183}, "another platform"),
        ({"bits": 1, "machine": 3}, "32-bit"),
        ({"needed": ["libc.musl-x86_64.so.1"]}, "built for musl.*glibc.*mixed"),
    ],
)
def test_what_cannot_be_in_the_image_is_said(
    libraries: Libraries, tmp_path: Path, options: dict[str, object], sentence: str
) -> None:
    with pytest.raises(ObjectError, match=sentence):
        libraries.add(str(make_object(tmp_path / "a.so", **options)), "/app/a.so")  # type: ignore[arg-type]


def test_object_that_is_cut_short_is_said(libraries: Libraries, tmp_path: Path) -> None:
    path = make_object(tmp_path / "a.so", ["libc.so.6"])
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ObjectError, match="cut short"):
        libraries.add(str(path), "/app/a.so")


def test_cache_says_where_the_libraries_in_lib_are(libraries: Libraries) -> None:
    libraries.write_cache()
    entry = libraries.tree.entries[CACHE]
    assert isinstance(entry, File)
    assert ldcache.read(entry.data) == {"libc.so.6": "/lib/libc.so.6"}


def test_library_by_name(libraries: Libraries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        Libraries, "host_cache", {"libgcc_s.so.1": str(make_object(tmp_path / "libgcc_s.so.1", ["libc.so.6"]))}
    )
    assert libraries.add_by_name("libgcc_s.so.1")
    assert not libraries.add_by_name("libnothing.so")
    assert "/lib/libgcc_s.so.1" in libraries.sources


@pytest.mark.skipif(
    not Path("/usr/bin/python3").exists() or shutil.which("ldd") is None, reason="needs Debian's python3 and ldd"
)
@pytest.mark.parametrize("program", ["/usr/bin/python3", str(Interpreter.running().executable)])
def test_real_interpreters_bring_what_ldd_lists(program: str) -> None:
    import subprocess

    found = Libraries(Tree(), elf.strip)
    found.add_program(str(Path(program).resolve()), "/usr/bin/python3")
    lines = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout.splitlines()
    expected = {line.split(" => ")[0].strip() for line in lines if " => " in line}
    assert expected == {Path(path).name for path in found.program} - {Path(found.interpreter or "").name}
