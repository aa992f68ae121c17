"""A network card that the application drives itself."""

from __future__ import annotations

import os
from collections.abc import Iterator

from sarab.device.errors import DeviceLost
from sarab.device.network import Network
from sarab.wiring.keys import Name
from sarab.wiring.network import start_cards


def network(name: Name) -> Iterator[Network]:
    """A card of the machine, or a tap of the process: eth0, eth1, ... in the order in which they are needed."""
    try:
        found = start_cards(os.environ, lambda card: card == name)
    except ValueError as error:
        raise DeviceLost(str(error)) from None
    if name not in found:
        raise DeviceLost(f"there is no network card {name}")
    card = found[name]
    yield card
    card.close()
