"""Joins two networks at the Ethernet: `sarab run --tap left --tap right examples/wired/bridge.py`.

It learns behind which card each host is (IEEE 802.1D section 7.8), so that a frame goes to the side that it is for.
"""

import asyncio
from typing import Annotated

from sarab import Key, Network, unikernel
from sarab.device.network import Outgoing

FRAMES_AT_ONCE = 64


class Side:
    """One card, and the hosts that are behind it."""

    def __init__(self, card: Network) -> None:
        self.card = card
        self.hosts: dict[bytes, None] = {}

    def forward(self, other: "Side", hosts_max: int) -> None:
        """Carry over what has come, but for frames between two hosts of this side."""
        outgoing: list[Outgoing] = []
        for frame in self.card.receive(FRAMES_AT_ONCE):
            destination, source = frame.data[:6], frame.data[6:12]
            if len(self.hosts) < hosts_max:
                self.hosts[source] = None
            other.hosts.pop(source, None)
            if destination not in self.hosts:
                outgoing.append(Outgoing(frame.data))
        other.card.send(outgoing)


@unikernel
async def main(
    left: Network, right: Network, *, hosts: Annotated[int, Key("addresses that are remembered for each side")] = 1024
) -> None:
    """Carry frames between two cards."""
    loop = asyncio.get_running_loop()
    sides = Side(left), Side(right)
    for side, other in (sides, sides[::-1]):
        loop.add_reader(side.card.fileno(), side.forward, other, hosts)
    await asyncio.Event().wait()
