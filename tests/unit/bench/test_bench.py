"""The bench's own parts, without a machine: what it unpacks, patches, packs, bisects and prints."""

import json
import stat
import struct
from pathlib import Path

import pytest

from bench import boot_time, lines, lz4, memory, table
from bench.__main__ import BEGIN, END, write_document
from bench.entry import write_twin
from bench.guest import Boot, Guest
from bench.linux import File, unpack_kernel, write_initramfs
from bench.loops import costs
from bench.result import Failed, Row, spread


def test_lz4_literals_and_overlapping_match_unpack() -> None:
    block = bytes((0x35, ord("a"), ord("b"), ord("c"), 3, 0)) + bytes((0x20, ord("x"), ord("y")))
    frame = lz4.MAGIC + len(block).to_bytes(4, "little") + block
    assert lz4.unpack(b"head" + frame, 4) == b"abc" + b"abcabcabc" + b"xy"


def test_lz4_long_lengths_unpack() -> None:
    literals = bytes(range(256)) * 2
    block = b"\xff" + bytes((255, 242)) + literals + b"\x00\x02" + bytes((255, 26)) + b"\x10z"
    frame = lz4.MAGIC + len(block).to_bytes(4, "little") + block
    assert lz4.unpack(frame, 0) == literals + literals[:300] + b"z"


def test_lz4_match_before_the_beginning_is_refused() -> None:
    block = bytes((0x10, ord("a"), 9, 0, 0))
    with pytest.raises(ValueError, match="before the beginning"):
        lz4.unpack(lz4.MAGIC + len(block).to_bytes(4, "little") + block, 0)


def test_kernel_packed_otherwise_is_refused() -> None:
    with pytest.raises(Failed):
        unpack_kernel(b"MZ" + bytes(1000))


def _kernel() -> bytes:
    """Return the smallest ELF file with a PVH note: entry at 0x100010, in a segment loaded at 0x100000."""
    note = struct.pack("<III4sQ", 4, 8, 18, b"Xen\0", 0x100010)
    code = bytes(200)
    offset = 64 + 2 * 56
    header = b"\x7fELF\x02\x01\x01".ljust(32, b"\0") + struct.pack("<QQIHHHHHH", 64, 0, 0, 64, 56, 2, 0, 0, 0)
    load = struct.pack("<IIQQQQQQ", 1, 5, offset, 0x100000, 0x100000, len(code), len(code), 4096)
    notes = struct.pack("<IIQQQQQQ", 4, 4, offset + len(code), 0, 0, len(note), len(note), 4)
    return header + load + notes + code + note


def test_twin_differs_at_the_entry_only(tmp_path: Path) -> None:
    kernel, twin = tmp_path / "kernel", tmp_path / "twin"
    kernel.write_bytes(_kernel())
    write_twin(kernel, twin)
    before, after = kernel.read_bytes(), twin.read_bytes()
    changed = [at for at, (old, new) in enumerate(zip(before, after, strict=True)) if old != new]
    entry = 64 + 2 * 56 + 0x10
    assert changed[0] == entry
    assert after[entry : entry + 4] == b"\x66\xba\xea\x00"
    assert changed[-1] < entry + 40


def test_twin_of_a_kernel_without_pvh_note_is_refused(tmp_path: Path) -> None:
    kernel = tmp_path / "kernel"
    kernel.write_bytes(_kernel().replace(b"Xen\0", b"Yen\0"))
    with pytest.raises(Failed, match="no PVH note"):
        write_twin(kernel, tmp_path / "twin")


def test_initramfs_has_folders_before_files_and_a_trailer(tmp_path: Path) -> None:
    archive = tmp_path / "archive.cpio"
    write_initramfs(archive, [File("usr/lib/x.py", stat.S_IFREG | 0o444, b"12345")], b"\x7fELF starter")
    found = {}
    data, at = archive.read_bytes(), 0
    while at < len(data):
        assert data[at : at + 6] == b"070701"
        fields = [int(data[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
        name = data[at + 110 : at + 110 + fields[11] - 1].decode()
        start = at + (110 + fields[11] + 3) // 4 * 4
        found[name] = (fields[1], data[start : start + fields[6]])
        at = start + (fields[6] + 3) // 4 * 4
    assert list(found) == ["dev", "init", "proc", "tmp", "usr", "usr/lib", "usr/lib/x.py", "TRAILER!!!"]
    assert found["usr/lib/x.py"] == (stat.S_IFREG | 0o444, b"12345")
    assert stat.S_ISDIR(found["usr"][0])
    assert found["init"] == (stat.S_IFREG | 0o755, b"\x7fELF starter")


@pytest.mark.parametrize("needed", [4, 5, 23, 64, 511, 512])
def test_smallest_memory_is_found(monkeypatch: pytest.MonkeyPatch, needed: int) -> None:
    def boot(guest: Guest, *_: object) -> Boot:
        if guest.memory_mib < needed:
            return Boot()
        return Boot(console=[(1, "Hello, World!")], control=[(2, "exit 0")], finished=True)

    monkeypatch.setattr(memory, "boot", boot)
    assert memory.smallest(Guest("sarab", Path("x"), ""), "tcg") == needed


def test_guest_that_never_works_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "boot", lambda *_: Boot())
    with pytest.raises(Failed, match="512 MiB"):
        memory.smallest(Guest("sarab", Path("x"), ""), "tcg")


ROWS = [
    Row("boot", "ms", [10.0, 12.0, 11.0], [100.0, 110.0, 120.0], "a tenth", True),
    Row("  part", "ms", [1.0]),
    Row("call", "us", [3.0], aim="within 3", reached=True, process=[2.0]),
]


def test_table_shows_medians_and_ratio() -> None:
    heading, rule, boot, part, call = table.plain(ROWS).splitlines()
    assert heading.split() == ["what", "sarab", "Linux", "guest", "ratio", "process", "ratio", "aim"]
    assert set(rule) == {"-"}
    assert boot.split() == ["boot", "11.0", "ms", "110", "ms", "0.10", "a", "tenth", "(reached)"]
    assert part.split() == ["part", "1.00", "ms"]
    assert call.split() == ["call", "3.00", "us", "2.00", "us", "1.50", "within", "3", "(reached)"]


def test_table_says_that_a_guest_given_up_takes_longer_than_it_was_waited_for() -> None:
    row = Row("boot", "ms", [18.0], [60000.0], linux_beyond=True)
    assert table.cells(row)[1:4] == ("18.0 ms", "over 60000 ms", "under 0.0003")


def test_an_emulated_guest_bounds_what_it_takes_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    guest = Guest("linux", Path("kernel"), "")
    rows = [
        Row("start", "ms", [59.0]),
        Row("entry", "ms", [18.0], aim="20 ms", reached=True),
        Row("to entry", "ms", [40.0]),
    ]
    monkeypatch.setattr(boot_time, "boot", lambda *_, **__: Boot())
    start, entry, to_entry = boot_time.with_bound(rows, guest, "kvm")
    assert (start.linux, entry.linux, to_entry.linux) == ([60000.0], [59960.0], ())

    def stands_still(*_: object, **__: object) -> Boot:
        raise Failed("QEMU could not run the linux guest: KVM internal error. Suberror: 1\nemulation failure")

    monkeypatch.setattr(boot_time, "boot", stands_still)
    assert boot_time.with_bound(rows, guest, "kvm")[1].linux == [59960.0]
    monkeypatch.setattr(boot_time, "boot", lambda *_, **__: Boot(finished=True))
    with pytest.raises(Failed, match="emulate"):
        boot_time.with_bound(rows, guest, "kvm")


def test_json_keeps_every_sample() -> None:
    document = json.loads(table.as_json({"host": "x"}, {"boot": ROWS}, {"size": "no QEMU"}))
    assert document["claims"]["boot"][0]["sarab"] == [10.0, 12.0, 11.0]
    assert document["skipped"] == {"size": "no QEMU"}


def test_document_keeps_what_is_outside_the_markers(tmp_path: Path) -> None:
    document = tmp_path / "performance.md"
    begin, end = BEGIN.format("kvm"), END.format("kvm")
    document.write_text(f"before\n{begin}\nold\n{end}\nafter\n")
    write_document(document, "kvm", {"host": "x"}, ROWS)
    text = document.read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n")
    assert "old" not in text and "| boot | 11.0 ms | 110 ms | 0.10 |  |  | a tenth (reached) |" in text


def test_spread_of_equal_samples_is_zero() -> None:
    assert spread([5.0] * 8) == 0
    assert spread([1.0]) == 0


def test_costs_are_the_best_times_less_the_empty_loop() -> None:
    console = [(0, "begin -read 10"), (100, "end"), (200, "begin read 10"), (700, "end"), (800, "begin read 10")]
    console += [(1200, "end"), (1300, "begin nbody"), (1500, "end"), (1600, "something else")]
    assert costs(console) == {"read": 30.0, "nbody": 200.0}


def test_figures_of_printed_lines_are_the_programs_own() -> None:
    said = "x" * 69 + "\nin-a-row 12.5\nalone 3\n"
    assert lines.figures_of(said) == {"in-a-row": 12.5, "alone": 3.0}
    with pytest.raises(Failed, match="said no figures"):
        lines.figures_of("alone 3\n")
