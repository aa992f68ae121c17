"""Two hosts on one machine: network namespaces of our own, and what runs in them.

The client's namespace holds one end of the link. The server's other end is either a veth in a second namespace (Linux's
own stack answers) or a tap device whose frames sarab's stack takes. Nothing leaves the machine.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.result import Failed, Unavailable

CLIENT_ADDRESS, SERVER_ADDRESS, PREFIX = "10.77.0.1", "10.77.0.2", 24
SOURCES = tuple(f"10.77.0.{number}" for number in range(101, 117))
"""Further addresses of the client, for who opens more connections in a minute than one address has ports."""
QUEUE_FRAMES = 10_000
"""Frames that wait in a tap for who reads it: the usual 1,000 are 5 ms of traffic, a turn of the scheduler."""
CLIENT_SYSCTLS = ("net.ipv4.ip_local_port_range=1024 65535", "net.ipv4.tcp_tw_reuse=1")
"""Of the client's namespace: who closes first keeps its port for a minute, and may use it again after a second."""
SERVER_CORE, CLIENT_CORE = 0, 1
NICE = "-15"
"""Both ends go before what else runs on the machine, or its work would be in the figures."""
FIRST = f'echo {NICE} 2>/dev/null >/proc/self/autogroup; exec nice -n {NICE} "$@"'
"""Linux shares a core among sessions, where it does (sched_autogroup_enabled), and only then by niceness."""
START_SECONDS_MAX = 60.0
LOCK = Path("/run/lock/sarab-bench-network")


class Lab:
    """The namespaces of one run; `close` removes them and ends what runs in them."""

    def __init__(self, first: bool = False) -> None:
        """Raises Unavailable where namespaces cannot be made. `first`: what runs here goes before all else."""
        self._first = first
        if os.geteuid() != 0:
            raise Unavailable("network namespaces need root")
        if shutil.which("ip") is None:
            raise Unavailable("ip is not installed (apt-get install iproute2)")
        self.client = f"sarab-c{os.getpid()}"
        self.server = f"sarab-s{os.getpid()}"
        self._servers: list[subprocess.Popen[bytes]] = []
        for namespace in (self.client, self.server):
            _ip("netns", "add", namespace)
            _ip("-n", namespace, "link", "set", "lo", "up")
        self.run(("sysctl", "-qw", *CLIENT_SYSCTLS))

    def veth(self) -> None:
        """Join the namespaces by a pair of veth devices, both with an address."""
        _ip("-n", self.client, "link", "add", "veth0", "type", "veth", "peer", "name", "eth0", "netns", self.server)
        for namespace, device, address in (
            (self.client, "veth0", CLIENT_ADDRESS),
            (self.server, "eth0", SERVER_ADDRESS),
        ):
            _ip("-n", namespace, "address", "add", f"{address}/{PREFIX}", "dev", device)
            _ip("-n", namespace, "link", "set", device, "up")
        self._add_sources("veth0")

    def tap(self, name: str = "tap0", address: str = CLIENT_ADDRESS) -> str:
        """Make a tap device in the client's namespace and return its name. Who opens it must run there."""
        _ip("-n", self.client, "tuntap", "add", name, "mode", "tap")
        _ip("-n", self.client, "address", "add", f"{address}/{PREFIX}", "dev", name)
        _ip("-n", self.client, "link", "set", name, "txqueuelen", str(QUEUE_FRAMES), "up")
        if address == CLIENT_ADDRESS:
            self._add_sources(name)
        return name

    def _add_sources(self, device: str) -> None:
        for address in SOURCES:
            _ip("-n", self.client, "address", "add", f"{address}/{PREFIX}", "dev", device)

    def unlink(self) -> None:
        """Remove the devices that veth() and tap() made."""
        for device in ("veth0", "tap0"):
            with contextlib.suppress(Failed):
                _ip("-n", self.client, "link", "delete", device)

    def serve(
        self, namespace: str, command: Sequence[str], port: int, output: Path, address: str = SERVER_ADDRESS
    ) -> subprocess.Popen[bytes]:
        """Start a server on the server's core and wait until `address` answers on TCP `port`. Raises Failed."""
        with output.open("wb") as file:
            process = subprocess.Popen(
                self._within(namespace, SERVER_CORE, command),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._servers.append(process)
        deadline = time.monotonic() + START_SECONDS_MAX
        probe = "import socket, sys; s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 1); s.close()"
        while True:
            tried = self.run(("python3", "-S", "-c", probe, address, str(port)), check=False)
            if tried.returncode == 0:
                if self._first:
                    _put_first(process.pid)  # a machine has a session of its own
                return process
            if process.poll() is not None or time.monotonic() > deadline:
                raise Failed(f"{' '.join(command)} does not answer on port {port}: {output.read_text()[-2000:]}")
            time.sleep(0.1)

    def run(
        self, command: Sequence[str], *, check: bool = True, timeout_s: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run a client on the client's core and return what it printed. Raises Failed if it `check`s and is not 0."""
        done = subprocess.run(
            self._within(self.client, CLIENT_CORE, command),
            check=False,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            stdin=subprocess.DEVNULL,
        )
        if check and done.returncode != 0:
            raise Failed(f"{' '.join(command)} failed: {done.stderr.strip() or done.stdout.strip()}")
        return done

    def start(self, command: Sequence[str]) -> subprocess.Popen[str]:
        """Start a client on the client's core, and let it run."""
        pipe = subprocess.PIPE
        return subprocess.Popen(self._within(self.client, CLIENT_CORE, command), stdout=pipe, stderr=pipe, text=True)

    def hold(self, command: Sequence[str]) -> subprocess.Popen[str]:
        """Start a client on the client's core, wait until it prints a line, and return it. Raises Failed."""
        process = subprocess.Popen(
            self._within(self.client, CLIENT_CORE, command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        if not process.stdout.readline():
            process.wait()
            raise Failed(f"{' '.join(command)} ended with status {process.returncode}")
        return process

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        """End a server and everything that it started."""
        for how in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, how)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
                break
        if process in self._servers:
            self._servers.remove(process)

    def close(self) -> None:
        """Remove everything."""
        for process in list(self._servers):
            self.stop(process)
        for namespace in (self.client, self.server):
            with contextlib.suppress(Failed):
                _ip("netns", "delete", namespace)

    def _within(self, namespace: str, core: int, command: Sequence[str]) -> list[str]:
        place = ("ip", "netns", "exec", namespace, "taskset", "-c", str(core))
        return ["sh", "-c", FIRST, "sh", *place, *command] if self._first else [*place, *command]


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Be the only one on this machine who measures; wait for who does: two who both go first have no figures."""
    with LOCK.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("bench: another measurement of the network is running; waiting for its end", file=sys.stderr)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def lab(first: bool = False) -> Iterator[Lab]:
    """Yield a Lab and remove it at the end, be it SIGTERM. `first`: see Lab."""
    before = signal.signal(signal.SIGTERM, _end)
    made = Lab(first)
    try:
        yield made
    finally:
        made.close()
        signal.signal(signal.SIGTERM, before)


def _put_first(process: int) -> None:
    """Have a process and all below it go before the rest of the machine, each in the session that it made."""
    with contextlib.suppress(OSError):
        Path(f"/proc/{process}/autogroup").write_text(NICE)
        for child in Path(f"/proc/{process}/task/{process}/children").read_text().split():
            _put_first(int(child))


def _end(number: int, frame: object) -> None:
    raise SystemExit(128 + number)


def _ip(*words: str) -> None:
    done = subprocess.run(("ip", *words), check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(f"ip {' '.join(words)} failed: {done.stderr.strip()}")
