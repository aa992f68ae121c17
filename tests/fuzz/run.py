"""`make fuzz`: each target under atheris for some time, with the inputs that were kept, and what came of it; and storms
of system calls against the kernel (tests/fuzz/calls.py), which need QEMU.

    python -m tests.fuzz.run --seconds 60 --only stack     # FUZZ="--seconds 60 --only stack"
    python -m tests.fuzz.run --store                       # what reaches more code goes into tests/fuzz/corpus/

Inputs grow in build/fuzz/NAME from one run to the next. A finding is an input in build/fuzz; the status is 1 then.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

from bench.arguments import count
from tests.fuzz import calls
from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).parents[2]
CORPUS = Path(__file__).with_name("corpus")
BUILD = ROOT / "build" / "fuzz"
STORED_BYTES_MAX = 24_000
"""Of one target's inputs in the repository: the smallest go first."""
MEMORY_MB = 2000
INPUT_SECONDS_MAX = 20
"""An input that takes longer is a finding."""
FINDING_LINES = 40
SYSTEM_CALLS = "calls"
"""The name of the target that is not atheris's."""


def stored(name: str) -> list[bytes]:
    """Return the inputs of a target that are kept in the repository: hexadecimal, one a line."""
    path = CORPUS / f"{name}.hex"
    return [bytes.fromhex(line) for line in path.read_text().split()] if path.exists() else []


def unpack(name: str, folder: Path) -> None:
    """Write the inputs that a target begins with into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(TARGETS[name].seeds() + stored(name)):
        (folder / f"given-{number:04}").write_bytes(data)


def guided(name: str, *words: str, folder: Path = BUILD, seconds: float = 600) -> subprocess.CompletedProcess[str]:
    """Run one target under atheris in a process of its own; its findings go into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    limits = [f"-rss_limit_mb={MEMORY_MB}", f"-timeout={INPUT_SECONDS_MAX}", f"-artifact_prefix={folder}/{name}-"]
    command = [sys.executable, "-m", "tests.fuzz.guided", name, *limits, *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0"}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, encoding="utf-8", errors="replace", timeout=seconds
    )


def fuzz(name: str, seconds: int) -> bool:
    """Fuzz one target and print a line; return whether nothing was found."""
    folder = BUILD / name
    unpack(name, folder)
    done = guided(name, str(folder), f"-max_total_time={seconds}", "-len_control=10", seconds=seconds + 120)
    runs = re.search(r"Done (\d+) runs", done.stderr)
    reached = re.findall(r"cov: (\d+) ft: (\d+)", done.stderr)
    if done.returncode == 0 and runs and reached:
        print(f"{name}: {runs[1]} inputs, {reached[-1][0]} places reached, nothing found", flush=True)
        return True
    lines = [line for line in done.stderr.splitlines() if not line.startswith(("INFO", "#", "WARNING"))]
    print(f"{name}: FOUND\n" + "\n".join(lines[-FINDING_LINES:]), flush=True)
    return False


def store(name: str) -> None:
    """Keep of the inputs in build/fuzz the smallest that reach everything that all of them reach."""
    folder, merged = BUILD / name, BUILD / f"{name}.merged"
    unpack(name, folder)
    for path in merged.glob("*"):
        path.unlink()
    merged.mkdir(exist_ok=True)
    done = guided(name, "-merge=1", str(merged), str(folder))
    if done.returncode:
        sys.exit(done.stderr[-2000:])
    kept: list[bytes] = []
    given = set(TARGETS[name].seeds())
    for data in sorted((path.read_bytes() for path in merged.glob("*")), key=lambda data: (len(data), data)):
        if data not in given and sum(map(len, kept)) + len(data) <= STORED_BYTES_MAX:
            kept.append(data)
    CORPUS.mkdir(exist_ok=True)
    (CORPUS / f"{name}.hex").write_text("".join(f"{data.hex()}\n" for data in kept if data))
    print(f"{name}: {len(kept)} inputs kept, {sum(map(len, kept))} bytes")


def main(words: list[str]) -> int:
    """Do what the command line says; return the status."""
    parser = argparse.ArgumentParser(prog="make fuzz")
    parser.add_argument("--seconds", type=count, default=60, help="for each target")
    all_names = [*TARGETS, SYSTEM_CALLS]
    parser.add_argument("--only", choices=all_names, metavar="NAME", help=", ".join(all_names))
    parser.add_argument("--store", action="store_true", help="keep what was found to reach more code")
    options = parser.parse_args(words)
    names = [options.only] if options.only else all_names
    if options.store:
        for name in names:
            if name != SYSTEM_CALLS:
                store(name)
        return 0
    sound = [
        calls.main(["--seconds", str(options.seconds)]) == 0 if name == SYSTEM_CALLS else fuzz(name, options.seconds)
        for name in names
    ]
    return 0 if all(sound) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
