"""The kernel's parsers of an image refuse what is damaged: no byte read outside it, no undefined behaviour, no hang."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest

from sarab.build import pieces, sarabfs
from sarab.build.tree import File, Link, Tree
from tests.host_c import compile_for_host

ROUNDS = 2000


@pytest.fixture(scope="module")
def fuzzer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    kernel = Path("kernel/image")
    sources = [Path("tests/fuzz/image_parsers.c"), *(kernel / f"{n}.c" for n in ("image", "elf", "lz4", "pieces"))]
    return compile_for_host(sources, tmp_path_factory.mktemp("fuzz") / "image_parsers")


@pytest.fixture(scope="module")
def file_system(fuzzer: Path) -> bytes:
    tree = Tree()
    tree.add("/bin/program", File(fuzzer.read_bytes()[:300_000], executable=True))
    tree.add("/boot/start", File(b"exec /bin/program\n"))
    tree.add("/a/b/paged", File(bytes(70_000)))
    tree.add("/a/b/noise", File(random.Random(1).randbytes(90_000)))
    tree.add("/a/b/empty", File(b""))
    tree.add("/a/link", Link("/bin/program"))
    return sarabfs.write(tree)


def in_memory(stretches: list[pieces.Stretch]) -> bytes:
    """Return what a loader makes of them, with junk where it puts nothing; of a size that is a multiple of 8."""
    memory = bytearray(b"\xdb" * (stretches[-1].offset + -(-len(stretches[-1].data) // 8) * 8))
    for stretch in stretches:
        memory[stretch.offset : stretch.offset + len(stretch.data)] = stretch.data
    return bytes(memory)


@pytest.fixture(scope="module", params=["plain", "in pieces"])
def sound_image(file_system: bytes, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("image") / "image"
    in_pieces = in_memory(pieces.divide(file_system, pieces.SMALLEST))
    path.write_bytes(file_system if request.param == "plain" else in_pieces)
    return path


def run(fuzzer: Path, image: Path, seed: int, rounds: int) -> list[int]:
    words = [str(word) for word in (fuzzer, image, seed, rounds)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"seed {seed}: {done.stderr}"
    return [int(word) for word in done.stdout.split()]


def test_the_kernel_decompresses_every_byte_of_every_file(fuzzer: Path, file_system: bytes, sound_image: Path) -> None:
    expected, files = 0, sarabfs.read(file_system)
    for node in files:
        for byte in b"" if node.is_directory else files.data(node):
            expected = (expected * 31 + byte) & ((1 << 64) - 1)
    assert run(fuzzer, sound_image, 1, 0)[4] == expected


@pytest.mark.parametrize("seed", range(1, 4))
def test_damaged_images_are_refused_or_harmless(fuzzer: Path, sound_image: Path, seed: int) -> None:
    rounds, accepted, damaged, decompressed, _ = run(fuzzer, sound_image, seed, ROUNDS)
    assert rounds == ROUNDS
    assert 1 < accepted < ROUNDS, "the damage must reach both the refusals and the walk"
    assert (damaged > 0) is (sound_image.read_bytes()[sarabfs.FLAGS_AT] == 1), "and the decompression of pieces"
    assert decompressed < ROUNDS
