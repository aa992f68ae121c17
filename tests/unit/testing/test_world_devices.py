"""The devices that a host of a World gives to an application keep the promises of every device, in virtual time."""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from sarab.aio.ethernet import CardEthernet
from sarab.aio.packets import StackIP
from sarab.aio.stack import AsyncioStack
from sarab.testing.cards import FarEnd
from sarab.testing.checks.block import check_block
from sarab.testing.checks.clock import check_clock
from sarab.testing.checks.console import check_console
from sarab.testing.checks.ethernet import check_ethernet
from sarab.testing.checks.log import check_log
from sarab.testing.checks.random import check_random
from sarab.testing.checks.stack import check_stack
from sarab.testing.devices import Event, HostClock, HostConsole, HostLog, HostRandom
from sarab.testing.host import Host
from sarab.testing.link import Card
from sarab.testing.virtual import current
from sarab.testing.world import World

WORLD: list[World] = []


def in_a_world(work: Coroutine[Any, Any, Any]) -> Any:
    async def scenario(world: World) -> Any:
        return await work

    WORLD[:] = [World(seed=1)]
    return WORLD[0].run(scenario)


def host() -> Host:
    return WORLD[0]._test


def test_clock_and_randomness() -> None:
    check_clock(lambda: HostClock(WORLD[0]), in_a_world)
    check_random(lambda: HostRandom(random.Random(1)), in_a_world)


def test_console() -> None:
    def make() -> Any:
        console = HostConsole()
        return console, lambda text: console.type(text), lambda: console.text

    check_console(make, in_a_world)


def text_of(event: Event) -> str:
    try:
        return f"{event.name} {event.message} {event.fields}"
    except RuntimeError:
        return "what cannot be shown"


def test_log() -> None:
    def make() -> tuple[HostLog, Callable[[], Sequence[str]]]:
        events: list[Event] = []
        return HostLog(WORLD[0], events), lambda: [text_of(event) for event in events]

    check_log(make, in_a_world)


def test_disks() -> None:
    count = 0

    def make() -> Any:
        nonlocal count
        count += 1
        return host().disk(f"disk{count}", sectors=4096)

    check_block(make, in_a_world)


def test_stack() -> None:
    check_stack(lambda: AsyncioStack(StackIP(current.get().driver)), in_a_world)


def test_cards_and_frames() -> None:
    def cards() -> tuple[Card, Card]:
        link = WORLD[0].network(f"link{len(WORLD[0].links)}")
        return link.card("here"), link.card("there")

    def bare() -> tuple[CardEthernet, FarEnd]:
        here, there = cards()
        return CardEthernet(here), there

    check_ethernet(bare, in_a_world)
