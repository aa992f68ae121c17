"""``python -m bench.network.soak`` (``make soak``): hours in the life of a server, and whether it grows.

The same server runs as an image (emulated) and as a Linux process, each on a tap; clients of Linux load both with good
and bad manners. Every so often the servers say what they hold. Status 0: every byte was right, nothing grew.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.arguments import minutes
from bench.network.lab import PREFIX, SERVER_ADDRESS, Lab, lab
from bench.result import Failed, Unavailable

PROGRAMS = Path(__file__).parent / "programs"
OTHER_HOST, OTHER_ADDRESS = "10.78.0.1", "10.78.0.2"
CLIENTS = 3
"""For each server."""
SAMPLES = 30
REST_SECONDS = 100.0
"""Longer than the servers' patience with idle connections and TIME-WAIT together: then they hold nothing any more."""
HELD_MAX = {"tcp_flows": 1, "tasks": 3, "tcp_memory_used": 4096}
"""At rest: the connection that asks, its task beside the server's and the loop's, and what it holds."""
RESIDENT_GROWTH_MAX = 0.03, 2_000_000
"""Between the second fifth of a run and its last: a part, and bytes on top, that are no leak."""
OBJECTS_GROWTH_MAX = 1500
"""From before the load to the rest behind it: modules and caches that the load was the first to need."""

Sample = dict[str, int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it and print a table; see the module."""
    parser = argparse.ArgumentParser(prog="python -m bench.network.soak", description=__doc__)
    parser.add_argument("--minutes", type=minutes, default=30, help="how long (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        with lab() as place, tempfile.TemporaryDirectory(prefix="sarab-soak-") as folder:
            return soak(place, Path(folder), options.minutes * 60)
    except (Failed, Unavailable) as reason:
        print(f"soak: {reason}", file=sys.stderr)
        return 1


def soak(place: Lab, folder: Path, seconds: float) -> int:
    """Load an image and a process for so long; return the status."""
    place.tap()
    place.tap("tap1", OTHER_HOST)
    sarab, program = str(Path(sys.executable).with_name("sarab")), str(PROGRAMS / "soak_server.py")
    image = ("run", "-q", "--tap", "tap0", "--ip", f"{SERVER_ADDRESS}/{PREFIX}", program)
    process = ("run", "--on", "process", "--tap", "tap1", "--ip", f"{OTHER_ADDRESS}/{PREFIX}", program)
    servers = {"image": SERVER_ADDRESS, "process": OTHER_ADDRESS}
    for name, words in (("image", image), ("process", process)):
        place.serve(place.client, (sarab, *words), 9003, folder / f"{name}.log", servers[name])
    before = {name: sample(place, address)["objects"] for name, address in servers.items()}
    clients = [
        place.start((sys.executable, str(PROGRAMS / "soak_client.py"), address, str(seed), str(seconds)))
        for address in servers.values()
        for seed in range(CLIENTS)
    ]
    samples: dict[str, list[Sample]] = {name: [] for name in servers}
    started = time.monotonic()
    for number in range(1, SAMPLES + 1):
        time.sleep(max(0.0, started + number * seconds / SAMPLES - time.monotonic()))
        for name, address in servers.items():
            samples[name].append(sample(place, address))
        print(line(time.monotonic() - started, {name: found[-1] for name, found in samples.items()}), flush=True)
    wrong = finish(clients)
    time.sleep(REST_SECONDS)
    for name, address in servers.items():
        last = sample(place, address)
        print(f"{name}, at rest: {last['tcp_flows']} connections, {last['tasks']} tasks, {last['objects']} objects")
        wrong += [
            f"the {name} still holds {last[what]} ({what})" for what, most in HELD_MAX.items() if last[what] > most
        ]
        wrong += growth(name, samples[name])
        print(f"{name}: objects {before[name]:,} before, {last['objects']:,} at rest")
        if last["objects"] > before[name] + OBJECTS_GROWTH_MAX:
            wrong.append(f"the {name} grew: objects {before[name]:,} -> {last['objects']:,}")
        if "Traceback" in (text := (folder / f"{name}.log").read_text()):
            wrong.append(f"the {name} said: {text[-2000:]}")
    for sentence in wrong:
        print(f"soak: {sentence}", file=sys.stderr)
    return 1 if wrong else 0


def sample(place: Lab, address: str) -> Sample:
    """Ask a server what it holds."""
    ask = "import socket, sys; print(socket.create_connection((sys.argv[1], 9003), 60).makefile().read())"
    found: Sample = json.loads(place.run((sys.executable, "-c", ask, address)).stdout)
    return found


def line(seconds: float, found: dict[str, Sample]) -> str:
    """Return a line for a person."""
    parts = [
        f"{name}: {s['resident'] / 1e6:.1f} MB, {s['objects']} objects, {s['tcp_flows']} connections, "
        f"{s['tcp_bytes_in'] / 1e6:.0f} MB in, {s['tcp_bytes_out'] / 1e6:.0f} MB out, {s['tcp_retransmissions']} again"
        for name, s in found.items()
    ]
    return f"{seconds / 60:6.1f} min  " + "  |  ".join(parts)


def finish(clients: Sequence[subprocess.Popen[str]]) -> list[str]:
    """Wait for the clients; return a sentence for each that saw something wrong."""
    wrong = []
    for client in clients:
        output, error = client.communicate()
        if client.returncode != 0:
            wrong.append(f"a client failed: {error.strip()[-1000:]}")
        else:
            print(f"a client did {output.strip()}")
    return wrong


def growth(name: str, samples: Sequence[Sample]) -> list[str]:
    """Return a sentence if its memory grew under load that stayed the same."""
    fifth = len(samples) // 5
    part, more = RESIDENT_GROWTH_MAX
    early = statistics.median(found["resident"] for found in samples[fifth : 2 * fifth])
    late = statistics.median(found["resident"] for found in samples[-fifth:])
    print(f"{name}: resident {early:,.0f} -> {late:,.0f}")
    return [f"the {name} grew: resident {early:,.0f} -> {late:,.0f}"] if late > early * (1 + part) + more else []


if __name__ == "__main__":
    sys.exit(main())
