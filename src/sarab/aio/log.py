"""A log in lines on the console (device.log.Log), and how it and the standard logging module hear of each other.

    2026-11-25T13:54:40.123456Z WARNING tcp: a listener is full port=80 waiting=128
    {"time": "2026-11-25T13:54:40.123456Z", "level": "warning", "name": "tcp", "message": "...", "port": 80}

What is shown is said as MirageOS says it: `*:info,tcp:debug,dns:quiet`, or just `debug`.
"""

from __future__ import annotations

import json
import logging
import math
import sys
from collections.abc import Callable
from datetime import datetime

from sarab.aio.clock import SystemClock
from sarab.device.log import Field, Level, Log

LINE_MAX = 16384
"""Characters of a line; what is longer is cut, and ends in CUT."""
CUT = "..."
QUIET = 100
"""A threshold that nothing reaches."""
NAMES_MAX = 4096
"""Names of which the threshold is remembered; a program that invents more finds it out anew."""
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "quiet": QUIET, "app": 20}
_RESERVED = ("time", "level", "name", "message")


class Thresholds:
    """From which level on the events of a name are shown. The longest prefix in dots decides: `a` is for `a.b`, too."""

    def __init__(self, text: str = "") -> None:
        """`*:info,tcp:debug`, or `debug` for all. Raises ValueError with a sentence."""
        self._of: dict[str, int] = {"*": Level.INFO}
        self._known: dict[str, int] = {}
        for item in filter(None, (word.strip() for word in text.split(","))):
            name, colon, level = item.rpartition(":")
            if level.lower() not in _LEVELS or (colon and not name):
                raise ValueError(
                    f"'{item}' is no level of a log: give NAME:LEVEL, with debug, info, warning, error or quiet"
                )
            self._of[name or "*"] = _LEVELS[level.lower()]

    def of(self, name: str) -> int:
        """Return the least level that is shown."""
        found = self._known.get(name)
        if found is None:
            part = name
            while part and part not in self._of:
                part = part.rpartition(".")[0]
            found = self._of[part or "*"]
            if len(self._known) >= NAMES_MAX:
                self._known.clear()
            self._known[name] = found
        return found

    @property
    def least(self) -> int:
        """The least of all."""
        return min(self._of.values())


class ConsoleLog:
    """device.log.Log; each event is one line, given to `write` with its end."""

    def __init__(
        self,
        write: Callable[[str], object],
        thresholds: Thresholds | None = None,
        *,
        is_json: bool = False,
        now: Callable[[], datetime] | None = None,
        name: str = "",
    ) -> None:
        self._write, self._thresholds, self._is_json, self._now = (
            write,
            thresholds or Thresholds(),
            is_json,
            now or SystemClock().now,
        )
        self.name = name

    def debug(self, message: str, /, **fields: Field) -> None:
        """See Log."""
        self.log(Level.DEBUG, self.name, message, fields)

    def info(self, message: str, /, **fields: Field) -> None:
        """See Log."""
        self.log(Level.INFO, self.name, message, fields)

    def warning(self, message: str, /, **fields: Field) -> None:
        """See Log."""
        self.log(Level.WARNING, self.name, message, fields)

    def error(self, message: str, /, **fields: Field) -> None:
        """See Log."""
        self.log(Level.ERROR, self.name, message, fields)

    def named(self, name: str, /) -> ConsoleLog:
        """See Log."""
        whole = f"{self.name}.{name}" if self.name else name
        return ConsoleLog(self._write, self._thresholds, is_json=self._is_json, now=self._now, name=whole)

    def is_shown(self, level: int, name: str) -> bool:
        """Say whether an event would make a line."""
        return level >= self._thresholds.of(name)

    def log(self, level: int, name: str, message: str, fields: dict[str, Field]) -> None:
        """Write an event's line, if it is shown. Whatever goes wrong, it does not raise."""
        try:
            if level >= self._thresholds.of(name):
                make = json_line if self._is_json else text_line
                self._write(make(self._now(), level, name, message, fields))
        except Exception as error:  # a log that fails must not take its program with it
            try:
                sys.__stderr__ and sys.__stderr__.write(f"a log failed: {type(error).__name__}\n")
            except Exception:
                return


def level_name(level: int) -> str:
    """Return a level in lower case; one between two is called as the lower."""
    names = ("debug", "info", "warning", "error")
    return names[min(max(level // 10 - 1, 0), 3)]


def _time(now: datetime) -> str:
    return now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _clean(text: str) -> str:
    """Return text that stays in its line and moves no cursor: an attacker may have chosen it."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def _cut(line: str) -> str:
    return line if len(line) <= LINE_MAX else line[: LINE_MAX - len(CUT)] + CUT


def text_line(now: datetime, level: int, name: str, message: str, fields: dict[str, Field]) -> str:
    """Return an event as a line for a person."""
    words = [
        _time(now),
        f"{level_name(level).upper():<7}",
        *([f"{_clean(name)}:"] if name else []),
        _clean(str(message)),
    ]
    for key, value in fields.items():
        text = _clean(str(value))
        if isinstance(value, str) and (not text or any(letter in text for letter in ' "=')):
            text = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
        words.append(f"{_clean(key)}={text}")
    return _cut(" ".join(words)) + "\n"


def json_line(now: datetime, level: int, name: str, message: str, fields: dict[str, Field]) -> str:
    """Return an event as a line of JSON (RFC 8259). A field called as one of ours has an underscore at its end."""
    event: dict[str, Field] = {"time": _time(now), "level": level_name(level), "name": name, "message": str(message)}
    for key, value in fields.items():
        if isinstance(value, float) and not math.isfinite(value):
            value = str(value)
        elif not isinstance(value, str | int | float | None):
            value = str(value)
        event[f"{key}_" if key in _RESERVED else key] = value
    line = json.dumps(event)
    if len(line) <= LINE_MAX:
        return line + "\n"
    event = {**{key: event[key] for key in _RESERVED}, "cut": True}
    event["message"] = str(message)[: LINE_MAX // 16] + CUT  # a character may become twelve
    event["name"] = name[:256]
    return json.dumps(event) + "\n"


# ---- the standard logging module -------------------------------------------------------------------------------------


class Bridge(logging.Handler):
    """What programs tell `logging` comes to our log, under the logger's name."""

    def __init__(self, log: ConsoleLog) -> None:
        super().__init__(level=log._thresholds.least)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """See logging.Handler."""
        try:
            if not self._log.is_shown(record.levelno, record.name):
                return
            fields: dict[str, Field] = {}
            if record.exc_info and record.exc_info[0] is not None:
                fields["error"] = f"{record.exc_info[0].__name__}: {record.exc_info[1]}"
                fields["traceback"] = (self.formatter or logging.Formatter()).formatException(record.exc_info)
            self._log.log(record.levelno, record.name, record.getMessage(), fields)
        except Exception:
            self.handleError(record)


def install(log: ConsoleLog) -> None:
    """Have the root of `logging` tell `log`, unless the program has arranged it otherwise; ours is replaced."""
    root = logging.getLogger()
    if all(isinstance(handler, Bridge) for handler in root.handlers):
        for handler in tuple(root.handlers):
            root.removeHandler(handler)
        root.addHandler(Bridge(log))
        root.setLevel(log._thresholds.least)


class LoggingLog:
    """device.log.Log that tells the standard logging module: for a program whose host has arranged that already."""

    def __init__(self, name: str = "") -> None:
        self._name = name
        self._logger = logging.getLogger(name or None)

    def _log(self, level: int, message: str, fields: dict[str, Field]) -> None:
        try:
            if self._logger.isEnabledFor(level):
                words = "".join(f" {key}={value}" for key, value in fields.items())
                self._logger.log(level, "%s%s", message, words, stacklevel=3, extra={"sarab_fields": fields})
        except Exception:
            if logging.raiseExceptions and sys.__stderr__ is not None:
                sys.__stderr__.write(f"the log {self._name} failed\n")

    def debug(self, message: str, /, **fields: Field) -> None:
        """See Log."""
        self._log(Level.DEBUG, message, fields)

    def info(self, message: str, /, **fields: Field) -> None:
        """See Log."""
        self._log(Level.INFO, message, fields)

    def warning(self, message: str, /, **fields: Field) -> None:
        """See Log."""
        self._log(Level.WARNING, message, fields)

    def error(self, message: str, /, **fields: Field) -> None:
        """See Log."""
        self._log(Level.ERROR, message, fields)

    def named(self, name: str, /) -> Log:
        """See Log."""
        return LoggingLog(f"{self._name}.{name}" if self._name else name)
