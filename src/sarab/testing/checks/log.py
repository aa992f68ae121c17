"""What every device.log.Log promises, checked: `check_log(make)`.

`make` returns a log that shows everything from debug on, and what tells one text for each event that it has shown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from sarab.device.log import Log
from sarab.testing.checks.promise import Broken, Run, must, opened, within

Made = tuple[object, Callable[[], Sequence[str]]]


class _Awkward:
    """Whoever is asked what it is raises."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


def check_log(make: Callable[[], Made], run: Run = asyncio.run) -> None:
    """Check a log; `make` returns a fresh one, to be awaited or entered if it must be. Raises Broken."""
    run(_check(make))


async def _check(make: Callable[[], Made]) -> None:
    made, shown = make()
    async with opened(made) as log:
        await within(_events(log, shown), "a log takes events")
    made, shown = make()
    async with opened(made) as log:
        await within(_awkward(log, shown), "a log takes anything")


async def _events(log: Log, shown: Callable[[], Sequence[str]]) -> None:
    log.debug("first event")
    log.info("second event", port=8080, host="example.org", ratio=0.5, up=True, peer=None)
    log.warning("third event")
    log.error("fourth event")
    texts = list(shown())
    must(len(texts) == 4, "each event is shown once, in order, and at once")
    for text, word in zip(texts, ("first", "second", "third", "fourth"), strict=True):
        must(f"{word} event" in text, "an event is shown with its message")
    for word in ("port", "8080", "host", "example.org", "ratio", "0.5", "up", "peer"):
        must(word in texts[1], "an event is shown with its fields, by name and value")
    part = log.named("tcp")
    part.info("fifth event")
    part.named("listen").info("sixth event")
    log.info("seventh event")
    fifth, sixth, seventh = list(shown())[4:]
    must("tcp" in fifth, "a part's events carry its name")
    must("tcp.listen" in sixth, "a part of a part carries both names with a dot")
    must("tcp" not in seventh, "a part changes nothing of the log that it is of")


async def _awkward(log: Log, shown: Callable[[], Sequence[str]]) -> None:
    awkward: Any = _Awkward()
    try:
        log.info("%s %d {} {0} \\ \" '", port=1)
        log.info("two\nlines \x1b[31m\0", text="a\nb")
        log.info("", empty="", time="now", level="high", message="other", name="x", self="y")
        log.info("\ud800 alone", half="\udfff")
        log.error("numbers", large=1 << 200, nan=float("nan"), infinite=float("inf"))
        log.info("long", text="x" * 1_000_000)
        log.info("y" * 1_000_000)
        log.info("awkward", thing=awkward)
        log.info(awkward)
        log.named("").named("odd name\n").info("named")
    except Exception as error:
        raise Broken(f"a log never raises, and it raised {type(error).__name__}: {error}") from error
    texts = list(shown())
    must("%s %d {} {0}" in texts[0], "a message is text, and nothing in it is replaced")
    log.info("after all")
    must("after all" in list(shown())[-1], "a log goes on whatever it was told")
