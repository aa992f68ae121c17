"""The three forms of an image, by how much of it is compressed: each starts, and holds the same bytes."""

from __future__ import annotations

import hashlib
import random
import re
from pathlib import Path

import pytest

from sarab.build import elf, pieces
from sarab.build import image as images
from tests.boot.programs import boot, build_program, text

pytestmark = pytest.mark.boot

READER = """
import hashlib, os, sys
for folder, folders, files in os.walk("/"):
    folders[:] = [name for name in folders if os.path.join(folder, name) not in ("/proc", "/dev", "/tmp", "/sys")]
    for name in files:
        path = os.path.join(folder, name)
        if not os.path.islink(path):
            with open(path, "rb") as file:
                print(path, hashlib.sha256(file.read()).hexdigest())
"""
MAPPER = """
import hashlib, mmap, random
with open("/app/data.bin", "rb") as file:
    size = file.seek(0, 2)
    for access in (mmap.ACCESS_READ, mmap.ACCESS_COPY):
        with mmap.mmap(file.fileno(), 0, access=access) as view:
            pages = list(range(0, size, 4096))
            random.Random(1).shuffle(pages)
            print(hashlib.sha256(b"".join(view[at : at + 4096] for at in pages)).hexdigest())
            if access == mmap.ACCESS_COPY:
                view[70_000] ^= 1
                with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as other:
                    print(view[70_000] ^ other[70_000])
    import os
    print(hashlib.sha256(b"".join(os.pread(file.fileno(), 100_000, at) for at in range(1, size, 100_000))).hexdigest())
"""
TOUCHER = """
import os
held = []
try:
    while True:
        held.append(bytearray(64 << 10))
except MemoryError:
    pass
buffer = held[0]
for folder, _, files in os.walk("/usr/lib"):
    for name in files:
        descriptor = os.open(os.path.join(folder, name), os.O_RDONLY)
        while os.readv(descriptor, [buffer]):
            pass
        os.close(descriptor)
print("read all with no memory left")
"""


@pytest.mark.parametrize("accel", ["auto", "tcg"])
@pytest.mark.parametrize("compress", [None, True, False], ids=["some", "all", "nothing"])
def test_every_file_reads_as_it_was_packed(tmp_path: Path, compress: bool | None, accel: str) -> None:
    path = build_program(tmp_path, READER, compress=compress)
    content = images.read(path.read_bytes())
    expected = {n.path: hashlib.sha256(content.files.data(n)).hexdigest() for n in content.files if n.is_file}
    outcome = boot(path, accel=accel)
    assert dict(line.split() for line in text(outcome).splitlines()) == expected


@pytest.mark.parametrize("accel", ["auto", "tcg"])
def test_mappings_of_a_compressed_file_show_its_bytes_in_any_order(tmp_path: Path, accel: str) -> None:
    draw = random.Random(7)
    data = b"".join(draw.randbytes(40) * draw.randrange(1, 200) for _ in range(400))[:1_000_001]
    (tmp_path / "data.bin").write_bytes(data)
    (tmp_path / "pyproject.toml").write_text('[tool.sarab]\ndata = ["data.bin"]\n')
    path = build_program(tmp_path, MAPPER, compress=True)
    assert images.read(path.read_bytes()).files.read("/app/data.bin") == data
    pages = list(range(0, len(data), 4096))
    random.Random(1).shuffle(pages)
    shuffled = hashlib.sha256(b"".join(data[at : at + 4096] for at in pages)).hexdigest()
    outcome = boot(path, accel=accel)
    assert text(outcome).splitlines() == [shuffled, shuffled, "1", hashlib.sha256(data[1:]).hexdigest()]


@pytest.mark.parametrize("accel", ["auto", "tcg"])
def test_a_damaged_piece_ends_in_one_sentence(tmp_path: Path, accel: str) -> None:
    path = build_program(tmp_path, "print('never')", compress=True)
    data = bytearray(path.read_bytes())
    table = next(s for s in elf.read(bytes(data), "the image").loads if data[s.offset : s.offset + 8] == pieces.MAGIC)
    count = int.from_bytes(data[table.offset + 20 : table.offset + 24], "little")
    blocks = table.offset + 32 + 4 * (count + 1)
    end = table.offset + table.filesz
    data[blocks:end] = b"\xff" * (end - blocks)
    path.write_bytes(data)
    outcome = boot(path, accel=accel)
    assert outcome.status == 255
    assert re.match(r"sarab: (kernel panic: )?this image is damaged: piece \d+ of its compressed files", text(outcome))
    assert "never" not in text(outcome)


def test_what_is_compressed_is_there_when_all_memory_is_taken(tmp_path: Path) -> None:
    """Room for it is set aside at boot: what a program was given does not keep its own code from it."""
    outcome = boot(build_program(tmp_path, TOUCHER, compress=True), memory_mib=32)
    assert (outcome.status, text(outcome)) == (0, "read all with no memory left\n")
