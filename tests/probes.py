"""Probes: small guests in C, named for a property (kernel/probes/). Their first line says how they must end.

`DIES n: phrase` in it: with status n and the phrase in the report. `SUCCESS`: with status 0 and that word on a line.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from sarab.build import image, pieces, sarabfs
from sarab.build.tree import File, Tree
from sarab.machine.outcome import Outcome
from tests.boot import programs

ROOT = Path(__file__).parent.parent
SOURCES = ROOT / "kernel/probes"
KERNEL = ROOT / "src/sarab/build/kernel.elf"
BUILT = ROOT / "build/probes"
_EXPECTATION = re.compile(r"(?:DIES (?P<status>\d+): (?P<phrase>.*?)|SUCCESS) \*/")


class Expectation(NamedTuple):
    status: int
    phrase: str


def names(prefix: str = "") -> list[str]:
    return sorted(path.stem for path in SOURCES.glob(f"{prefix}*.c"))


def expectation(name: str) -> Expectation:
    line = (SOURCES / f"{name}.c").read_text().partition("\n")[0]
    match = _EXPECTATION.search(line)
    assert match is not None, f"{name}.c does not say in its first line how it ends"
    return Expectation(int(match["status"]), match["phrase"]) if match["status"] else Expectation(0, "SUCCESS")


def compile_probe(name: str) -> bytes:
    """The static program of a probe, compiled once for what its source and the shared headers hold."""
    source = SOURCES / f"{name}.c"
    headers = (*sorted(SOURCES.glob("*.h")), ROOT / "kernel/personality/syscalls.h")
    content = b"".join(path.read_bytes() for path in (source, *headers))
    program = BUILT / f"{name}-{hashlib.sha256(content).hexdigest()[:16]}"
    if not program.exists():
        BUILT.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "ziglang", "cc", "-target", "x86_64-linux-musl", "-static", "-O1", "-Wall"]
        made = program.with_name(f"{program.name}.{os.getpid()}")  # other processes may make the same one
        command += ["-Wextra", "-D_GNU_SOURCE", "-fno-sanitize=all", str(source), "-o", str(made)]
        subprocess.run(command, check=True, cwd=ROOT, capture_output=True)  # elsewhere zig makes another libc
        made.replace(program)
    return program.read_bytes()


def image_of(
    program: bytes,
    path: Path,
    *start_lines: str,
    kernel: Path | None = None,
    data: bytes = b"",
    compressed: bool = False,
) -> Path:
    """Write an image at `path` that starts `program` and holds nothing else but `data`, as /data, if there is any.

    `kernel` is another than the built one.
    """
    tree = Tree()
    tree.add("/bin/probe", File(program, executable=True))
    if data:
        tree.add("/data", File(data))
    start = ["exec /bin/probe", "arg probe", *start_lines]
    tree.add("/boot/start", File("".join(f"{line}\n" for line in start).encode()))
    worth = pieces.SMALLEST if compressed else ()
    path.write_bytes(image.assemble((kernel or KERNEL).read_bytes(), sarabfs.write(tree), {"format": 1}, worth=worth))
    return path


def boot(path: Path, memory_mib: int = 64, **options: object) -> Outcome:
    return programs.boot(path, memory_mib, timeout_s=60.0, **options)  # type: ignore[arg-type]


def check(name: str, outcome: Outcome) -> None:
    """Fail unless the probe ended as its first line says."""
    expected = expectation(name)
    text = outcome.console.decode(errors="replace")
    assert outcome.status == expected.status, f"{name}: status {outcome.status} ({outcome.sentence})\n{text}"
    if expected.status == 0:
        assert "SUCCESS" in text.splitlines(), text
        return
    assert expected.phrase in text, text
    assert "SUCCESS" not in text, text
