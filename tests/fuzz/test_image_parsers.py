"""The kernel's parsers of an image refuse what is damaged: no byte read outside it, no undefined behaviour, no hang."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from sarab.build import sarabfs
from sarab.build.tree import File, Link, Tree
from tests.host_c import compile_for_host

ROUNDS = 4000


@pytest.fixture(scope="module")
def fuzzer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    kernel = Path("kernel/image")
    sources = [Path("tests/fuzz/image_parsers.c"), kernel / "image.c", kernel / "elf.c", kernel / "lz4.c"]
    return compile_for_host(sources, tmp_path_factory.mktemp("fuzz") / "image_parsers")


@pytest.fixture(scope="module")
def sound_image(fuzzer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = Tree()
    tree.add("/bin/program", File(fuzzer.read_bytes()[:300_000], executable=True))
    tree.add("/boot/start", File(b"exec /bin/program\n"))
    tree.add("/a/b/paged", File(bytes(70_000)))
    tree.add("/a/b/empty", File(b""))
    tree.add("/a/link", Link("/bin/program"))
    path = tmp_path_factory.mktemp("image") / "image"
    path.write_bytes(sarabfs.write(tree))
    return path


@pytest.mark.parametrize("seed", range(1, 7))
def test_damaged_images_are_refused_or_harmless(fuzzer: Path, sound_image: Path, seed: int) -> None:
    done = subprocess.run([fuzzer, sound_image, str(seed), str(ROUNDS)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"seed {seed}: {done.stderr}"
    rounds, accepted, decompressed = map(int, done.stdout.split())
    assert rounds == ROUNDS
    assert 1 < accepted < ROUNDS, "the damage must reach both the refusals and the walk"
    assert decompressed < ROUNDS
