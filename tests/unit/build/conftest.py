"""A kernel that is none, a cache of one's own, and a way to run the files of an image without a machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from sarab.build import elf, image, sarabfs
from sarab.build.builder import BuildOptions, BuildResult, build

Build = Callable[..., BuildResult]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


def make_kernel() -> bytes:
    """Three segments at the places where the real kernel has them, the last with memory beyond its file."""
    code = b"\xf4" * 100
    head = elf.HEADER_SIZE + 4 * elf.SEGMENT_SIZE
    body = bytearray(head + (-head) % 4096)
    base = 0xFFFFFFFF80000000
    segments = []
    for number, (flags, extra) in enumerate(((5, 0), (4, 0), (6, 0x5000))):
        offset, physical = len(body), 0x200000 + number * 0x1000
        segments.append(elf.Segment(1, flags, offset, base + physical, physical, 100, 100 + extra, 4096))
        body += code + bytes(4096 - len(code))
    constants = segments[1]
    segments.append(elf.Segment(4, 4, constants.offset + 8, constants.vaddr + 8, constants.paddr + 8, 40, 40, 4))
    body[:head] = elf.pack_header(0x200000, len(segments)) + b"".join(segment.pack() for segment in segments)
    return bytes(body)


@pytest.fixture
def kernel(tmp_path: Path) -> Path:
    path = tmp_path / "kernel.elf"
    path.write_bytes(make_kernel())
    return path


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def build_image(kernel: Path, shared_cache: Path, tmp_path: Path) -> Build:
    """build(spec, **options of BuildOptions), into the test's folder."""

    def make(spec: object, output: Path | None = None, **options: object) -> BuildResult:
        chosen = {"kernel": kernel, "cache": shared_cache, "output": output or tmp_path / "out.elf", **options}
        return build(str(spec), BuildOptions(**chosen))  # type: ignore[arg-type]

    return make


@pytest.fixture
def run_files(tmp_path: Path) -> Run:
    """Run an image's own interpreter on its own files, in a root directory with nothing else: Linux is only the kernel.

    This is how "the image holds all that the program needs" is tested without booting it.
    """

    def run(path: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        root = tmp_path / "root"
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir()
        sarabfs.extract(image.read(path.read_bytes()).files, root)
        (root / "tmp").mkdir()
        values: dict[str, list[str]] = {}
        for line in (root / "boot/start").read_text().splitlines():
            key, _, value = line.partition(" ")
            values.setdefault(key, []).append(value)
        words = ["chroot", str(root), values["exec"][0], *values["arg"][1:], *arguments]
        if os.geteuid() != 0:
            words = ["unshare", "--user", "--map-root-user", *words]
        variables = dict(item.split("=", 1) for item in values["env"])
        paths = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        return subprocess.run(
            words,
            env={**paths, **variables, **environment},
            capture_output=True,
            text=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    return run
