"""A log on standard error, with what programs tell the standard logging module."""

from __future__ import annotations

import sys
from typing import Annotated

from sarab.aio.log import ConsoleLog, Thresholds, install
from sarab.device.log import Log
from sarab.wiring.keys import Key


def levels(text: str) -> str:
    """Return what can be read as levels. Raises ValueError with a sentence."""
    try:
        Thresholds(text)
    except ValueError:
        raise ValueError("levels of a log, such as info, or *:info,tcp:debug,dns:quiet") from None
    return text


def log(
    *,
    levels: Annotated[str, Key("what is shown, by name: *:info,tcp:debug,dns:quiet", parse=levels)] = "info",
    json: Annotated[bool, Key("lines of JSON instead of text")] = False,
) -> Log:
    """A line for each event on standard error; `logging` tells it too, unless the application has arranged that."""
    made = ConsoleLog(_write, Thresholds(levels), is_json=json)
    install(made)
    return made


def _write(line: str) -> None:
    if sys.stderr is not None:
        sys.stderr.write(line)
        sys.stderr.flush()
