"""A program in a booted image, reached through forwarded ports: what the tests of network programs share."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from sarab.machine.network import Forward, NetworkOptions
from sarab.machine.options import MachineOptions, MachineType
from sarab.machine.qemu import Qemu
from sarab.machine.running import Running
from tests.boot import programs

START_SECONDS_MAX = 120.0


PORTS = range(20_000, 32_000)
"""Not those that the system hands out (from 32768 on): another would get ours before a machine listens there."""
_next_port = itertools.count(os.getpid() * 997)
"""Processes that test at the same time begin at different ones."""


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """Return a port that nobody has, and that this process has not returned lately."""
    for number in itertools.islice(_next_port, len(PORTS)):
        port = PORTS[number % len(PORTS)]
        with socket.socket(socket.AF_INET, kind) as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError(f"no port is free between {PORTS.start} and {PORTS.stop}")


@contextlib.contextmanager
def served(
    image: Path,
    tcp: Sequence[int] = (),
    udp: Sequence[int] = (),
    ready: bytes = b"",
    memory_mib: int = 128,
    machine: MachineType = "microvm",
    **more: Any,
) -> Iterator[tuple[Running, dict[int, int]]]:
    """Boot `image` and yield the machine and, for each of its ports, the port of this host that leads there.

    `ready` is what the program prints when it serves.
    """
    ports = {port: free_port() for port in tcp}
    ports.update({port: free_port(socket.SOCK_DGRAM) for port in udp if port not in ports})
    forwards = [Forward("tcp", "127.0.0.1", ports[port], port) for port in tcp]
    forwards += [Forward("udp", "127.0.0.1", ports[port], port) for port in udp]
    network = NetworkOptions(forwards=tuple(forwards), **more)
    options = MachineOptions(
        machine=machine, memory_mib=memory_mib, accel=programs.ACCELERATOR, timeout_s=280, network=network
    )
    with Qemu(image, options).start() as running:
        running.close_input()
        if ready:
            running.wait_for(ready, START_SECONDS_MAX)
        yield running, ports


def client(*words: str, timeout_s: float = 60) -> str:
    """Run a program of the host and return what it printed; the test is skipped where it is not installed."""
    if shutil.which(words[0]) is None:
        pytest.skip(f"{words[0]} is not installed: 'make clients' installs it")
    done = subprocess.run(words, capture_output=True, text=True, timeout=timeout_s)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr or done.stdout}"
    return done.stdout


def pump(machine: Running, seconds: float) -> None:
    """Let the machine's console flow for a while."""
    end = time.monotonic_ns() + int(seconds * 1e9)
    while time.monotonic_ns() < end and not machine.finished:
        machine.step(end)
