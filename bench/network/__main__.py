"""``python -m bench.network`` (``make bench-net``): sarab's stack against Linux's own, the same programs in one run.

Servers on one core answer a client on the other: the program on Linux's sockets (over a veth) with asyncio and with
uvloop; the same program on sarab's stack in a Linux process (over a tap); that with the stack compiled by mypyc; and an
image of it with the compiled stack, under KVM, whose machine has that one core for everything.
`flow ...` is a server on the stack's own flows instead of asyncio.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from bench.arguments import count
from bench.network import table
from bench.network.compiled import ROOT, compiled_tree
from bench.network.lab import PREFIX, SERVER_ADDRESS, Lab, lab, undisturbed
from bench.network.measure import FLOW, MEASUREMENTS, PROGRAMS, Measurement, Server, chosen
from bench.network.table import LINUX, Samples
from bench.result import Failed, Unavailable
from sarab.folders import cache_folder
from sarab.machine import accelerator

IMAGE, IMAGE_MEMORY = "image", "256M"
UVLOOP = "uvloop==0.23.0"
"""Not among the packages of .venv: there uvicorn would find it, and every image with uvicorn would carry it."""


class Contestant:
    """What serves: a stack, an event loop, a Python path."""

    def __init__(self, name: str, *, path: str = "", uvloop: bool = False, image: bool = False) -> None:
        """`path`: where `sarab` is imported from, "" for this checkout's; of Linux what else is to be imported."""
        self.name, self.path, self.uvloop, self.image = name, path, uvloop, image
        self.linux = uvloop or name == LINUX

    def runs(self, measurement: Measurement) -> bool:
        """Linux has no flows of ours, and answers pings without a program."""
        return not self.linux or (measurement.program != FLOW and not (self.uvloop and measurement.name == "ping"))

    def link(self, place: Lab) -> None:
        """Make its link."""
        if self.linux:
            place.veth()
        else:
            place.tap()

    def command(self, program: str) -> list[str]:
        """Return what starts a program."""
        start = ["env", f"PYTHONPATH={self.path}"] if self.path else []
        if self.linux:
            return [*start, sys.executable, str(PROGRAMS / program), *(["uvloop"] if self.uvloop else [])]
        sarab = str(Path(sys.executable).with_name("sarab"))
        network = ["--tap", "tap0", "--ip", f"{SERVER_ADDRESS}/{PREFIX}"]
        where = ("-q", "--accel", "kvm", "--memory", IMAGE_MEMORY) if self.image else ("--on", "process")
        return [*start, sarab, "run", *where, *network, str(PROGRAMS / program)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print the table; the exit status is 0 unless something failed."""
    options = _parser().parse_args(arguments)
    wanted = chosen(options.only)
    if not wanted:
        print(f"bench: nothing is called {' or '.join(options.only)}", file=sys.stderr)
        return 2
    try:
        everybody = contestants(options.on, options.tree)
        results, failures = measure(everybody, wanted, options.runs, options.seconds)
    except (Failed, Unavailable) as reason:
        print(f"bench: {reason}", file=sys.stderr)
        return 1
    print(table.markdown(results))
    for failure in failures:
        print(f"\nFAILED: {failure}")
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps({"samples": results, "failures": failures}, indent=2) + "\n")
    return 1 if failures else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.network", description=__doc__)
    parser.add_argument("--runs", type=count, default=3, help="rounds (default: %(default)s)")
    parser.add_argument("--seconds", type=count, default=4, help="of each measurement (default: %(default)s)")
    parser.add_argument("--only", action="append", default=[], metavar="NAME",
                        help=f"measure this only, or all that begin so; again: this too. "
                             f"{', '.join(each.name for each in MEASUREMENTS)}")  # fmt: skip
    parser.add_argument("--on", action="append", default=[], metavar="CONTESTANT",
                        help="this column only: Linux, uvloop, sarab, compiled, image, or a --tree's")  # fmt: skip
    parser.add_argument("--tree", action="append", default=[], metavar="NAME=FOLDER",
                        help="one more column: sarab from another folder (before and after a change)")  # fmt: skip
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "bench-net.json", help="where every sample goes")
    return parser


def contestants(names: Sequence[str], trees: Sequence[str]) -> list[Contestant]:
    """Return the columns of the table, those with `names` or all. Raises Failed where one cannot be made."""
    makers: dict[str, Callable[[], Contestant]] = {
        LINUX: lambda: Contestant(LINUX),
        "uvloop": lambda: Contestant("uvloop", path=str(_uvloop()), uvloop=True),
        "sarab": lambda: Contestant("sarab"),
        "compiled": lambda: Contestant("compiled", path=str(compiled_tree())),
        IMAGE: _image,
    }
    for tree in trees:
        name, named, folder = tree.partition("=")
        if not named:
            raise Failed(f"--tree wants NAME=FOLDER, not {tree}")
        makers[name] = partial(Contestant, name, path=folder)
    for name in names:
        if name not in makers:
            raise Failed(f"nobody is called {name}: there are {', '.join(makers)}")
    if not names:
        try:
            check_kvm()
        except Unavailable as reason:
            print(f"bench: no column '{IMAGE}': {reason}", file=sys.stderr)
            del makers[IMAGE]
    return [make() for name, make in makers.items() if not names or name in names]


def check_kvm() -> None:
    """Raise Unavailable with a sentence where KVM does not run an image at the processor's speed."""
    choice = accelerator.choose("auto", cache_folder())
    if choice.name != "kvm":
        raise Unavailable(choice.reason)


def _image() -> Contestant:
    check_kvm()
    return Contestant(IMAGE, path=str(compiled_tree()), image=True)


def _uvloop() -> Path:
    """Return a folder from which uvloop can be imported."""
    folder = ROOT / "build" / UVLOOP
    if not folder.exists():
        words = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps")
        done = subprocess.run((*words, "--target", str(folder), UVLOOP), check=False, capture_output=True, text=True)
        if done.returncode != 0:
            raise Failed(f"{UVLOOP} cannot be installed: {done.stderr.strip()[-500:]}")
    return folder


def measure(
    everybody: Sequence[Contestant], wanted: Sequence[Measurement], runs: int, seconds: int
) -> tuple[dict[str, Samples], list[str]]:
    """Return the samples of each contestant, and what failed. They take turns, so that a busy minute hits all."""
    results: dict[str, Samples] = {each.name: {} for each in everybody}
    failures: list[str] = []

    def served_by(measurement: Measurement) -> tuple[str, str]:
        return measurement.program, measurement.name if measurement.alone else ""

    rounds = list(dict.fromkeys(map(served_by, wanted)))
    with undisturbed(), lab(first=True) as place, tempfile.TemporaryDirectory(prefix="sarab-bench-") as folder:
        log = Path(folder) / "server.log"
        for _ in range(runs):
            for program, alone in rounds:
                for each in everybody:
                    mine = [found for found in wanted if served_by(found) == (program, alone) and each.runs(found)]
                    if mine:
                        samples = results[each.name]
                        failures += [f"{each.name}: {why}" for why in _round(place, each, mine, samples, seconds, log)]
    return results, failures


def _round(
    place: Lab, contestant: Contestant, mine: Sequence[Measurement], samples: Samples, seconds: int, log: Path
) -> Iterator[str]:
    """Serve one program and measure; yield what failed."""
    contestant.link(place)
    try:
        namespace = place.server if contestant.linux else place.client
        process = place.serve(namespace, contestant.command(mine[0].program), mine[0].port, log)
        try:
            for each in mine:
                try:
                    for name, value in each.measure(Server(place, process.pid, seconds)).items():
                        samples.setdefault(name, []).append(value)
                except Failed as why:
                    yield f"{each.name}: {why}"
        finally:
            place.stop(process)
    except Failed as why:
        yield str(why)
    finally:
        place.unlink()


if __name__ == "__main__":
    sys.exit(main())
