"""What is measured: each with its program, its unit and how; ``NAMES`` in the order of the table."""

from __future__ import annotations

import functools
import math
import re
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from bench.network.lab import SERVER_ADDRESS, SOURCES, Lab
from bench.result import Failed

PROGRAMS = Path(__file__).parent / "programs"
KEEPING_PORT, CLOSING_PORT, BULK_PORT, UDP_PORT = 8000, 8001, 9000, 7000
IDLE, IDLE_CLIENTS = 10_000, 4
"""Connections; a process may have a few thousand descriptors."""
AT_ONCE = 64
"""New connections under way."""
PINGS, PING_INTERVAL = 400, "0.005"
MB = 1e6


class Server(NamedTuple):
    """A running server of a measurement."""

    lab: Lab
    process: int
    seconds: int
    """How long a measurement takes."""


class Measurement(NamedTuple):
    """Something to measure."""

    name: str
    unit: str
    program: str
    """What runs on the server, and must answer on TCP `port` first."""
    port: int
    measure: Callable[[Server], dict[str, float]]
    """Returns values by their names: its own, and perhaps those of `more`."""
    more: tuple[tuple[str, str], ...] = ()
    """Names and units of further values."""
    alone: bool = False
    """It wants a server that has done nothing else yet."""
    mirage: float | None = None
    """MirageOS's on this kind of machine, Solo5 spt (shared/MIRAGEOS.md section 2.3), in another run."""


def _wrk(server: Server, connections: int) -> float:
    """Return requests a second; Failed if wrk saw an error."""
    words = ("wrk", "-t1", f"-c{connections}", f"-d{server.seconds}", f"http://{SERVER_ADDRESS}:{KEEPING_PORT}/")
    said = server.lab.run(words).stdout
    found = re.search(r"Requests/sec:\s+([\d.]+)", said)
    if found is None or "Socket errors" in said or "Non-2xx" in said:
        raise Failed(f"{' '.join(words)} saw errors: {said}")
    return float(found[1])


def _requests(name: str, connections: int) -> Callable[[Server], dict[str, float]]:
    return lambda server: {name: _wrk(server, connections)}


@functools.cache
def _connector() -> Path:
    """Return connect_client.c compiled: in Python it would be the slower end."""
    source = PROGRAMS / "connect_client.c"
    output = Path(__file__).parents[2] / "build" / "connect_client"
    output.parent.mkdir(exist_ok=True)
    words = (sys.executable, "-m", "ziglang", "cc", "-target", "x86_64-linux-musl", "-static", "-O2", "-std=gnu11")
    done = subprocess.run((*words, "-o", output, source), check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(f"{source.name} does not compile: {done.stderr}")
    return output


def _connections(name: str) -> Callable[[Server], dict[str, float]]:
    """Return what measures new connections a second, each with one request and closed by the server."""

    def measure(server: Server) -> dict[str, float]:
        words = (str(_connector()), SERVER_ADDRESS, str(CLOSING_PORT), str(AT_ONCE), str(server.seconds), *SOURCES)
        return {name: float(server.lab.run(words).stdout)}

    return measure


def _idle(server: Server) -> dict[str, float]:
    """How many MB the server's processes, or the image's machine, grow by IDLE idle connections."""
    before = _resident(server.process)
    client = str(PROGRAMS / "idle_client.py")
    words = (sys.executable, client, SERVER_ADDRESS, str(KEEPING_PORT), str(IDLE // IDLE_CLIENTS))
    clients = [server.lab.hold(words) for _ in range(IDLE_CLIENTS)]
    try:
        return {"idle": _resident(server.process) - before}
    finally:
        for each in clients:
            each.communicate()


def _resident(process: int) -> float:
    """Return the MB of a process and its children that are in memory."""
    total = 0.0
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            total += int(line.split()[1]) * 1024 / MB
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return total + sum(_resident(int(child)) for child in children)


def _bulk(direction: str) -> Callable[[Server], dict[str, float]]:
    def measure(server: Server) -> dict[str, float]:
        client = str(PROGRAMS / "bulk_client.py")
        said = server.lab.run((sys.executable, client, SERVER_ADDRESS, direction, str(server.seconds)))
        return {f"tcp {direction}": float(said.stdout)}

    return measure


def _udp(direction: str) -> Callable[[Server], dict[str, float]]:
    def measure(server: Server) -> dict[str, float]:
        client = str(PROGRAMS / "udp_client.py")
        said = server.lab.run((sys.executable, client, SERVER_ADDRESS, direction, str(server.seconds)))
        rate, lost = map(float, said.stdout.split())
        found = {f"udp {direction}": rate}
        return found if math.isnan(lost) else {**found, f"udp {direction} lost": lost}

    return measure


def _ping(server: Server) -> dict[str, float]:
    """The median and the 99th percentile of round trips, in microseconds."""
    words = ("ping", "-n", "-c", str(PINGS), "-i", PING_INTERVAL, SERVER_ADDRESS)
    times = [float(time) * 1000 for time in re.findall(r"time=([\d.]+) ms", server.lab.run(words).stdout)]
    if len(times) < PINGS * 0.99:
        raise Failed(f"{PINGS - len(times)} of {PINGS} pings were not answered")
    return {"ping": statistics.median(times), "ping p99": statistics.quantiles(times, n=100)[98]}


HTTP, FLOW, UDP, BULK = "http_server.py", "flow_server.py", "udp_server.py", "bulk_server.py"
RATE = "requests/s"
MEASUREMENTS = (
    Measurement("http 1", RATE, HTTP, KEEPING_PORT, _requests("http 1", 1)),
    Measurement("http 64", RATE, HTTP, KEEPING_PORT, _requests("http 64", 64)),
    Measurement("http 1000", RATE, HTTP, KEEPING_PORT, _requests("http 1000", 1000)),
    Measurement("connections", "a second", HTTP, KEEPING_PORT, _connections("connections")),
    Measurement("idle", "MB for 10,000", HTTP, KEEPING_PORT, _idle, alone=True),
    Measurement("flow 1", RATE, FLOW, KEEPING_PORT, _requests("flow 1", 1), mirage=14_900),
    Measurement("flow 64", RATE, FLOW, KEEPING_PORT, _requests("flow 64", 64), mirage=59_750),
    Measurement("flow 1000", RATE, FLOW, KEEPING_PORT, _requests("flow 1000", 1000)),
    Measurement(
        "flow connections", "a second", FLOW, KEEPING_PORT, _connections("flow connections"),
        mirage=10_740,
    ),
    Measurement("tcp in", "Gbit/s", BULK, BULK_PORT, _bulk("in"), mirage=3.49),
    Measurement("tcp out", "Gbit/s", BULK, BULK_PORT, _bulk("out"), mirage=1.78),
    Measurement("ping", "µs", BULK, BULK_PORT, _ping, (("ping p99", "µs"),)),
    Measurement("udp in", "datagrams/s", UDP, UDP_PORT, _udp("in"), (("udp in lost", "%"),)),
    Measurement("udp out", "datagrams/s", UDP, UDP_PORT, _udp("out"), (("udp out lost", "%"),)),
    Measurement("udp echo", "datagrams/s", UDP, UDP_PORT, _udp("echo"), (("udp echo lost", "%"),)),
)  # fmt: skip
UNITS = {name: unit for each in MEASUREMENTS for name, unit in ((each.name, each.unit), *each.more)}
MIRAGE = {each.name: each.mirage for each in MEASUREMENTS if each.mirage is not None}


def chosen(wanted: list[str]) -> list[Measurement]:
    """Return the measurements that are named, or whose name begins with such a word; all of them for none."""
    return [
        each
        for each in MEASUREMENTS
        if not wanted or any(each.name == word or each.name.startswith(f"{word} ") for word in wanted)
    ]
