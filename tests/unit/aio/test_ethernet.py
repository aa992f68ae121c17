"""Frames beside the stack and on a bare card: both keep the promises of Ethernet."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from typing import Any

import pytest

from sarab.aio.ethernet import CardEthernet
from sarab.aio.loop import Loop
from sarab.aio.network import NetworkDriver
from sarab.aio.packets import StackEthernet
from sarab.device.errors import DeviceLost, OutOfRange
from sarab.driver.memory import Memory, pair
from sarab.net.interface import Configuration
from sarab.net.stack import Stack
from sarab.testing.checks.ethernet import check_ethernet
from sarab.testing.checks.promise import Broken

LOOP: list[Loop] = []


def run_in_ours(work: Coroutine[Any, Any, Any]) -> Any:
    loop = Loop(NetworkDriver(Stack(os.urandom)))
    LOOP[:] = [loop]
    try:
        return loop.run_until_complete(asyncio.wait_for(work, 60))
    finally:
        for card in tuple(loop.driver.cards):
            card.device.close()
        loop.close()


def beside() -> tuple[StackEthernet, Memory]:
    """On a card that the loop's stack has as another eth."""
    driver = LOOP[0].driver
    left, right = pair()
    stack = driver.stack
    interface = stack.add_interface(
        f"eth{len(driver.cards)}", left.mac, left.mtu, left.offloads, Configuration(ipv6=False)
    )
    driver.add_card(left, interface)
    return StackEthernet(driver, len(driver.cards) - 1), right


def alone() -> tuple[CardEthernet, Memory]:
    left, right = pair()
    return CardEthernet(left), right


def test_beside_the_stack_it_keeps_the_promises() -> None:
    check_ethernet(beside, run_in_ours)


def test_on_a_bare_card_it_keeps_the_promises() -> None:
    check_ethernet(alone)


class Liar(CardEthernet):
    lie = ""

    async def receive(self) -> tuple[bytes, int, bytes]:
        sender, kind, payload = await super().receive()
        return (sender, kind, payload.rstrip()) if self.lie == "trims" else (sender, kind, payload)

    async def send(self, destination: bytes, ethertype: int, payload: Any) -> None:
        if self.lie == "cuts":
            payload = payload[: self.mtu]
        await super().send(destination[:6].ljust(6) if self.lie == "pads" else destination, ethertype, payload)


@pytest.mark.parametrize("lie", ["trims", "cuts", "pads"])
def test_the_checker_finds_a_card_that_lies(lie: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def make() -> tuple[Liar, Memory]:
        left, right = pair()
        return Liar(left), right

    monkeypatch.setattr(Liar, "lie", lie)
    with pytest.raises(Broken):
        check_ethernet(make)


def test_the_stacks_own_types_are_not_to_be_had() -> None:
    async def main() -> None:
        device, _ = beside()
        with pytest.raises(OutOfRange, match="0x0800 are the stack's own"):
            await device.send(b"\xff" * 6, 0x0800, b"x")
        with pytest.raises(OSError, match="in use"):
            StackEthernet(LOOP[0].driver)
        with pytest.raises(DeviceLost, match="no network card eth7"):
            StackEthernet(LOOP[0].driver, 7)
        device.close()
        with pytest.raises(DeviceLost):
            await device.receive()
        with pytest.raises(DeviceLost):
            await device.send(b"\xff" * 6, 0x88B5, b"x")

    run_in_ours(main())


def test_a_full_card_makes_send_wait_and_a_lost_one_ends_it() -> None:
    async def main() -> None:
        left, right = pair(capacity=2)
        device = CardEthernet(left)
        for _ in range(2):
            await device.send(b"\xff" * 6, 0x88B5, b"x")
        task = asyncio.ensure_future(device.send(b"\xff" * 6, 0x88B5, b"y"))
        await asyncio.sleep(0.01)
        assert not task.done()
        right.receive(1)
        await task
        waiting = asyncio.ensure_future(device.receive())
        await asyncio.sleep(0)
        device.close()
        with pytest.raises(DeviceLost, match="closed"):
            await waiting
        right.close()

    asyncio.run(main())
