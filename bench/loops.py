"""Claims: the speed of the processor and the cost of a system call inside, against the Linux guest.

Both run the same program (bench/programs) with the same files, so what differs is the kernel beneath it. The program
only says when a loop begins and ends; the clock is the host's, for a guest's may be wrong or coarse.
"""

from collections.abc import Iterable
from pathlib import Path

from bench.guest import Guest, boot
from bench.pair import make_pair
from bench.result import Failed, Row, Setting

_PROGRAMS = Path(__file__).parent / "programs"


def measure_processor(setting: Setting) -> list[Row]:
    """Return a row for each small loop of programs/processor.py, in milliseconds."""
    return _measure("processor", "ms", 1e-6, setting)


def measure_system_calls(setting: Setting) -> list[Row]:
    """Return a row for each call of programs/system_calls.py, in microseconds; the loop's own cost is taken off."""
    return _measure("system_calls", "us", 1e-3, setting)


def _measure(program: str, unit: str, scale: float, setting: Setting) -> list[Row]:
    """Boot `program` in each guest, in turn, and return a row for each name that it reports."""
    pair = make_pair(_PROGRAMS / f"{program}.py", setting)
    samples: dict[str, dict[str, list[float]]] = {}
    for _ in range(setting.runs):
        for guest in pair.guests:
            for name, nanoseconds in _run(guest, setting.accelerator).items():
                samples.setdefault(name, {}).setdefault(guest.name, []).append(nanoseconds * scale)
    return [
        Row(name.replace("_", " "), unit, sides.get("sarab", []), sides.get("linux", []))
        for name, sides in samples.items()
    ]


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
