"""The network as the program sees it that runs on it: its counters, and a capture of its frames.

    from sarab import network

    network.counters()["tcp_retransmissions"]
    with network.capture("/tmp/out.pcap"):
        ...

A program that runs on a Linux process without `--tap` has the host's own network: the counters stand still then, and
there is no card to capture.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sarab.wiring.network import network as _network

if TYPE_CHECKING:
    from sarab.driver.pcap import Pcap

CAPTURE_SIZE_MAX = 8 << 20
"""Bytes of a capture's file, unless another bound is given: half of an image's /tmp."""

_captured: set[str] = set()


def counters() -> dict[str, int]:
    """Return everything that the stack and its cards counted since the start; docs/network.md names them.

    All only grow, but `tcp_flows`, the connections of this moment.
    """
    driver = _network()
    with driver.lock:
        found = driver.stack.statistics()
        for card in driver.cards:
            found[f"{card.interface.name}_ring_full"] = card.dropped
    return found


@contextmanager
def capture(path: str, card: str = "eth0", size_max: int = CAPTURE_SIZE_MAX) -> Iterator[Pcap]:
    """Write every frame of `card` into the file `path`, for Wireshark, until the block ends.

    Gives an object whose `missed` counts the frames that are not in the file: it was full (`size_max` bytes), or
    /tmp was.
    Raises ValueError if there is no such card, or it is being captured already; OSError if the file cannot be made.
    """
    from sarab.driver.pcap import Pcap

    driver = _network()
    with driver.lock:
        found = {other.interface.name: other for other in driver.cards}.get(card)
        if found is None:
            have = ", ".join(other.interface.name for other in driver.cards) or "none"
            raise ValueError(f"there is no network card {card} here to capture; the cards are: {have}")
        if card in _captured:
            raise ValueError(f"the network card {card} is being captured already")
        below, file = found.device, open(path, "wb")  # noqa: SIM115  # closed below, when no thread writes any more
        found.device = writer = Pcap(below, file, size_max=size_max)
        _captured.add(card)
    try:
        yield writer
    finally:
        with driver.lock:
            found.device = below
            _captured.remove(card)
            file.close()
