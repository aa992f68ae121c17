"""sarab's own stack, which the event loop of an image, of a process on a tap, and of a World drives."""

from __future__ import annotations

import asyncio
from typing import Any

from sarab.aio.packets import StackIP
from sarab.aio.stack import AsyncioStack
from sarab.device.stack import Stack


async def stack() -> Stack:
    """The network of the cards: eth0, and all others that the application does not drive itself."""
    loop: Any = asyncio.get_running_loop()
    return AsyncioStack(StackIP(loop.driver))
