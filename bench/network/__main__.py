"""``python -m bench.network`` (``make bench-net``): sarab's stack against Linux's own, the same programs in one run.

Three servers on one core answer a client on the other core: the program on Linux's sockets (over a veth), the same
program on sarab's stack in a Linux process (over a tap), and that with the stack compiled by mypyc.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.network.compiled import compiled_tree
from bench.network.lab import PREFIX, SERVER_ADDRESS, Lab, lab
from bench.result import Failed, Unavailable

PROGRAMS = Path(__file__).parent / "programs"
HTTP_PORT, BULK_PORT = 8000, 9000
IDLE, IDLE_CLIENTS = 10_000, 4
"""Connections; a process may have a few thousand descriptors."""
MIRAGEOS = {"http 64": 59_750.0, "http 1": 14_900.0, "tcp in": 3.49, "tcp out": 1.78}
"""Measured on this kind of machine, Solo5 spt (shared/MIRAGEOS.md section 2.3): for orientation, not of this run."""
UNITS = {
    "http 1": "requests/s",
    "http 64": "requests/s",
    "http 1000": "requests/s",
    "tcp in": "Gbit/s",
    "tcp out": "Gbit/s",
    "idle": "MB more",
}
NAMES = {"idle": "10,000 idle connections"}

Samples = dict[str, list[float]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print the table; the exit status is 0 unless something failed."""
    parser = argparse.ArgumentParser(prog="python -m bench.network", description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="rounds (default: %(default)s)")
    parser.add_argument("--seconds", type=int, default=4, help="of each measurement (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        results = measure(options.runs, options.seconds)
    except (Failed, Unavailable) as reason:
        print(f"bench: {reason}", file=sys.stderr)
        return 1
    print(table(results))
    return 0


def measure(runs: int, seconds: int) -> dict[str, Samples]:
    """Return the samples of every server. The servers take turns, so that a busy minute hits all."""
    tree = compiled_tree()
    results: dict[str, Samples] = {"Linux": {}, "sarab": {}, "sarab, compiled": {}}
    with lab() as place, tempfile.TemporaryDirectory(prefix="sarab-bench-") as folder:
        for _ in range(runs):
            for name, samples in results.items():
                if name == "Linux":
                    place.veth()
                else:
                    place.tap()
                path = str(tree) if name == "sarab, compiled" else ""
                _serve_and_ask(place, name, path, samples, seconds, Path(folder) / "server.log")
                place.unlink()
    return results


def _serve_and_ask(place: Lab, name: str, path: str, samples: Samples, seconds: int, log: Path) -> None:
    if name == "Linux":
        namespace, start = place.server, [sys.executable]
    else:
        sarab = str(Path(sys.executable).with_name("sarab"))
        network = ["--tap", "tap0", "--ip", f"{SERVER_ADDRESS}/{PREFIX}"]
        namespace, start = place.client, [sarab, "run", "--on", "process", *network]
        if path:
            start = ["env", f"PYTHONPATH={path}", *start]
    server = place.serve(namespace, [*start, str(PROGRAMS / "http_server.py")], HTTP_PORT, log)
    try:
        for connections in (1, 64, 1000):
            rate = requests_per_second(place, connections, seconds)
            samples.setdefault(f"http {connections}", []).append(rate)
        samples.setdefault("idle", []).append(idle_memory(place, server.pid))
    finally:
        place.stop(server)
    server = place.serve(namespace, [*start, str(PROGRAMS / "bulk_server.py")], BULK_PORT, log)
    try:
        for direction in ("in", "out"):
            client = (sys.executable, str(PROGRAMS / "bulk_client.py"), SERVER_ADDRESS, direction, str(seconds))
            samples.setdefault(f"tcp {direction}", []).append(float(place.run(client).stdout))
    finally:
        place.stop(server)


def requests_per_second(place: Lab, connections: int, seconds: int) -> float:
    """Return what wrk measures; Failed if it saw an error."""
    words = ("wrk", "-t1", f"-c{connections}", f"-d{seconds}", f"http://{SERVER_ADDRESS}:{HTTP_PORT}/")
    said = place.run(words).stdout
    found = re.search(r"Requests/sec:\s+([\d.]+)", said)
    if found is None or "Socket errors" in said or "Non-2xx" in said:
        raise Failed(f"{' '.join(words)} saw errors: {said}")
    return float(found[1])


def idle_memory(place: Lab, server: int) -> float:
    """Return how many MB the server's processes grow by IDLE idle connections."""
    before = _resident(server)
    words = (
        sys.executable,
        str(PROGRAMS / "idle_client.py"),
        SERVER_ADDRESS,
        str(HTTP_PORT),
        str(IDLE // IDLE_CLIENTS),
    )
    clients = [place.hold(words) for _ in range(IDLE_CLIENTS)]
    try:
        return _resident(server) - before
    finally:
        for client in clients:
            client.communicate()


def _resident(process: int) -> float:
    """Return the MB of a process and its children that are in memory."""
    total = 0.0
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            total += int(line.split()[1]) / 1000
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return total + sum(_resident(int(child)) for child in children)


def table(results: dict[str, Samples]) -> str:
    """Return medians and ratios as a Markdown table."""
    names = list(results)
    lines = ["| what | " + " | ".join(names) + " | ratio | MirageOS (not of this run) |", "| --- |" + " ---: |" * 5]
    for what, unit in UNITS.items():
        medians = [statistics.median(results[name][what]) for name in names]
        shown = [f"{median:,.0f}" if median >= 100 else f"{median:.1f}" for median in medians]
        ratio = f"{medians[-1] / medians[0]:.2f}"
        mirage = MIRAGEOS.get(what)
        lines.append(
            f"| {NAMES.get(what, what)}, {unit} | "
            + " | ".join([*shown, ratio, f"{mirage:,}" if mirage else ""])
            + " |"
        )
    lines.append(f"\n{os.cpu_count()} cores, Python {sys.version.split()[0]}; medians; ratio: compiled to Linux.")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
