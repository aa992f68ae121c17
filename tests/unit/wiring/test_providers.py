"""What sarab provides itself: every device type for every target, as the tables say; what it makes keeps promises."""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import sarab
from sarab.device.errors import DeviceLost
from sarab.driver.disk_memory import MemoryDisk
from sarab.testing.checks.block import check_block
from sarab.testing.checks.file_system import check_file_system
from sarab.testing.checks.key_value import check_key_value
from sarab.testing.checks.stack import check_stack
from sarab.wiring.graph import load
from sarab.wiring.keys import Name
from sarab.wiring.providers import (
    host_block,
    host_stack,
    host_store,
    log,
    memory_block,
    memory_file_system,
    memory_key_value,
    network,
)
from sarab.wiring.run import Lifetimes
from sarab.wiring.signature import fits, read
from sarab.wiring.target import TARGETS

DEVICES = (
    "Block", "Clock", "Console", "Ethernet", "FileSystem", "IP", "KeyValue", "Log", "Metrics", "Network", "Random",
    "Resolver", "Stack", "TCP", "UDP",
)  # fmt: skip


@pytest.mark.parametrize("target", TARGETS)
def test_every_device_has_a_provider_that_provides_it(target: str) -> None:
    table = import_module(f"sarab.wiring.providers.{target}").PROVIDERS
    for name in DEVICES:
        kind = getattr(sarab, name)
        key = f"{kind.__module__}:{kind.__qualname__}"
        if (target, name) == ("test", "Network"):
            assert key not in table, "a World has cards of its own"
            continue
        assert fits(read(load(table[key], "the table")).provides, kind), f"{target}: {name}"
        assert load(table[key], "the table").__doc__, "describe shows it"
    assert len(table) == len(DEVICES) - (target == "test")


@asynccontextmanager
async def context(made: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """A provider's generator, as the wiring opens and closes it."""
    yield await anext(made)
    assert await anext(made, "end") == "end"


def test_a_folder_of_the_host_keeps_values_and_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sarab.testing.checks.key_value.ROOM_MAX", 1 << 20)
    monkeypatch.setattr("sarab.testing.checks.file_system.ROOM_MAX", 1 << 20)
    count = 0

    def fresh() -> str:
        nonlocal count
        count += 1
        path = tmp_path / str(count)
        path.mkdir()
        return str(path)

    check_key_value(lambda: context(host_store.key_value(Name("data"), folder=fresh())))
    check_file_system(lambda: context(host_store.file_system(Name("data"), folder=fresh())))
    check_key_value(lambda: context(host_store.key_value(Name("data"))))
    check_file_system(lambda: context(host_store.file_system(Name("data"))))
    with pytest.raises(DeviceLost, match="the folder /none of data cannot be used: No such file or directory"):
        asyncio.run(anext(host_store.key_value(Name("data"), folder="/none")))  # type: ignore[arg-type]


def test_memory_keeps_values_files_and_disks() -> None:
    check_key_value(lambda: memory_key_value.key_value(Name("data")))
    check_file_system(lambda: memory_file_system.file_system(Name("data")))
    check_block(lambda: memory_block.block(Name("data")))
    assert isinstance(memory_block.block(Name("data")), MemoryDisk)


def test_a_file_of_the_host_is_a_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "data.img"
    path.write_bytes(bytes(1 << 20))
    monkeypatch.setenv("SARAB_BLOCK", f"logs={path}:ro,data={path}")
    check_block(lambda: context(host_block.block(Name("data"))))
    check_block(lambda: context(host_block.block(Name("logs"))))
    with pytest.raises(DeviceLost, match=r"this process has no disk other: .* --block other=FILE"):
        asyncio.run(anext(host_block.block(Name("other"))))  # type: ignore[arg-type]
    for text in ("data", "data=", "data=:ro"):
        with pytest.raises(DeviceLost, match="names no disk"):
            host_block.files({"SARAB_BLOCK": text})


def test_a_process_has_the_hosts_network() -> None:
    check_stack(host_stack.stack)


def test_a_card_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "start_cards", lambda environ, wanted: {})
    with pytest.raises(DeviceLost, match="there is no network card eth1"):
        next(network.network(Name("eth1")))


def test_the_log_is_on_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "install", lambda made: None)
    shown = io.StringIO()
    monkeypatch.setattr(sys, "stderr", shown)
    made = log.log(levels="*:error,app:debug", json=True)
    made.info("not shown")
    made.named("app").debug("shown", number=1)
    assert '"message": "shown", "number": 1' in shown.getvalue()
    assert "not shown" not in shown.getvalue()
    assert log.levels("tcp:debug") == "tcp:debug"
    with pytest.raises(ValueError, match="levels of a log, such as"):
        log.levels("loud")


def test_a_device_that_cannot_be_opened_ends_the_application_with_a_sentence(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def lost() -> AsyncIterator[str]:
        raise DeviceLost("this process has no disk data")
        yield "never"

    def lost_too() -> Iterator[str]:
        yield from ()
        raise DeviceLost("this process has no card eth1")

    async def main(number: int) -> None:
        async with AsyncExitStack() as exits:
            lifetimes = Lifetimes(exits)
            works: tuple[Callable[[], Awaitable[object]], ...] = (
                lambda: lifetimes.generator(lost()),
                lambda: lifetimes.iterator(lost_too()),
                lambda: lifetimes.awaited(anext(lost())),
                lambda: lifetimes.context(asynccontextmanager(lost)()),
            )
            await works[number]()

    for number, what in enumerate(("disk data", "card eth1", "disk data", "disk data")):
        with pytest.raises(SystemExit) as caught:
            asyncio.run(main(number))
        assert caught.value.code == 2
        assert capsys.readouterr().err == f"sarab: this process has no {what}.\n"
