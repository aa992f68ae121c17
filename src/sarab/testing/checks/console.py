"""What every device.console.Console promises, checked: `check_console(make)`.

`make` returns the console, what types on it (a text with its line breaks; "" is the end of the input), and what tells
everything that was written on it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sarab.device.console import Console
from sarab.testing.checks.promise import Run, must, opened, within

Made = tuple[object, Callable[[str], object], Callable[[], str]]


def check_console(make: Callable[[], Made], run: Run = asyncio.run) -> None:
    """Check a console; `make` returns a fresh one, to be awaited or entered if it must be. Raises Broken."""
    run(_check(make))


async def _check(make: Callable[[], Made]) -> None:
    made, typed, shown = make()
    async with opened(made) as console:
        await within(_writes(console, shown), "a console is written on")
    made, typed, _ = make()
    async with opened(made) as console:
        await within(_reads(console, typed), "lines come as they are typed")


async def _writes(console: Console, shown: Callable[[], str]) -> None:
    for text in ("hello", "", ", wörld\n", "second line\n\n"):
        console.write(text)
    must(shown() == "hello, wörld\nsecond line\n\n", "write() writes the text as it is, at once, and nothing else")


async def _reads(console: Console, typed: Callable[[str], object]) -> None:
    waiting = asyncio.ensure_future(console.read_line())
    await asyncio.sleep(0.001)
    must(not waiting.done(), "read_line() waits for a line")
    typed("first\n")
    must(await waiting == "first\n", "read_line() returns the line with its break")
    typed("second ü\n")
    typed("\n")
    typed("third\n")
    must(
        [await console.read_line() for _ in range(3)] == ["second ü\n", "\n", "third\n"],
        "lines come in order, and one that is empty is a line",
    )
    waiting = asyncio.ensure_future(console.read_line())
    await asyncio.sleep(0.001)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    typed("fourth\n")
    must(await console.read_line() == "fourth\n", "a read_line() that is cancelled takes nothing with it")
    typed("")
    must(
        [await console.read_line() for _ in range(2)] == ["", ""], 'read_line() is "" at the end of the input, for ever'
    )
