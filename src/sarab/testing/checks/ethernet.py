"""What every device.ethernet.Ethernet promises, checked: `check_ethernet(make)`; `make` returns it and a far end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

from sarab.device.errors import OutOfRange
from sarab.device.ethernet import Ethernet
from sarab.device.network import Outgoing
from sarab.testing.cards import FarEnd
from sarab.testing.checks.promise import PATIENCE_SECONDS, Broken, Run, must, must_raise, opened, within

ETHERTYPE = 0x88B5
"""IEEE 802's for local experiments: no host answers to it."""
PEER = b"\x02\0\0\0\0\x99"
FLOOD = 5000
"""Frames that nobody fetches: more than any bound."""
LOOK_SECONDS = 0.001


def check_ethernet(make: Callable[[], tuple[object, FarEnd]], run: Run = asyncio.run) -> None:
    """Check it; `make` returns a fresh one, to be awaited or entered if it must be, and the far end of its cable.

    Raises Broken.
    """
    run(_check(make))


async def _check(make: Callable[[], tuple[object, FarEnd]]) -> None:
    for check in (_facts, _sends, _receives, _bounds):
        made, far = make()
        async with AsyncExitStack() as keep:
            device: Any = await keep.enter_async_context(opened(made))
            await within(check(device, far), f"a card answers ({check.__name__.strip('_')})")


async def _facts(device: Ethernet, _far: FarEnd) -> None:
    must(type(device.mac) is bytes and len(device.mac) == 6, "mac is six bytes")
    must(576 <= device.mtu <= 65535, "mtu is between 576 and 65535")


async def _arrived(far: FarEnd, count: int) -> list[bytes]:
    found: list[bytes] = []
    for _ in range(int(PATIENCE_SECONDS / LOOK_SECONDS)):
        found += [each.data for each in far.receive(64) if each.data[12:14] == ETHERTYPE.to_bytes(2, "big")]
        if len(found) >= count:
            return found
        await asyncio.sleep(LOOK_SECONDS)
    raise Broken("what was sent arrives")


async def _sends(device: Ethernet, far: FarEnd) -> None:
    payload = bytearray(b"payload that the sender uses again".ljust(60))
    await device.send(PEER, ETHERTYPE, memoryview(payload)[:50])
    payload[:] = bytes(60)
    await device.send(b"\xff" * 6, ETHERTYPE, bytes(device.mtu))
    first, second = await _arrived(far, 2)
    kind = ETHERTYPE.to_bytes(2, "big")
    must(
        first == PEER + device.mac + kind + b"payload that the sender uses again".ljust(50), "a frame is sent as it was"
    )
    must(second == b"\xff" * 6 + device.mac + kind + bytes(device.mtu), "a payload of the MTU is sent whole")
    for destination, ethertype, data in (
        (PEER, ETHERTYPE, bytes(device.mtu + 1)),
        (PEER[:5], ETHERTYPE, b"x"),
        (PEER, 0x10000, b"x"),
        (PEER, -1, b"x"),
    ):
        await must_raise(OutOfRange, device.send(destination, ethertype, data), "send() of no frame raises OutOfRange")


def _frame(destination: bytes, number: int) -> Outgoing:
    return Outgoing(destination + PEER + ETHERTYPE.to_bytes(2, "big"), number.to_bytes(2, "big").ljust(50))


async def _receives(device: Ethernet, far: FarEnd) -> None:
    task = asyncio.ensure_future(device.receive())
    await asyncio.sleep(LOOK_SECONDS)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    frames = [
        _frame(device.mac, 1),
        _frame(b"\x02\0\0\0\0\x55", 2),
        _frame(b"\xff" * 6, 3),
        _frame(b"\x01" + bytes(5), 4),
    ]
    must(far.send(frames) == len(frames), "the far end could not send: check make()")
    for number in (1, 3, 4):
        got = await device.receive()
        must(
            got == (PEER, ETHERTYPE, number.to_bytes(2, "big").ljust(50)),
            "frames for the card, for all and for groups are received in order, and those for others are not",
        )


async def _bounds(device: Ethernet, far: FarEnd) -> None:
    sent = 0
    while sent < FLOOD:
        taken = far.send([_frame(device.mac, sent + step) for step in range(50)])
        sent += taken
        await asyncio.sleep(0)
        if not taken:
            await asyncio.sleep(LOOK_SECONDS)
    await asyncio.sleep(50 * LOOK_SECONDS)
    last = -1
    count = 0
    while count < sent:
        try:
            async with asyncio.timeout(100 * LOOK_SECONDS):
                number = int.from_bytes((await device.receive())[2][:2], "big")
        except TimeoutError:
            break
        must(number > last, "frames come in order, and each once")
        last, count = number, count + 1
    must(0 < count < sent, "frames that nobody fetches are dropped beyond a bound")
