"""Claim: how long a program waits for a line that it prints, as an image and as a process of the host.

The program takes the times itself (programs/lines.py): what counts is how long it is kept, not when a reader has the
line. An image with a network card takes another way through QEMU than one without (docs/decisions/0002), so there are
two of them. The readers are pipes in all cases, and a process of the bench behind each.
"""

import subprocess
import sys
from pathlib import Path
from typing import cast

from bench.pair import build_image
from bench.result import Failed, Row, Setting
from sarab.machine.network import NetworkOptions
from sarab.machine.options import Accelerator, MachineOptions
from sarab.machine.qemu import Qemu

PROGRAM = Path(__file__).parent / "programs" / "lines.py"
WHAT = {"in-a-row": "a line of 70 bytes, many in a row", "alone": "a line of 70 bytes, one at a time"}
TIMEOUT_S = 120.0
SIDES = {"": None, ", with a network card": NetworkOptions()}


def measure(setting: Setting) -> list[Row]:
    """Return the microseconds of a line for each way of printing and each machine, beside the process's."""
    image = setting.folder / "lines.elf"
    build_image(PROGRAM, image)
    samples: dict[tuple[str, str], list[float]] = {}
    for run in range(setting.runs + 1):
        found = {side: _machine(image, setting.accelerator, network) for side, network in SIDES.items()}
        found["process"] = _process()
        if run == 0:
            continue  # The first boot reads the image from disk.
        for side, figures in found.items():
            for name, microseconds in figures.items():
                samples.setdefault((side, name), []).append(microseconds)
    return [
        Row(text + side, "us", samples[side, name], process=samples["process", name])
        for name, text in WHAT.items()
        for side in SIDES
    ]


def figures_of(output: str) -> dict[str, float]:
    """Return what the program says of itself: words and microseconds."""
    pairs = (line.split() for line in output.splitlines())
    figures = {words[0]: float(words[1]) for words in pairs if len(words) == 2 and words[0] in WHAT}
    if figures.keys() != WHAT.keys():
        raise Failed(f"the program of lines said no figures; its last words: {output[-500:]}")
    return figures


def _machine(image: Path, accelerator: str, network: NetworkOptions | None) -> dict[str, float]:
    """Boot the image once."""
    options = MachineOptions(memory_mib=128, accel=cast(Accelerator, accelerator), timeout_s=TIMEOUT_S, network=network)
    return figures_of(Qemu(image, options).run().console.decode(errors="replace"))


def _process() -> dict[str, float]:
    """Run the program on the host, with this interpreter."""
    words = [sys.executable, "-I", str(PROGRAM)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=TIMEOUT_S)
    if done.returncode:
        raise Failed(f"{PROGRAM} ended with status {done.returncode} on this host")
    return figures_of(done.stdout)
