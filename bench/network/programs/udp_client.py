"""``udp_client.py ADDRESS in|out|echo SECONDS``: drive udp_server.py; print datagrams a second and % lost.

`in`: find the greatest pace at which less than LOSS_MAX are lost; the % is what is lost at twice that. `out`: be sent
to. `echo`: keep WINDOW on their way.
"""

import contextlib
import math
import socket
import sys
import time

DATAGRAM = bytes(100)
WINDOW = 64
LOST_AFTER = 0.2
"""Seconds of silence after which what is on its way is given up."""
BUFFER = 4 << 20
LOSS_MAX = 0.01
RATE_FIRST, RATE_LEAST = 8_000.0, 1_000.0
"""Datagrams a second."""
PRECISION = 0.05
"""Of the rate that is found."""
TRIES = 3
STEPS, STEP_SECONDS_MIN = 10, 0.25
"""Tries that `SECONDS` are meant for, and how long each is at least."""
TICK, SETTLE = 0.0005, 0.1
"""Seconds between bursts, and until what was sent is read."""
BURST = 64
"""UDP_MAX_SEGMENTS, what one call may send."""
SENDER_LEAST = 100_000.0
"""A sender whose own end is below this tells of the machine, and not of the server."""
PACE_KEPT = 0.9
"""Below this part of the pace it is the sender that cannot."""
UDP_SEGMENT = 103
"""Linux's udp.h; Python has no name for it."""


def connected(address: str, port: int) -> socket.socket:
    peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
    peer.connect((address, port))
    return peer


def count(peer: socket.socket) -> int:
    """Return what the sink has counted since the last question."""
    peer.settimeout(1)
    for _ in range(20):
        peer.send(b"count")
        with contextlib.suppress(TimeoutError):
            return int(peer.recv(100))
    raise SystemExit("the sink does not answer")


def offer(peer: socket.socket, rate: float, seconds: float) -> tuple[float, float]:
    """Send `rate` datagrams a second for a time; return how many a second did leave, and the part that was lost."""
    count(peer)
    sent = 0
    started = now = time.monotonic()
    while now - started < seconds:
        due = int((now - started) * rate) - sent
        while due > 0:
            burst = min(due, BURST)
            peer.send(DATAGRAM * burst)
            sent += burst
            due -= burst
        time.sleep(TICK)
        now = time.monotonic()
    if not sent:
        raise SystemExit("the sender had no turn: the machine is busy")
    time.sleep(SETTLE)
    return sent / (now - started), 1 - count(peer) / sent


def find_rate(address: str, seconds: float) -> tuple[float, float]:
    """Return the most datagrams a second of which less than LOSS_MAX are lost, and % lost when twice as many come."""
    peer = connected(address, 7000)
    peer.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, len(DATAGRAM))  # the kernel cuts: Python would be the slower end
    step = max(seconds / STEPS, STEP_SECONDS_MIN)

    def passes(rate: float) -> float:
        """Return the pace of what was sent, if it arrived; 0 otherwise. A busy moment may spoil a try."""
        for _ in range(TRIES):
            left, lost = offer(peer, rate, step)
            if lost < LOSS_MAX:
                return left
        return 0.0

    low, high, best = 0.0, RATE_FIRST, 0.0
    while (found := passes(high)) >= high * PACE_KEPT:
        low, high, best = high, high * 2, found
    if found:
        if found < SENDER_LEAST:
            raise SystemExit(f"the sender got no further than {found:.0f} datagrams a second: the machine is busy")
        return found, math.nan  # the sender is at its own end
    while high - low > low * PRECISION:
        middle = (low + high) / 2
        if middle < RATE_LEAST:
            raise SystemExit(f"the server loses {LOSS_MAX:.0%} even of {RATE_LEAST:.0f} datagrams a second")
        if found := passes(middle):
            low, best = middle, found
        else:
            high = middle
    return best, 100 * offer(peer, 2 * best, step)[1]


def be_flooded(address: str, seconds: float) -> tuple[float, int, int]:
    """Return seconds, datagrams sent and datagrams that arrived."""
    peer = connected(address, 7002)
    peer.settimeout(5)
    peer.send(str(seconds).encode())
    started = time.monotonic()
    arrived = 0
    while not (data := peer.recv(100)).startswith(b"end"):
        arrived += 1
    return time.monotonic() - started, int(data.split()[1]), arrived


def echo(address: str, seconds: float) -> tuple[float, int, int]:
    """Return seconds, datagrams sent and datagrams that came back."""
    peer = connected(address, 7001)
    peer.settimeout(LOST_AFTER)
    sent = arrived = lost = 0
    started = time.monotonic()
    while (now := time.monotonic()) - started < seconds:
        for _ in range(WINDOW - (sent - arrived - lost)):
            peer.send(DATAGRAM)
            sent += 1
        try:
            peer.recv(100)
            arrived += 1
        except TimeoutError:
            lost = sent - arrived
    return now - started, sent - WINDOW, arrived


def main(address: str, direction: str, seconds: float) -> None:
    if direction == "in":
        print(*find_rate(address, seconds))
        return
    duration, sent, arrived = {"out": be_flooded, "echo": echo}[direction](address, seconds)
    print(arrived / duration, max(100 * (1 - arrived / sent), 0.0) if sent > 0 else 100.0)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
