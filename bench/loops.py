"""Claims: the speed of the processor and the cost of a system call inside, against the Linux guest.

Both run the same program (bench/programs) with the same files, so what differs is the kernel beneath it.
"""

import json
from pathlib import Path

from bench.guest import Guest, boot
from bench.pair import make_pair
from bench.result import Failed, Row, Setting

_RESULT = "result "
_PROGRAMS = Path(__file__).parent / "programs"


def measure_processor(setting: Setting) -> list[Row]:
    """Return a row for each small loop of programs/processor.py, in milliseconds."""
    return _measure("processor", "ms", 1e3, setting)


def measure_system_calls(setting: Setting) -> list[Row]:
    """Return a row for each call of programs/system_calls.py, in microseconds."""
    return _measure("system_calls", "us", 1e-3, setting)


def _measure(program: str, unit: str, scale: float, setting: Setting) -> list[Row]:
    """Boot `program` in each guest, in turn, and return a row for each name that it reports."""
    pair = make_pair(_PROGRAMS / f"{program}.py", setting.folder)
    samples: dict[str, dict[str, list[float]]] = {}
    for _ in range(setting.runs):
        for guest in pair.guests:
            for name, value in _run(guest, setting.accelerator).items():
                samples.setdefault(name, {}).setdefault(guest.name, []).append(value * scale)
    return [Row(name, unit, sides.get("sarab", []), sides.get("linux", [])) for name, sides in samples.items()]


def _run(guest: Guest, accelerator: str) -> dict[str, float]:
    """Boot `guest` and return the numbers of the line that it prints."""
    done = boot(guest, accelerator)
    for _, line in done.console:
        if line.startswith(_RESULT):
            numbers: dict[str, float] = json.loads(line.removeprefix(_RESULT))
            return numbers
    ending = f"ended with status {done.status}" if done.finished else "did not end in time"
    raise Failed(f"the {guest.name} guest {ending} and printed no result:\n{done.text[-2000:]}")
