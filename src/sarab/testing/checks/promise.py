"""What the checkers share: a promise that was not kept, and a device that is open for as long as it is checked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from inspect import isawaitable
from typing import Any, TypeVar, cast

T = TypeVar("T")
Run = Callable[[Coroutine[Any, Any, None]], object]
"""Runs a coroutine to its end: asyncio.run, or what drives a virtual clock."""
PATIENCE_SECONDS = 10.0
"""How long one promise may take to be kept: a busy machine is no broken device."""


class Broken(AssertionError):
    """A promise of an interface was not kept; the text is the promise."""


def must(promise: bool, words: str) -> None:
    """Raise Broken with `words` unless the promise is kept."""
    if not promise:
        raise Broken(words)


async def must_raise(
    kinds: type[BaseException] | tuple[type[BaseException], ...], work: Awaitable[object], words: str
) -> None:
    """Raise Broken unless `work` ends by one of `kinds`."""
    try:
        await work
    except kinds:
        return
    except Exception as error:
        raise Broken(f"{words}, and it raised {type(error).__name__}: {error}") from error
    raise Broken(words)


async def each_must_raise(
    kinds: type[BaseException] | tuple[type[BaseException], ...], words: str, *works: Coroutine[Any, Any, object]
) -> None:
    """As must_raise() for each of `works`, one by one."""
    left = list(works)
    try:
        while left:
            await must_raise(kinds, left.pop(0), words)
    finally:
        for work in left:
            work.close()


async def within(work: Awaitable[T], words: str) -> T:
    """Return what `work` returns; Broken if it raises anything, or takes longer than anything may."""
    task = asyncio.ensure_future(work)
    if not (await asyncio.wait((task,), timeout=PATIENCE_SECONDS))[0]:
        task.cancel()
        await asyncio.wait((task,))
        raise Broken(f"{words}: nothing happened in {PATIENCE_SECONDS:g} s")
    try:
        return task.result()
    except Broken:
        raise
    except Exception as error:
        raise Broken(f"{words}, and it raised {type(error).__name__}: {error}") from error


@asynccontextmanager
async def opened(made: object) -> AsyncIterator[Any]:
    """Open what `make` returned, a device, an awaitable of one or its async context; it is closed behind the block."""
    if isawaitable(made):
        made = await made
    if hasattr(made, "__aenter__"):
        async with cast(Any, made) as device:
            yield device
        return
    try:
        yield made
    finally:
        close = getattr(made, "close", None)
        if close is not None:
            for _ in range(2):  # twice is harmless, with every device
                ended = close()
                if isawaitable(ended):
                    await ended
