"""Boot after boot, with little memory and with much, and with images that were damaged: each ends as it should."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sarab.build import image as images
from sarab.machine.errors import NotBootable
from sarab.machine.outcome import Ending, Outcome
from tests.boot.programs import boot, build_program, text

pytestmark = pytest.mark.boot

BOOTS = 200
SMALLEST_MIB = 20
"""A little more than `make bench` finds to be the least for hello (docs/performance.md)."""
LARGEST_MIB = 4096
AT_ONCE = 2
HELLO = "import sys\nprint('Hello,', *sys.argv[1:])\nsys.exit(len(sys.argv))"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_hundred_boots_with_memory_from_the_least_to_4_gib(tmp_path: Path) -> None:
    image = build_program(tmp_path, HELLO)
    draw = random.Random(200)
    sizes = [SMALLEST_MIB, LARGEST_MIB]
    sizes += [round(SMALLEST_MIB * (LARGEST_MIB / SMALLEST_MIB) ** draw.random()) for _ in range(BOOTS - 2)]

    def once(numbered: tuple[int, int]) -> tuple[int, Outcome]:
        number, memory = numbered
        return memory, boot(image, memory_mib=memory, arguments=(str(number),), timeout_s=60)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for number, (memory, outcome) in enumerate(pool.map(once, enumerate(sizes))):
            assert outcome.ending is Ending.EXITED, f"boot {number}, {memory} MiB: {outcome.sentence}\n{text(outcome)}"
            assert (outcome.status, text(outcome)) == (2, f"Hello, {number}\n"), f"boot {number}, {memory} MiB"


@pytest.mark.parametrize("memory", range(4, SMALLEST_MIB, 2))
def test_too_little_memory_is_said(tmp_path: Path, memory: int) -> None:
    """The kernel or Python says that memory is short; or it is just enough. Never a hang, never silence."""
    try:
        outcome = boot(build_program(tmp_path, HELLO), memory_mib=memory, timeout_s=60)
    except NotBootable as error:
        assert f"does not fit into {memory} MiB of memory" in str(error)
        return
    said = text(outcome) + outcome.complaint
    if outcome.status == 1 and "Hello" in said:
        return
    assert outcome.ending is not Ending.TIMED_OUT, said
    assert "emory" in said or "Error" in said, f"{outcome.sentence}\n{said}"


def _at_page(data: bytes, magic: bytes) -> int:
    """Where the segment with `magic` begins; the kernel has the word among its constants, too."""
    at = data.index(magic)
    while at % 4096:
        at = data.index(magic, at + 1)
    return at


def _damages(data: bytes) -> dict[str, bytes]:
    image = images.read(data)
    start = _at_page(data, b"SARABFS1")
    nodes = start + 64
    draw = random.Random(1)

    def changed(offset: int, new: bytes) -> bytes:
        return data[:offset] + new + data[offset + len(new) :]

    flips = bytearray(data)
    for _ in range(50):
        flips[nodes + draw.randrange(2000)] ^= 1 << draw.randrange(8)
    assert image.file_system_size > 64
    return {
        "no file system": changed(start, b"NOTHING!"),
        "a size beyond the file": changed(start + 8, (1 << 40).to_bytes(8, "little")),
        "a size of nothing": changed(start + 8, bytes(8)),
        "a count of nodes beyond reason": changed(start + 16, b"\xff\xff\xff\xff"),
        "a table that begins elsewhere": changed(start + 24, (1 << 63).to_bytes(8, "little")),
        "names beyond the table": changed(start + 40, (1 << 62).to_bytes(8, "little")),
        "one bit of a node": changed(nodes + 60, bytes([data[nodes + 60] ^ 1])),
        "fifty bits of nodes": bytes(flips),
    }


def test_a_damaged_image_is_refused_in_one_sentence(tmp_path: Path) -> None:
    sound = build_program(tmp_path, HELLO).read_bytes()
    for name, data in _damages(sound).items():
        path = tmp_path / "damaged.elf"
        path.write_bytes(data)
        outcome = boot(path, timeout_s=60)
        assert outcome.ending is Ending.EXITED, f"{name}: {outcome.sentence}"
        assert outcome.status == 255, f"{name}: {text(outcome)}"
        first = text(outcome).splitlines()[0]
        assert first.startswith("sarab: ") and ("cannot be booted" in first or "memory is too small" in first), first


@pytest.mark.parametrize("offset", [24, 100, 5000, 1_000_000])
def test_a_damaged_compressed_image_is_refused_or_runs(tmp_path: Path, offset: int) -> None:
    sound = build_program(tmp_path, HELLO, compress=True).read_bytes()
    at = _at_page(sound, b"SARABLZ4") + offset
    path = tmp_path / "damaged.elf"
    path.write_bytes(sound[:at] + bytes(byte ^ 0x55 for byte in sound[at : at + 64]) + sound[at + 64 :])
    outcome = boot(path, timeout_s=60)
    # A file's content may be wrong unnoticed (there is no checksum of all data); what cannot be is a hang or silence.
    assert outcome.ending in (Ending.EXITED, Ending.DIED), outcome.sentence
    assert text(outcome)
