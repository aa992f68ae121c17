"""Rooms of the kernel compiled for the host, with undefined behaviour as a trap, for tests that need no machine."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parent.parent
HOST_LAYOUT = ROOT / "tests/fuzz/host_layout.h"


def compile_for_host(sources: Iterable[Path], output: Path, *options: str) -> Path:
    """Build `sources` (paths from the root of the repository) into the static program `output`, and return it."""
    command = [
        sys.executable,
        "-m",
        "ziglang",
        "cc",
        "-target",
        "x86_64-linux-musl",
        "-static",
        "-std=gnu11",
        "-O1",
        "-g",
    ]
    command += ["-U_FORTIFY_SOURCE", "-fsanitize=undefined", "-fsanitize-trap=undefined"]
    command += ["-include", str(HOST_LAYOUT), "-I", str(ROOT / "kernel"), *options]
    command += [str(ROOT / source) for source in sources] + ["-o", str(output)]
    subprocess.run(command, check=True, cwd=ROOT, capture_output=True)
    return output
