"""Claims: the speed of the processor and the cost of a system call inside, against the Linux guest and a process.

All run the same program (bench/programs) with the same interpreter, so what differs is the kernel beneath it. The
program only says when a loop begins and ends; the clock is the host's, for a guest's may be wrong or coarse. A process
of the host is no measure for an emulated machine, so it takes part under KVM only.
"""

import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bench.guest import Guest, boot
from bench.pair import make_pair
from bench.result import Failed, Row, Setting

_PROGRAMS = Path(__file__).parent / "programs"
PROCESSOR_RATIO_MAX = 1.1
SYSTEM_CALL_RATIO_MAX = 3.0


def measure_processor(setting: Setting) -> list[Row]:
    """Return a row for each small loop of programs/processor.py, in milliseconds."""
    return _measure("processor", "ms", 1e-6, setting, PROCESSOR_RATIO_MAX)


def measure_system_calls(setting: Setting) -> list[Row]:
    """Return a row for each call of programs/system_calls.py, in microseconds; the loop's own cost is taken off."""
    return _measure("system_calls", "us", 1e-3, setting, SYSTEM_CALL_RATIO_MAX)


def _measure(program: str, unit: str, scale: float, setting: Setting, ratio_max: float) -> list[Row]:
    """Boot `program` in each guest, in turn, and return a row for each name that it reports."""
    pair = make_pair(_PROGRAMS / f"{program}.py", setting)
    samples: dict[str, dict[str, list[float]]] = {}
    for _ in range(setting.runs):
        for guest in pair.guests:
            for name, nanoseconds in _run(guest, setting.accelerator).items():
                samples.setdefault(name, {}).setdefault(guest.name, []).append(nanoseconds * scale)
        if setting.accelerator == "kvm":
            for name, nanoseconds in costs(_process(_PROGRAMS / f"{program}.py")).items():
                samples.setdefault(name, {}).setdefault("process", []).append(nanoseconds * scale)
    return [_row(name.replace("_", " "), unit, sides, ratio_max) for name, sides in samples.items()]


def _row(what: str, unit: str, sides: Mapping[str, Sequence[float]], ratio_max: float) -> Row:
    """Return the row of one quantity, with issue 5's aim where there is a process to compare with."""
    row = Row(what, unit, sides.get("sarab", []), sides.get("linux", []), process=sides.get("process", []))
    if row.process_ratio is None:
        return row
    return replace(row, aim=f"within {ratio_max:g} of a process", reached=row.process_ratio <= ratio_max)


def _process(program: Path) -> list[tuple[int, str]]:
    """Run `program` on the host with this interpreter and return its lines, each with its time in nanoseconds."""
    lines = []
    with subprocess.Popen([sys.executable, "-I", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append((time.monotonic_ns(), line.rstrip("\n")))
    if process.returncode != 0:
        raise Failed(f"{program} ended with status {process.returncode} on this host")
    return lines


def _run(guest: Guest, accelerator: str) -> dict[str, float]:
    """Boot `guest` and return the nanoseconds of each thing that it does."""
    done = boot(guest, accelerator)
    if done.status != 0:
        ending = f"ended with status {done.status}" if done.finished else "did not end in time"
        raise Failed(f"the {guest.name} guest {ending}; it printed:\n{done.text[-2000:]}")
    return costs(done.console)


def costs(console: Iterable[tuple[int, str]]) -> dict[str, float]:
    """Return the shortest time of each loop, by name, divided by its count, less that of the loop named "-NAME"."""
    best: dict[str, float] = {}
    began, name, count = 0, "", 1
    for moment, line in console:
        word, *rest = line.split()[:3] or [""]
        if word == "begin" and rest:
            began, name, count = moment, rest[0], int(rest[1]) if len(rest) > 1 else 1
        elif word == "end" and name:
            best[name] = min(best.get(name, float("inf")), (moment - began) / count)
    return {name: time - best.get(f"-{name}", 0) for name, time in best.items() if not name.startswith("-")}
