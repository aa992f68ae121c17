"""The log on the console: what is shown, how, and how it and the logging module hear of each other."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from sarab.aio import log as logs
from sarab.aio.log import ConsoleLog, LoggingLog, Thresholds, install
from sarab.testing.checks.log import check_log
from sarab.testing.checks.promise import Broken

NOW = datetime(2026, 11, 25, 13, 54, 40, 123456, tzinfo=UTC)


@contextlib.contextmanager
def clean_root() -> Iterator[logging.Logger]:
    """logging's root as a program finds it; pytest's own handlers come back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers[:] = []
    try:
        yield root
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


def make(levels: str = "debug", is_json: bool = False) -> tuple[ConsoleLog, list[str]]:
    lines: list[str] = []
    return ConsoleLog(lines.append, Thresholds(levels), is_json=is_json, now=lambda: NOW), lines


@pytest.mark.parametrize("is_json", [False, True])
def test_on_the_console_it_keeps_the_promises(is_json: bool) -> None:
    def fresh() -> tuple[ConsoleLog, Callable[[], list[str]]]:
        log, lines = make(is_json=is_json)
        return log, lambda: lines

    check_log(fresh)


def test_by_the_logging_module_it_keeps_the_promises() -> None:
    class Keeps(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            self.texts.append(f"{record.name} {record.getMessage()}")

        texts: list[str]

    def fresh() -> tuple[LoggingLog, Callable[[], list[str]]]:
        handler = Keeps()
        handler.texts = []
        root.handlers[:] = [handler]
        root.setLevel(logging.DEBUG)
        return LoggingLog(), lambda: handler.texts

    with clean_root() as root:
        check_log(fresh)


class Liar(ConsoleLog):
    lie = ""

    def named(self, name: str, /) -> ConsoleLog:
        if self.lie == "renames itself":
            self.name = name
        return type(self)(self._write, self._thresholds, name=name)

    def log(self, level: int, name: str, message: str, fields: dict[str, Any]) -> None:
        if self.lie == "formats":
            message = message % () if "%s" not in message else message % ("", 0)
        if self.lie == "drops fields":
            fields = {}
        if self.lie == "raises":
            str(message)
            [str(value) for value in fields.values()]
        super().log(level, name, message, fields)


@pytest.mark.parametrize("lie", ["renames itself", "forgets above", "formats", "drops fields", "raises"])
def test_the_checker_finds_a_log_that_lies(lie: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fresh() -> tuple[Liar, Callable[[], list[str]]]:
        lines: list[str] = []
        return Liar(lines.append, Thresholds("debug")), lambda: lines

    monkeypatch.setattr(Liar, "lie", lie)
    with pytest.raises(Broken):
        check_log(fresh)


def test_a_line_is_as_the_docs_say() -> None:
    log, lines = make()
    log.named("tcp").warning("a listener is full", port=80, waiting=128, text='two "words"', empty="")
    assert lines == [
        "2026-11-25T13:54:40.123456Z WARNING tcp: a listener is full port=80 waiting=128 "
        'text="two \\"words\\"" empty=""\n'
    ]
    log, lines = make(is_json=True)
    log.named("tcp").warning("full", port=80, level="own", nan=float("nan"))
    assert json.loads(lines[0]) == {
        "time": "2026-11-25T13:54:40.123456Z", "level": "warning", "name": "tcp", "message": "full",
        "port": 80, "level_": "own", "nan": "nan",
    }  # fmt: skip


@pytest.mark.parametrize("is_json", [False, True])
def test_a_line_is_one_line_of_bounded_length_whatever_is_in_it(is_json: bool) -> None:
    log, lines = make(is_json=is_json)
    for text in ("a\nb\r\x1b[2J\u2028", "\n" * 100_000, "\U0001f600" * 100_000):
        log.info(text, field=text)
        log.named(text).info("x", **{text[:50]: 1})
    for line in lines:
        assert line.endswith("\n")
        assert len(line) <= logs.LINE_MAX + 1
        assert len(line.splitlines()) == 1
        assert line[:-1].isprintable()
        if is_json:
            json.loads(line)


def test_thresholds_are_by_the_longest_name() -> None:
    levels = Thresholds("*:warning, tcp:debug,tcp.listen:quiet")
    found = {name: levels.of(name) for name in ("", "dns", "tcp", "tcp.flow", "tcp.listen.x", "tcpx")}
    assert found == {"": 30, "dns": 30, "tcp": 10, "tcp.flow": 10, "tcp.listen.x": logs.QUIET, "tcpx": 30}
    assert levels.least == 10
    assert Thresholds("error").of("x") == 40
    assert Thresholds("").of("x") == 20
    for number in range(10_000):
        levels.of(f"tcp.{number}")
    assert len(levels._known) <= logs.NAMES_MAX


@pytest.mark.parametrize("text", ["loud", "tcp:loud", ":debug", "debug,tcp:", "tcp=debug"])
def test_what_is_no_level_is_said(text: str) -> None:
    with pytest.raises(ValueError, match="is no level of a log: give NAME:LEVEL"):
        Thresholds(text)


def test_what_programs_tell_logging_comes_to_the_log() -> None:
    log, lines = make("*:info,noisy:error")
    with clean_root() as root:
        install(log)
        install(log)
        assert len(root.handlers) == 1
        logging.getLogger("app.db").warning("slow %d ms", 30)
        logging.getLogger("noisy").warning("not shown")
        logging.getLogger("app").debug("not shown")
        try:
            raise KeyError("x")
        except KeyError:
            logging.getLogger("app").exception("failed")
    assert lines[0] == "2026-11-25T13:54:40.123456Z WARNING app.db: slow 30 ms\n"
    assert 'ERROR   app: failed error="KeyError: \'x\'" traceback="Traceback' in lines[1]
    assert len(lines) == 2


def test_a_program_that_has_arranged_its_logging_keeps_it() -> None:
    own = logging.NullHandler()
    with clean_root() as root:
        root.addHandler(own)
        install(make()[0])
        assert root.handlers == [own]


def test_a_log_that_cannot_write_takes_nobody_with_it() -> None:
    def fails(_line: str) -> None:
        raise OSError("gone")

    ConsoleLog(fails).info("x")


def test_events_told_to_logging_carry_who_told_them(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    LoggingLog("app").named("db").info("open", path="/x", size=3)
    LoggingLog("app").debug("not shown")
    (record,) = caplog.records
    assert (record.name, record.getMessage()) == ("app.db", "open path=/x size=3")
    assert record.funcName == "test_events_told_to_logging_carry_who_told_them"
