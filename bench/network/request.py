"""``python -m bench.network.request [TREE ...]``: where a request's time goes, without a card and the kernel's network.

A client that was written beforehand, frame by frame, asks one stack over many connections; each step is timed
for all connections together, and the least of many turns counts. Then it asks bench/network/programs/http_server.py,
with its event loop and all: what a whole request costs. Each TREE (a folder with `sarab`, as compiled_tree() returns
it) is measured in a process of its own; the trees take turns.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from struct import Struct
from time import perf_counter_ns
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sarab.device.network import Incoming, Outgoing

from bench.arguments import count

CONNECTIONS, TURNS = 64, 300
OURS, PEER, OUR_MAC, PEER_MAC = b"\x0a\0\0\1", b"\x0a\0\0\2", b"\2\0\0\0\0\1", b"\2\0\0\0\0\2"
PORT = 8000
REQUEST = b"GET / HTTP/1.1\r\nHost: 10.77.0.2:8000\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, World!"
STEPS = ("receive", "read and write", "poll")
ASYNCIO = "asyncio hello, all of it"
_FRAME = Struct("!6s6sHBBHHHBBH4s4sHHIIBBHHHIII")
_NUMBERS = Struct("!II")
MILLISECOND = 1_000_000


def measure(connections: int, turns: int) -> dict[str, float]:
    """Return microseconds a request, by step, in this process."""
    from sarab.device.network import Incoming, Offload
    from sarab.net.endpoints import Flow
    from sarab.net.interface import Configuration
    from sarab.net.stack import Stack

    stack = Stack(os.urandom)
    card = stack.add_interface("eth0", OUR_MAC, 1500, Offload.CHECKSUM | Offload.TSO4, Configuration(((OURS, 24),)))
    listener = stack.tcp_listen(0, bytes(4), PORT, backlog=connections)
    now = MILLISECOND
    stack.poll(now)
    stack.receive(now, card, [Incoming(_arp())])
    numbers: dict[int, int] = {}
    for each in range(connections):
        stack.receive(now, card, [Incoming(_frame(each, 999, 0, 2, b""), True)])
        for _, frames in stack.poll(now):
            for frame in frames:
                if frame.header[12:14] == b"\x08\0":
                    numbers[each] = _NUMBERS.unpack_from(frame.header, 38)[0] + 1
        stack.receive(now, card, [Incoming(_frame(each, 1000, numbers[each], 16, b""), True)])
    stack.poll(now)
    stack.take_ready()
    while listener.accept() is not None:
        pass
    scripts = _questions(numbers, turns)
    best = [1 << 60] * len(STEPS)
    answers = 0
    for script in scripts:
        now += MILLISECOND
        start = perf_counter_ns()
        stack.receive(now, card, script)
        received = perf_counter_ns()
        for flow, _ in stack.take_ready():
            assert isinstance(flow, Flow)
            if flow.read(now, 65536) == REQUEST:
                flow.write(now, ANSWER)
        written = perf_counter_ns()
        out = stack.poll(now)
        stack.deadline()
        end = perf_counter_ns()
        answers += sum(len(frames) for _, frames in out)
        best = [min(pair) for pair in zip(best, (received - start, written - received, end - written), strict=True)]
    if answers != connections * turns:
        raise SystemExit(f"{answers} answers to {connections * turns} requests")
    return dict(zip(STEPS, (each / 1000 / connections for each in best), strict=True))


class Script:
    """A card whose other end was written beforehand: device.network.Network. Its descriptor is always readable."""

    mtu, mac = 1500, OUR_MAC

    def __init__(self, connections: int, turns: int) -> None:
        from sarab.device.network import Offload

        self.offloads = Offload.CHECKSUM | Offload.TSO4
        self.over: asyncio.Future[None] | None = None
        """Done when every turn is."""
        self.best = 1 << 60
        """Nanoseconds of the shortest turn."""
        self._descriptor = os.eventfd(1, os.EFD_NONBLOCK)
        self._connections, self._turns = connections, turns
        self._numbers: dict[int, int] = {}
        self._scripts: list[list[Incoming]] = []
        self._answers = self._turn = -2
        self._asked_at = 0

    def fileno(self) -> int:
        """See Network."""
        return self._descriptor

    def receive(self, limit: int) -> list[Incoming]:
        """See Network: the next question of each connection, when all have been answered."""
        from sarab.device.network import Incoming

        everybody = range(self._connections)
        if self._turn < 0:
            self._turn += 1
            if self._turn < 0:
                return [Incoming(_arp())]
            return [Incoming(_frame(each, 999, 0, 2, b""), True) for each in everybody]
        if not self._scripts:
            if len(self._numbers) < self._connections:
                return []
            self._scripts = _questions(self._numbers, self._turns)
            self._answers = self._connections
            gc.collect()
            gc.freeze()  # the script is no part of what is measured
            return [Incoming(_frame(each, 1000, self._numbers[each], 16, b""), True) for each in everybody]
        if self._answers < self._connections or self.over is None or self.over.done():
            return []
        now = perf_counter_ns()
        if self._turn:
            self.best = min(self.best, now - self._asked_at)
        if self._turn == self._turns:
            self.over.set_result(None)
            return []
        self._asked_at, self._answers = now, 0
        self._turn += 1
        return self._scripts[self._turn - 1]

    def send(self, frames: Sequence[Outgoing]) -> int:
        """See Network: counts the answers."""
        if self._scripts:
            self._answers += len(frames)
            return len(frames)
        for frame in frames:
            if frame.header[12:14] == b"\x08\0":
                each = int.from_bytes(frame.header[36:38], "big") - 20000
                self._numbers[each] = _NUMBERS.unpack_from(frame.header, 38)[0] + 1
        return len(frames)

    def close(self) -> None:
        """See Network."""
        os.close(self._descriptor)


def measure_asyncio(connections: int, turns: int) -> float:
    """Return microseconds a request to the hello server on asyncio, in this process."""
    from bench.network.programs.http_server import Hello
    from sarab.aio.loop import Loop
    from sarab.aio.network import NetworkDriver
    from sarab.net.interface import Configuration
    from sarab.net.stack import Stack

    driver = NetworkDriver(Stack(os.urandom))
    card = Script(connections, turns)
    driver.add_card(
        card,
        driver.stack.add_interface("eth0", card.mac, card.mtu, card.offloads, Configuration(((OURS, 24),), ipv6=False)),
    )

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        card.over = loop.create_future()
        async with await loop.create_server(Hello, "0.0.0.0", PORT, backlog=connections):
            await card.over

    loop = Loop(driver)
    loop.run_until_complete(serve())
    return card.best / 1000 / connections


def _questions(numbers: dict[int, int], turns: int) -> list[list[Incoming]]:
    """Return by turn the frames in which each connection asks, and acknowledges the answer before."""
    from sarab.device.network import Incoming

    return [
        [
            Incoming(
                _frame(each, 1000 + turn * len(REQUEST), numbers[each] + turn * len(ANSWER), 24, REQUEST, turn + 1),
                True,
            )
            for each in sorted(numbers)
        ]
        for turn in range(turns)
    ]


def _arp() -> bytes:
    """Return the peer's question for our address, by which the stack learns who it is."""
    return b"\xff" * 6 + PEER_MAC + b"\x08\x06\0\1\x08\0\6\4\0\1" + PEER_MAC + PEER + bytes(6) + OURS


def _frame(each: int, seq: int, ack: int, flags: int, payload: bytes, stamp: int = 1) -> bytes:
    """Return a frame of the peer's, with timestamps; the sum of the IP header is right, TCP's is not looked at."""
    from sarab.wire.checksum import checksum

    head = _FRAME.pack(
        OUR_MAC, PEER_MAC, 0x0800, 0x45, 0, 52 + len(payload), 0, 0x4000, 64, 6, 0, PEER, OURS, 20000 + each, PORT,
        seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, 0x80, flags, 65000, 0, 0, 0x0101080A, stamp, 0,
    )  # fmt: skip
    return head[:24] + checksum(head[14:34]).to_bytes(2, "big") + head[26:] + payload


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure each tree by turns, print a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.network.request", description=__doc__)
    parser.add_argument("--rounds", type=count, default=5, help="of which the least counts (default: %(default)s)")
    parser.add_argument("--connections", type=count, default=CONNECTIONS, help="(default: %(default)s)")
    parser.add_argument("--here", action="store_true", help="measure in this process and print JSON")
    parser.add_argument("trees", nargs="*", metavar="TREE", help="what to import sarab from (default: as it is found)")
    options = parser.parse_args(arguments)
    if options.here:
        steps = measure(options.connections, TURNS)
        print(json.dumps({**steps, ASYNCIO: measure_asyncio(options.connections, TURNS)}))
        return 0
    trees = options.trees or [""]
    best: dict[str, dict[str, float]] = {tree: {} for tree in trees}
    words = (sys.executable, "-m", "bench.network.request", "--here", "--connections", str(options.connections))
    for _ in range(options.rounds):
        for tree in trees:
            path = os.pathsep.join(filter(None, (tree, os.environ.get("PYTHONPATH", ""))))
            done = subprocess.run(words, check=True, capture_output=True, env={**os.environ, "PYTHONPATH": path})
            for step, value in json.loads(done.stdout).items():
                best[tree][step] = min(best[tree].get(step, value), value)
    print("| µs a request | " + " | ".join((*STEPS, "sum", ASYNCIO)) + " |\n| --- |" + " ---: |" * (len(STEPS) + 2))
    for tree, steps in best.items():
        stack = [steps[name] for name in STEPS]
        values = [*stack, sum(stack), steps[ASYNCIO]]
        print(f"| {tree or 'sarab'} | " + " | ".join(f"{value:.2f}" for value in values) + " |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
