"""The network of a Linux process: sarab's own stack on a tap, or the host's sockets."""

from __future__ import annotations

import asyncio

from sarab.aio.host_ip import HostIP
from sarab.aio.packets import StackIP
from sarab.aio.stack import AsyncioStack
from sarab.device.stack import Stack

_ip = HostIP()


async def stack() -> Stack:
    """The network of the process."""
    driver = getattr(asyncio.get_running_loop(), "driver", None)
    return AsyncioStack(_ip if driver is None else StackIP(driver))
