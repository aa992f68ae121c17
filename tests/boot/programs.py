"""Python programs built into images and booted: what the boot tests share."""

from __future__ import annotations

import os
import textwrap
from pathlib import Path
from typing import cast

from sarab.build.builder import BuildOptions, build
from sarab.folders import cache_folder
from sarab.machine.accelerator import choose
from sarab.machine.options import Accelerator, MachineOptions
from sarab.machine.outcome import Ending, Outcome
from sarab.machine.qemu import Qemu
from sarab.machine.running import Running

ACCELERATOR: Accelerator = cast(Accelerator, os.environ.get("SARAB_TEST_ACCEL", "auto"))
"""What the boot tests run under. Some ask for `tcg` themselves, so that neither way rots."""


def accelerator() -> str:
    """Return what a boot of a microvm uses here: `kvm` or `tcg`."""
    return choose(ACCELERATOR, cache_folder()).name


def build_program(folder: Path, source: str, name: str = "program", **options: object) -> Path:
    """Build `source`, an application of one file, and return the image."""
    file = folder / f"{name}.py"
    file.write_text(textwrap.dedent(source).lstrip())
    arguments = {"output": folder / f"{name}.elf", **options}
    return build(str(file), BuildOptions(**arguments)).image  # type: ignore[arg-type]


def start(image: Path, memory_mib: int = 64, timeout_s: float = 120, **options: object) -> Running:
    arguments = {"memory_mib": memory_mib, "timeout_s": timeout_s, "accel": ACCELERATOR, **options}
    return Qemu(image, MachineOptions(**arguments)).start(keep=True)  # type: ignore[arg-type]


def boot(image: Path, memory_mib: int = 64, timeout_s: float = 120, stdin: bytes = b"", **options: object) -> Outcome:
    arguments = {"memory_mib": memory_mib, "timeout_s": timeout_s, "accel": ACCELERATOR, **options}
    return Qemu(image, MachineOptions(**arguments)).run(stdin)  # type: ignore[arg-type]


def run(folder: Path, source: str, **options: object) -> Outcome:
    """Build and boot; the machine must come to its own end."""
    outcome = boot(build_program(folder, source), **options)  # type: ignore[arg-type]
    assert outcome.ending is Ending.EXITED, f"{outcome.sentence}\n{outcome.console.decode(errors='replace')}"
    return outcome


def text(outcome: Outcome) -> str:
    return outcome.console.decode(errors="replace")


def processor_seconds(pid: int) -> float:
    """Return what a process has used of the processor."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
