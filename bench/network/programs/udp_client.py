"""``udp_client.py ADDRESS in|out|echo SECONDS``: drive udp_server.py; print datagrams a second and % lost.

`in`: send as fast as can be, and ask what arrived. `out`: be sent to. `echo`: keep WINDOW on their way.
"""

import contextlib
import socket
import sys
import time

DATAGRAM = bytes(100)
WINDOW = 64
LOST_AFTER = 0.2
"""Seconds of silence after which what is on its way is given up."""
BUFFER = 4 << 20


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


def flood(address: str, seconds: float) -> tuple[float, int, int]:
    """Return seconds, datagrams sent and datagrams that arrived."""
    peer = connected(address, 7000)
    count(peer)
    sent = 0
    peer.settimeout(None)
    started = time.monotonic()
    while (now := time.monotonic()) - started < seconds:
        for _ in range(64):
            peer.send(DATAGRAM)
        sent += 64
    time.sleep(0.1)
    return now - started, sent, count(peer)


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
    measure = {"in": flood, "out": be_flooded, "echo": echo}[direction]
    duration, sent, arrived = measure(address, seconds)
    print(arrived / duration, max(100 * (1 - arrived / sent), 0.0) if sent > 0 else 100.0)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
