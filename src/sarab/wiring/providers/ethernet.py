"""Frames of a card beside the network stack."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from sarab.aio.packets import StackEthernet
from sarab.device.errors import DeviceLost
from sarab.device.ethernet import Ethernet
from sarab.wiring.keys import Key, Name


async def ethernet(
    name: Name,
    *,
    card: Annotated[int, Key("the card, counted from 0 (eth0)")] = 0,
    ethertype: Annotated[int, Key("the type of frames, such as 0x88cc; 0: all that nobody else takes")] = 0,
) -> AsyncIterator[Ethernet]:
    """The frames of a card of which the stack does not speak the type."""
    driver = getattr(asyncio.get_running_loop(), "driver", None)
    if driver is None:
        raise DeviceLost(f"{name} needs a network card: a process has one with 'sarab run --on process --tap NAME'")
    device = StackEthernet(driver, card, ethertype)
    yield device
    device.close()
