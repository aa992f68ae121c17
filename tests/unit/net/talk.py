"""Two hosts of a virtual link that talk TCP: what several tests begin with."""

from __future__ import annotations

from sarab.net.endpoints import Flow
from sarab.testing.network import Host, VirtualLink


def connect(link: VirtualLink, a: Host, b: Host, address: bytes = b"", seconds: float = 120) -> tuple[Flow, Flow]:
    """Connect `a` to port 80 of `b`, at `address` if it is not the first; return both ends. `b` listens on."""
    listener = b.stack.tcp_listen(link.now, b"", 80)
    flow = a.stack.tcp_connect(link.now, address or b.address, 80)
    link.run(seconds, until=lambda: listener.waiting > 0)
    accepted = listener.accept()
    assert accepted is not None
    return flow, accepted


def transfer(link: VirtualLink, sender: Flow, receiver: Flow, data: bytes, seconds: float = 600) -> bytes:
    """Send all of `data` and the end behind it; return what the other side read until its end."""
    got = bytearray()
    at = 0

    def step() -> bool:
        nonlocal at
        if at < len(data):
            at += sender.write(link.now, data[at : at + 100_000])
            if at == len(data):
                sender.shutdown_write(link.now)
        got.extend(receiver.read(link.now, 1 << 20))
        return receiver.eof and not receiver.readable

    link.run(seconds, until=step)
    return bytes(got)
