"""What every wired application starts with: its keys, the machine it needs, its devices, its end.

The main module that sarab makes for an image (decision 0060) calls run(); nothing else does in an image.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, NoReturn, TypeVar

from sarab.device.errors import DeviceLost
from sarab.wiring import settings as keys
from sarab.wiring.errors import KeyProblem
from sarab.wiring.settings import Setting, Values

T = TypeVar("T")
USAGE_STATUS = 2
TERMINATED_STATUS = 128 + signal.SIGTERM


class Lifetimes:
    """The open devices: closed in reverse, however the application ends.

    One that is not there to be opened ends the application with the sentence that says so, and status 2.
    """

    def __init__(self, exits: AsyncExitStack) -> None:
        self._exits = exits

    def value(self, device: T) -> T:
        """Have a device that needs no closing."""
        return device

    async def awaited(self, making: Awaitable[T]) -> T:
        """Wait for a device to be made."""
        try:
            return await making
        except DeviceLost as why:
            refuse(str(why))

    async def context(self, manager: AbstractAsyncContextManager[T]) -> T:
        """Enter an async context manager."""
        try:
            return await self._exits.enter_async_context(manager)
        except DeviceLost as why:
            refuse(str(why))

    async def generator(self, made: AsyncIterator[T]) -> T:
        """Have what an async generator yields; behind its `yield` it goes on when the application has ended."""
        try:
            device = await anext(made)
        except StopAsyncIteration:
            raise RuntimeError(f"{getattr(made, '__qualname__', made)}() yielded no device") from None
        except DeviceLost as why:
            refuse(str(why))
        self._exits.push_async_callback(_go_on, made)
        return device

    async def iterator(self, made: Iterator[T]) -> T:
        """Have what a generator yields; behind its `yield` it goes on when the application has ended."""
        try:
            device = next(made)
        except StopIteration:
            raise RuntimeError(f"{getattr(made, '__qualname__', made)}() yielded no device") from None
        except DeviceLost as why:
            refuse(str(why))
        self._exits.callback(next, made, None)
        return device


async def _go_on(made: AsyncIterator[Any]) -> None:
    # However the application ended: a device closes itself, and does not judge who used it.
    await anext(made, None)


Start = Callable[[Lifetimes, Values], Coroutine[Any, Any, int | None]]


def run(
    start: Start,
    *,
    name: str,
    doc: str = "",
    settings: Sequence[Setting] = (),
    needs: Sequence[tuple[str, str]] = (),
    raw: Sequence[str] = (),
    arguments: Sequence[str] | None = None,
) -> NoReturn:
    """Run an application and exit with its status: what it returns, or 0.

    `needs` are the devices of the machine, (kind, name): all are looked for before any is opened. `raw` are the cards
    that the network stack must leave alone. A wrong key or a missing device ends it with a sentence and status 2;
    SIGTERM cancels it, closes its devices and gives 143.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    if "--help" in words or "-h" in words:
        print(keys.usage(name, doc, settings))
        sys.exit(0)
    try:
        values = keys.read(settings, words, os.environ)
    except KeyProblem as problem:
        refuse(str(problem))
    if needs:
        from sarab.wiring.needs import missing

        sentence = missing(needs, os.environ, raw)
        if sentence:
            refuse(sentence)
    if raw:
        os.environ["SARAB_RAW"] = ",".join(raw)
    sys.exit(asyncio.run(_run(start, values)) or 0)


def refuse(sentence: str) -> NoReturn:
    """Print a sentence and exit with 2."""
    print(f"sarab: {sentence}.", file=sys.stderr)
    sys.exit(USAGE_STATUS)


async def _run(start: Start, values: Values) -> int | None:
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    told = False

    def terminate() -> None:
        nonlocal told
        told = True
        task.cancel()

    loop.add_signal_handler(signal.SIGTERM, terminate)
    try:
        async with AsyncExitStack() as exits:
            return await start(Lifetimes(exits), values)
    except asyncio.CancelledError:
        if not told:
            raise
        return TERMINATED_STATUS
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
