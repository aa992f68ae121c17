"""sarab's network stack over a card whose driver is not sarab's.

    @unikernel(providers=[stack_over, their_package.card])
    async def main(stack: Stack) -> None: ...

`their_package.card` is any provider of a Network: a driver of another device on the kernel's device files, a tunnel, a
wrapper of another card.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from typing import Annotated

from sarab.aio.network import NetworkDriver
from sarab.aio.packets import StackIP
from sarab.aio.stack import AsyncioStack
from sarab.device.errors import DeviceLost
from sarab.device.network import Network
from sarab.device.stack import Stack
from sarab.net.interface import Configuration
from sarab.wiring.keys import Key

FLUSH_SECONDS, FLUSH_STEP = 1.0, 0.01
"""How long the end waits for what was written to be acknowledged, and how often it looks."""


async def stack_over(
    card: Network,
    *,
    ip: Annotated[list[IPv4Interface | IPv6Interface], Key("addresses; without, DHCP and autoconfiguration")] = [],  # noqa: B006
    gateway: Annotated[list[IPv4Address | IPv6Address], Key("routers, one a family")] = [],  # noqa: B006
    dns: Annotated[list[IPv4Address | IPv6Address], Key("who resolves names")] = [],  # noqa: B006
    hostname: Annotated[str, Key("the name of this host, for DHCP")] = "",
) -> AsyncIterator[Stack]:
    """The network of a card; asyncio's own calls reach it too, beside the machine's cards."""
    driver: NetworkDriver | None = getattr(asyncio.get_running_loop(), "driver", None)
    if driver is None:
        raise DeviceLost(
            "sarab's stack runs in sarab's event loop: in an image, or by 'sarab run --on process --tap NAME'"
        )
    if card.fileno() < 0:
        raise DeviceLost(
            "the card has no descriptor that tells when frames come (Network.fileno), and would never be read"
        )
    configuration = Configuration(
        addresses=tuple((own.ip.packed, own.network.prefixlen) for own in ip),
        gateways=tuple(router.packed for router in gateway),
        dns=tuple(server.packed for server in dns),
        ipv6=not any(own.version == 6 for own in ip),
        dhcp=not any(own.version == 4 for own in ip),
        hostname=hostname,
    )
    with driver.lock:
        taken = {interface.name for interface in driver.stack.interfaces}
        name = next(f"eth{number}" for number in range(len(taken) + 1) if f"eth{number}" not in taken)
        interface = driver.stack.add_interface(name, card.mac, card.mtu, card.offloads, configuration)
    driver.add_card(card, interface)
    driver.flush()
    yield AsyncioStack(StackIP(driver))
    end = asyncio.get_running_loop().time() + FLUSH_SECONDS
    while any(flow.machine.unsent for flow in driver.stack.tcp.flows.values()):
        if asyncio.get_running_loop().time() >= end:
            break
        await asyncio.sleep(FLUSH_STEP)
    driver.remove_card(card)
