"""Storms of random system calls against the kernel (kernel/probes/fuzz_calls.c), a machine for each seed.

    python -m tests.fuzz.calls --seconds 600 --seed 1     # or FUZZ="--seconds 600 --only calls" make fuzz
    python -m tests.fuzz.calls --sanitize                 # against a kernel in which undefined behaviour is a panic
    python -m tests.fuzz.calls --replay 42 --calls 5000   # one seed again; then which calls it needs, each shown

A seed says everything: how many threads, which calls with which arguments, and whether the program may be killed by
what it does (`wild`, `tight`). Seeds of one thread do the same at each replay but for the time, addresses and random
numbers.

A finding is a panic, a machine that hangs or dies, a call that does not come back, frames or inodes that do not come
back, a kernel address or a released object in the application's memory, or a mapping that is writable and executable.
"""

from __future__ import annotations

import argparse
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from bench.arguments import count
from sarab.machine.outcome import Ending, Outcome
from tests import probes
from tests.boot import programs

CALLS = 5000
"""Of each thread in one storm: half a second."""
MEMORY_MIB = 64
STORM_SECONDS_MAX = 60.0
"""A storm takes one or two, emulated ten; a machine that has not ended by then hangs."""
PANIC_STATUS = 255
"""kernel/cpu/console.c, panic()."""
SHOWN_BYTES = 4000
_TOTAL = re.compile(r"^(\d+) calls in ", re.MULTILINE)


class Storm(NamedTuple):
    """How one storm ended."""

    seed: int
    finding: str
    """What was found, or nothing."""
    calls: int
    killed: bool
    """The program was ended by a signal, as a wild one may be."""
    console: str


def is_wild(seed: int) -> bool:
    """Return whether the storm may do what can kill the program itself."""
    return seed % 5 == 0


def is_tight(seed: int) -> bool:
    """Return whether the storm runs with so little memory that many a call fails in its middle."""
    return seed % 7 == 3


def judge(seed: int, outcome: Outcome) -> Storm:
    """Say what an ending means."""
    text = outcome.console.decode(errors="replace")
    total = _TOTAL.search(text)
    calls = int(total[1]) if total else 0
    killed = outcome.ending is Ending.EXITED and 128 < outcome.status < 128 + 65 and "sarab: ended by signal" in text
    finding = ""
    if outcome.ending is not Ending.EXITED:
        finding = outcome.sentence
    elif outcome.status == PANIC_STATUS:
        said = re.findall(r"^sarab: (?!  ).*", text, re.MULTILINE)  # the lines below it, indented, are the way there
        finding = f"the kernel panicked: {said[-1] if said else 'without a word'}"
    elif found := re.search(r"^FINDING: .*", text, re.MULTILINE):
        finding = found[0]
    elif killed and not is_wild(seed) and not is_tight(seed):
        finding = f"the program was killed though it is not a wild one: status {outcome.status}"
    elif not killed and (outcome.status != 0 or "SUCCESS" not in text.splitlines()):
        finding = f"status {outcome.status}"
    return Storm(seed, finding, calls, killed, text)


def run(image: Path, seed: int, calls: int = CALLS, *words: str, accel: str | None = None) -> Storm:
    """Boot the storm of one seed; `words` are more of its arguments."""
    kinds = ["wild"] * is_wild(seed) + ["tight"] * is_tight(seed)
    arguments = (str(seed), str(calls), *kinds, *words)
    options: dict[str, object] = {"arguments": arguments} | ({"accel": accel} if accel else {})
    return judge(seed, programs.boot(image, MEMORY_MIB, timeout_s=STORM_SECONDS_MAX, **options))  # type: ignore[arg-type]


def sanitized_kernel(folder: Path) -> Path:
    """Build a kernel in which undefined behaviour is a panic."""
    kernel = folder / "kernel.elf"
    command = ["make", "--silent", "-C", "kernel", "SANITIZE=1", f"OUT={folder}/objects", f"TARGET={kernel}"]
    subprocess.run([*command, f"PYTHON={sys.executable}"], cwd=probes.ROOT, check=True, stdout=subprocess.DEVNULL)
    return kernel


def image_in(folder: Path, kernel: Path | None = None) -> Path:
    """Write the image of the storms: compressed, with a file that the kernel decompresses when it is needed."""
    data = b"".join(number.to_bytes(4, "big") * 16 for number in range(1 << 14)) + random.Random(0).randbytes(100_001)
    program, path = probes.compile_probe("fuzz_calls"), folder / "fuzz_calls.elf"
    return probes.image_of(program, path, kernel=kernel, data=data, compressed=True)


def needed(image: Path, seed: int, calls: int) -> list[tuple[int, int]]:
    """Return the ranges of calls that a finding can do without, by halves: the rest is what it needs."""
    skipped: list[tuple[int, int]] = []
    step = calls // 2
    while step >= max(1, calls // 256) and len(skipped) < 60:
        for first in range(1, calls + 1, step):
            piece = (first, min(first + step - 1, calls))
            if any(start <= piece[0] and piece[1] <= end for start, end in skipped):
                continue
            words = [f"skip={start}-{end}" for start, end in [*skipped, piece]]
            if run(image, seed, calls, *words).finding:
                skipped.append(piece)
        step //= 2
    return skipped


def replay(image: Path, seed: int, calls: int) -> int:
    """Show one seed's calls, and those that its finding needs."""
    storm = run(image, seed, calls)
    print(storm.console[-SHOWN_BYTES:] + f"\n{storm.finding or 'nothing found'}")
    if not storm.finding:
        return 0
    words = [f"skip={start}-{end}" for start, end in needed(image, seed, calls)]
    print(f"it needs no more than: {' '.join(words)}")
    print(run(image, seed, calls, *words, "show").console[-SHOWN_BYTES:])
    return 1


def fuzz(image: Path, seed: int, seconds: float, calls: int) -> int:
    """Run storm after storm; return how many found something."""
    end = time.monotonic() + seconds
    made = storms = killed = found = 0
    while time.monotonic() < end:
        storm = run(image, seed, calls)
        storms += 1
        made += storm.calls
        killed += storm.killed
        if storm.finding:
            found += 1
            print(f"seed {seed}: {storm.finding}\n{storm.console[-SHOWN_BYTES:]}", flush=True)
            print(f"again: python -m tests.fuzz.calls --replay {seed} --calls {calls}", flush=True)
        seed += 1
    print(f"calls: {storms} storms, {made} calls, {killed} programs killed, {found} found; next seed {seed}")
    return found


def main(words: list[str]) -> int:
    """Do what the command line says; return the status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.calls")
    parser.add_argument("--seconds", type=count, default=60)
    parser.add_argument("--seed", type=count, default=1, help="the first one")
    parser.add_argument("--calls", type=count, default=CALLS, help="of each thread in one storm")
    parser.add_argument("--sanitize", action="store_true", help="undefined behaviour in the kernel is a panic")
    parser.add_argument("--replay", type=count, metavar="SEED", help="show this one, and what it needs")
    options = parser.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="sarab-calls-") as folder:
        image = image_in(Path(folder), sanitized_kernel(Path(folder)) if options.sanitize else None)
        if options.replay is not None:
            return replay(image, options.replay, options.calls)
        return 1 if fuzz(image, options.seed, options.seconds, options.calls) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
