"""sarab's stack over a card that an application's own provider makes: a driver from anybody's package."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Interface
from typing import Any

import pytest

from sarab import Network, Stack, unikernel
from sarab.aio.loop import Loop
from sarab.aio.network import NetworkDriver
from sarab.device.errors import DeviceLost
from sarab.driver.memory import pair
from sarab.net.stack import Stack as NetStack
from sarab.wiring.graph import resolve
from sarab.wiring.live import call
from sarab.wiring.providers.stack_over import stack_over
from sarab.wiring.run import Lifetimes

CARDS: list[Network] = []
HEARD: list[bytes] = []
READY = threading.Event()


def from_a_package() -> Network:
    """What another package would bring."""
    return CARDS.pop()


@unikernel(providers=[stack_over, from_a_package])
async def server(stack: Stack) -> None:
    async with await stack.listen_tcp(80) as listener:
        READY.set()
        async with await listener.accept() as flow:
            HEARD.append(await flow.read_exactly(5))
            await flow.write(b"there")


@unikernel(providers=[stack_over, from_a_package])
async def client(stack: Stack) -> None:
    reader, writer = await asyncio.open_connection("10.0.0.1", 80)  # asyncio's own calls reach the card, too
    writer.write(b"hello")
    HEARD.append(await reader.readexactly(5))
    writer.close()


def run(application: Any, address: str) -> Loop:
    """Run it in a loop of its own, over a stack without cards."""
    loop = Loop(NetworkDriver(NetStack(os.urandom)))

    async def start() -> None:
        from contextlib import AsyncExitStack

        graph = resolve(application, "process")
        async with AsyncExitStack() as exits:
            await call(graph, Lifetimes(exits), {"stack:Stack": {"ip": [IPv4Interface(address)]}})

    try:
        loop.run_until_complete(asyncio.wait_for(start(), 20))
    finally:
        loop.close()
    return loop


def test_two_applications_talk_over_a_driver_from_outside() -> None:
    left, right = pair()
    CARDS[:] = [left]
    HEARD.clear()
    READY.clear()
    thread = threading.Thread(target=run, args=(server, "10.0.0.1/24"))
    thread.start()
    assert READY.wait(20)
    CARDS[:] = [right]
    loop = run(client, "10.0.0.2/24")
    thread.join(20)
    assert sorted(HEARD) == [b"hello", b"there"]
    assert loop.driver.cards == []
    left.close()
    right.close()


def test_its_keys_are_called_as_the_device() -> None:
    graph = resolve(server, "process")
    assert [node.setting.name for node in graph.keys] == ["stack-ip", "stack-gateway", "stack-dns", "stack-hostname"]
    assert graph.machine == []


def in_a_loop(main: Awaitable[Any]) -> None:
    loop = Loop(NetworkDriver(NetStack(os.urandom)))
    try:
        loop.run_until_complete(main)
    finally:
        loop.close()


@pytest.mark.parametrize(
    ("runner", "descriptors", "sentence"),
    [
        (asyncio.run, True, "sarab's stack runs in sarab's event loop"),
        (in_a_loop, False, "has no descriptor"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    runner: Callable[[Awaitable[Any]], Any], descriptors: bool, sentence: str
) -> None:
    left, right = pair(descriptors=descriptors)
    with pytest.raises(DeviceLost, match=sentence):
        runner(anext(stack_over(left)))
    left.close()
    right.close()
