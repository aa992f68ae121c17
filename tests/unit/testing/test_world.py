"""sarab.testing's world: unikernels on hosts, virtual time, a network with weather, disks that outlive their hosts."""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, cast

import pytest

from sarab import (
    TCP,
    Block,
    Clock,
    Console,
    FileSystem,
    Key,
    KeyValue,
    Log,
    Metrics,
    Network,
    Random,
    Resolver,
    Stack,
    choose,
    unikernel,
)
from sarab.aio.packets import StackIP
from sarab.aio.stack import AsyncioStack
from sarab.device.errors import DeviceLost
from sarab.device.log import Level
from sarab.device.network import Outgoing
from sarab.driver.disk_memory import MemoryDisk
from sarab.testing import devices, link
from sarab.testing.checks.block import check_block
from sarab.testing.checks.clock import check_clock
from sarab.testing.checks.console import check_console
from sarab.testing.checks.log import check_log
from sarab.testing.checks.random import check_random
from sarab.testing.checks.stack import check_stack
from sarab.testing.devices import Event, HostClock, HostConsole, HostLog, HostRandom
from sarab.testing.host import Host, Run
from sarab.testing.virtual import _TIMED, Stuck, current
from sarab.testing.world import World
from sarab.wiring.errors import WiringError

SECTOR = 512


async def upper(port: int = 7) -> None:
    """A plain asyncio program: serves lines in capitals."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line.upper())
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "0.0.0.0", port)
    print("serving")
    async with server:
        await server.serve_forever()


async def ask(host: str, count: int = 1, port: int = 7) -> int:
    """Its client. It ends before the server has closed, with all that it read on its console."""
    reader, writer = await asyncio.open_connection(host, port)
    for number in range(count):
        writer.write(b"line %d\n" % number)
        print((await reader.readline()).decode(), end="")
    writer.close()
    await writer.wait_closed()
    return 0


@unikernel
async def counter(
    data: Block, clock: Clock, console: Console, log: Log, random: Random,
    *, flush: Annotated[bool, Key("flush")] = True, greeting: Annotated[str, Key("what it says")],
) -> int:  # fmt: skip
    """Counts its boots in the first byte of a disk."""
    count = (await data.read(0, 1))[0] + 1
    await data.write(0, bytes([count]) * SECTOR)
    if flush:
        await data.flush()
    console.write(f"{greeting} {count} {clock.now():%H:%M:%S} {random.below(1 << 30)}\n")
    log.named("disk").info("counted", count=count)
    await clock.sleep(3600)
    return count


def test_two_unikernels_talk_over_their_own_stacks() -> None:
    async def scenario(world: World) -> None:
        server = world.start(upper, port=80)
        client = world.start(ask, host=str(server.address), port=80)
        assert await client.result() == 0
        assert server.console.lines == ["serving"]
        assert client.console.text == "LINE 0\n"
        assert any(" server" not in line and "S." in line for line in world.trace()), "no handshake on the wire"

    World().run(scenario)


def test_hosts_find_each_other_by_name_and_the_test_is_one_of_them() -> None:
    async def scenario(world: World) -> bytes:
        world.start(upper)
        reader, writer = await asyncio.open_connection("upper", 7)
        assert writer.get_extra_info("sockname")[0] == str(world.address)
        writer.write(b"x\n")
        line = await reader.readline()
        writer.close()
        return line

    assert World().run(scenario) == b"X\n"


def test_two_hosts_have_the_same_port() -> None:
    async def scenario(world: World) -> None:
        one, two = world.start(upper), world.start(upper)
        assert (one.name, two.name) == ("upper", "upper-2")
        assert one.address != two.address
        for host in (one, two):
            assert await world.start(ask, host=host.name).result() == 0

    World().run(scenario)


def test_an_hour_of_sleep_takes_no_time_of_ours() -> None:
    async def scenario(world: World) -> None:
        await asyncio.sleep(3600)
        assert 3600 <= world.now < 3600.001

    began = time.monotonic()
    World().run(scenario)
    assert time.monotonic() - began < 60, "virtual time is real"


def lossy(seed: int) -> list[str]:
    """A conversation over a bad link; returns its frames."""

    async def scenario(world: World) -> list[str]:
        world.link.loss, world.link.jitter, world.link.duplicate, world.link.corrupt = 0.1, 0.01, 0.05, 0.02
        world.start(upper)
        client = world.start(ask, host="upper", count=40)
        assert await client.result() == 0
        assert client.console.lines == [f"LINE {number}" for number in range(40)]
        assert world.link.lost > 3
        return world.trace()

    return World(seed).run(scenario)


def test_the_same_seed_gives_the_same_frames_and_another_seed_others() -> None:
    assert lossy(1) == lossy(1)
    assert lossy(1) != lossy(2)


def test_the_frames_do_not_depend_on_the_hash_seed_of_the_interpreter() -> None:
    program = "import sys; from tests.unit.testing.test_world import lossy; print(hash('') , len(lossy(3)), lossy(3))"
    found = set()
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", program.replace("hash('') , ", "")],
            cwd=Path(__file__).parents[3], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True,
        )  # fmt: skip
        found.add(done.stdout)
    assert len(found) == 1


def test_a_host_that_dies_loses_what_was_not_flushed_and_boots_again_with_its_disk() -> None:
    async def scenario(world: World, flush: bool) -> list[str]:
        host = world.start(counter, greeting="boot", flush=flush)
        for _ in range(8):
            await world.sleep(1)
            host.kill()
            assert await host.result() == 137
            host.boot()
        await world.sleep(1)
        assert [event.message for event in host.log] == ["counted"] * 9
        assert (host.log[0].level, host.log[0].name) == (Level.INFO, "disk")
        return [line.split()[1] for line in host.console.lines]

    assert World(1).run(lambda world: scenario(world, True)) == [str(count) for count in range(1, 10)]
    lost = World(1).run(lambda world: scenario(world, False))
    assert lost[0] == "1"
    assert int(lost[-1]) < 9, "every write survived, though none was flushed"


def test_a_store_and_files_outlive_their_host_as_disks_do() -> None:
    @unikernel
    async def notes(values: KeyValue, files: FileSystem, metrics: Metrics) -> int:
        metrics.counter("boots_total").add()
        count = int(await values.get("count")) + 1 if await values.exists("count") else 1
        await values.set("count", str(count).encode())
        await files.write("/count", str(count).encode())
        assert "boots_total 1" in metrics.exposition()
        await asyncio.sleep(60)
        return int(await files.read("/count"))

    async def scenario(world: World) -> None:
        host = world.start(notes)
        await world.sleep(1)
        host.kill()
        host.boot()
        assert await host.result() == 2

    World().run(scenario)


def test_a_key_chooses_a_provider() -> None:
    def small() -> Block:
        return MemoryDisk(8)

    def large() -> Block:
        return MemoryDisk(800)

    @unikernel(devices={"data": choose("kind", {"small": small, "large": large})})
    async def sectors(data: Block) -> int:
        return data.sectors

    async def scenario(world: World) -> None:
        assert await world.start(sectors).result() == 8
        assert await world.start(sectors, kind="large").result() == 800
        with pytest.raises(WiringError, match="the key kind wants one of small, large, and 'vast' is not"):
            world.start(sectors, kind="vast")

    World().run(scenario)


def test_a_disk_is_as_large_as_its_key_says() -> None:
    @unikernel
    async def sectors(data: Block) -> int:
        return data.sectors

    async def scenario(world: World) -> None:
        assert await world.start(sectors).result() == 2048
        assert await world.start(sectors, data_size="8KiB").result() == 16

    World().run(scenario)


def test_clock_and_random_of_a_host_come_from_the_world() -> None:
    async def scenario(world: World) -> str:
        host = world.start(counter, greeting="x")
        assert await host.result() == 1
        return host.console.text

    first = World(5).run(scenario)
    assert " 00:00:00 " in first
    assert World(5).run(scenario) == first
    assert World(6).run(scenario) != first


def test_a_test_gives_devices_and_keys_of_its_own() -> None:
    disk = MemoryDisk.of(bytes([41]) * SECTOR)

    async def scenario(world: World) -> None:
        assert await world.start(counter, data=disk, greeting="hi", flush="no").result() == 42

    World().run(scenario)


def test_an_application_brings_its_providers() -> None:
    closed: list[str] = []

    async def worn() -> AsyncIterator[Block]:
        yield MemoryDisk.of(bytes([6]) * SECTOR)
        closed.append("worn")

    @unikernel(providers=[worn])
    async def seven(data: Block) -> int:
        return (await data.read(0, 1))[0] + 1

    async def scenario(world: World) -> None:
        assert await world.start(seven).result() == 7

    World().run(scenario)
    assert closed == ["worn"]


@unikernel
async def listens(tcp: TCP) -> None:
    async with await tcp.listen_tcp(80) as listener:
        async for _ in listener:
            pass


@unikernel
async def waits(tcp: TCP) -> None:
    flow = await tcp.connect_tcp("listens", 80)
    flow.keep_alive(60)
    with pytest.raises(TimeoutError):
        await flow.read()


def test_a_silent_peer_that_does_not_answer_is_given_up() -> None:
    async def scenario(world: World) -> None:
        world.start(listens)
        client = world.start(waits)
        await world.sleep(3600)  # it answers, minute by minute
        assert len(world.trace()) >= 100
        world.link.partition(["listens"], ["waits"])
        began = world.now
        await client.result()
        assert 60 <= world.now - began <= 130

    World().run(scenario)


def test_a_partition_parts_and_healing_joins() -> None:
    async def scenario(world: World) -> None:
        world.start(upper)
        world.link.partition(["upper"], ["ask"])
        client = world.start(ask, host="upper")
        await world.sleep(1)
        assert client.is_up
        assert client.console.text == ""
        world.link.heal()
        assert await client.result() == 0

    World().run(scenario)


def test_delay_is_what_a_round_trip_takes() -> None:
    async def scenario(world: World) -> None:
        world.start(upper)
        await world.sleep(1)
        world.link.delay = 0.25
        began = world.now
        _, writer = await asyncio.open_connection("upper", 7)
        assert 1.0 <= world.now - began < 1.01, "ARP and SYN, there and back"
        writer.close()

    World().run(scenario)


def test_waiting_for_what_cannot_happen_says_who_waits_for_what() -> None:
    async def scenario(world: World) -> None:
        world.start(upper)
        reader, _ = await asyncio.open_connection("upper", 7)
        await reader.readline()  # nobody writes

    with pytest.raises(Stuck) as caught:
        World().run(scenario)
    text = str(caught.value)
    assert text.startswith("nothing can happen any more, 1.00")
    assert "test: the test waits in scenario (test_world.py:" in text
    assert "await reader.readline()" in text
    assert "upper: main waits in upper (test_world.py:" in text


def test_a_world_that_never_comes_to_an_end_is_given_up() -> None:
    async def forever(world: World) -> None:
        while True:
            await asyncio.sleep(1)

    async def spins(world: World) -> None:
        while True:
            await asyncio.sleep(0)

    with pytest.raises(Stuck, match="60 s of virtual time have passed"):
        World(limit=60).run(forever)
    with pytest.raises(Stuck, match="time stands still"):
        World().run(spins)


def test_what_ends_a_unikernel_is_raised_by_result_and_else_at_the_end() -> None:
    async def broken() -> None:
        raise ZeroDivisionError("its own fault")

    async def asks(world: World) -> None:
        with pytest.raises(ZeroDivisionError):
            await world.start(broken).result()

    async def asks_not(world: World) -> None:
        world.start(broken)
        await world.sleep(1)

    World().run(asks)
    with pytest.raises(ZeroDivisionError) as caught:
        World().run(asks_not)
    assert caught.value.__notes__ == ["This ended the unikernel broken, and nobody asked for its result()."]


def test_stop_ends_an_application_as_sigterm_does() -> None:
    async def scenario(world: World) -> None:
        host = world.start(upper)
        await world.sleep(1)
        assert await host.stop() == 143
        assert not host.is_up
        with pytest.raises(OSError):
            await asyncio.open_connection("upper", 7)

    World().run(scenario)


def test_what_was_written_before_the_end_arrives_in_spite_of_loss() -> None:
    async def say(host: str) -> None:
        _, writer = await asyncio.open_connection(host, 9)
        writer.write(b"last words")
        writer.close()

    async def hear() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            print((await reader.read()).decode())
            writer.close()

        async with await asyncio.start_server(serve, "0.0.0.0", 9) as server:
            await server.serve_forever()

    async def scenario(world: World) -> None:
        heard = world.start(hear)
        world.link.loss = 0.3
        assert await world.start(say, host="hear").result() == 0
        await world.sleep(60)
        assert heard.console.lines == ["last words"]

    World(2).run(scenario)


def test_a_console_is_typed_on() -> None:
    @unikernel
    async def echo(console: Console) -> None:
        while line := await console.read_line():
            console.write(f"you said {line}")

    async def scenario(world: World) -> None:
        host = world.start(echo)
        host.console.type("hello")
        host.console.type("")
        assert await host.result() == 0
        assert host.console.text == "you said hello\n"

    World().run(scenario)


def test_a_card_of_another_network_is_an_applications_own() -> None:
    @unikernel
    async def bridge(inside: Network, outside: Network) -> None:
        loop = asyncio.get_running_loop()
        for card, other in ((inside, outside), (outside, inside)):

            def carry(card: Network = card, other: Network = other) -> None:
                other.send([Outgoing(frame.data) for frame in card.receive(64)])

            loop.add_reader(card.fileno(), carry)
        try:
            await asyncio.Event().wait()
        finally:
            for card in (inside, outside):
                loop.remove_reader(card.fileno())

    async def scenario(world: World) -> None:
        far = world.network("far")
        world.start(bridge, inside=world.link.card("bridge"), outside=far.card("bridge"))
        probe = far.card("probe")
        await world.sleep(1)
        with pytest.raises(OSError):
            await asyncio.open_connection("10.0.200.1", 80)
        assert any(b"\x0a\x00\xc8\x01" in frame.data for frame in probe.receive(64)), "the ARP request went over"

    World().run(scenario)


def on_a_host(work: Coroutine[Any, Any, None]) -> None:
    """Run a check as the program of a host."""

    async def scenario(world: World) -> None:
        async def checked() -> None:
            await work

        assert await world.start(checked).result() == 0

    World().run(scenario)


def here() -> Run:
    return cast(Run, current.get())


def test_the_devices_of_a_host_keep_what_every_device_promises() -> None:
    check_stack(lambda: AsyncioStack(StackIP(current.get().driver)), on_a_host)
    check_clock(lambda: HostClock(here().host.world), on_a_host)
    check_random(lambda: HostRandom(here().random), on_a_host)

    def console() -> tuple[HostConsole, Callable[[str], None], Callable[[], str]]:
        made = HostConsole()
        return made, made.type, lambda: made.text

    check_console(console, on_a_host)

    def log() -> tuple[HostLog, Callable[[], list[str]]]:
        events: list[Event] = []
        return HostLog(here().host.world, events), lambda: [event.text() for event in events]

    check_log(log, on_a_host)


def test_the_disk_of_a_host_keeps_what_every_disk_promises() -> None:
    numbers = itertools.count()
    check_block(lambda: here().disk(f"disk{next(numbers)}", 4 << 20), on_a_host)


def test_an_application_speaks_over_the_stack_device() -> None:
    @unikernel
    async def serve(stack: Stack, *, port: Annotated[int, Key("port")] = 5) -> None:
        async with await stack.listen_tcp(port) as listener:
            async for flow in listener:
                async with flow:
                    await flow.write((await flow.read_until()).upper())

    @unikernel
    async def call(tcp: TCP, names: Resolver, *, port: Annotated[int, Key("port")] = 5) -> None:
        (address,) = await names.resolve("serve")
        async with await tcp.connect_tcp(address, port) as flow:
            await flow.write(b"over flows\n")
            print((await flow.read()).decode())

    async def scenario(world: World) -> None:
        world.start(serve)
        client = world.start(call)
        assert await client.result() == 0
        assert client.console.lines == ["OVER FLOWS", ""]

    World().run(scenario)


def test_every_module_of_the_loop_that_asks_for_the_time_asks_the_world() -> None:
    import pkgutil
    from importlib import import_module

    import sarab.aio

    found = {name for _, name, _ in pkgutil.iter_modules(sarab.aio.__path__)}
    asking = {name for name in found if hasattr(import_module(f"sarab.aio.{name}"), "monotonic_ns")}
    of_threads = {"blocking", "service", "sockets", "udp"}
    """Blocking sockets, which a world has none of."""
    assert asking - of_threads == {module.__name__.rpartition(".")[2] for module in _TIMED}


def test_a_long_conversation_is_remembered_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "SENT_BYTES_MAX", 5000)

    async def scenario(world: World) -> None:
        world.start(upper)
        assert await world.start(ask, host="upper", count=100).result() == 0
        assert 5 < len(world.link.sent) < 20
        assert world.trace()[-1].startswith(f"{world.link.sent[-1].time / 1e9 - 1:.6f} ")

    World().run(scenario)


def test_console_and_log_of_a_program_gone_mad_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "CONSOLE_CHARACTERS_MAX", 50)
    monkeypatch.setattr(devices, "EVENTS_MAX", 10)

    @unikernel
    async def mad(log: Log) -> None:
        for number in range(100):
            print(number)
            log.info(f"event {number}")

    async def scenario(world: World) -> None:
        host = world.start(mad)
        assert await host.result() == 0
        assert len(host.console.text) <= 50
        assert host.console.lines[-1] == "99"
        assert 5 <= len(host.log) <= 10
        assert host.log[-1].message == "event 99"

    World().run(scenario)


def test_a_dead_hosts_program_reaches_nothing_any_more() -> None:
    seen: list[str] = []

    @unikernel
    async def clinging(data: Block) -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            print("still here")
            try:
                await data.write(0, bytes(SECTOR))
            except DeviceLost as lost:
                seen.append(str(lost))

    async def scenario(world: World) -> Host:
        host = world.start(clinging)
        await world.sleep(1)
        host.kill()
        await world.sleep(1)
        return host

    assert World().run(scenario).console.text == ""
    assert len(seen) == 1


def test_wrong_calls_say_what_is_wrong() -> None:
    async def scenario(world: World) -> None:
        with pytest.raises(TypeError, match=r"counter needs the key greeting: start\(..., greeting=...\)"):
            world.start(counter)
        with pytest.raises(TypeError, match=r"has no parameter and no key greetin \(is greeting meant\?\)"):
            world.start(counter, greetin="x")
        with pytest.raises(TypeError, match=r"the key flush wants .*, and 'perhaps' is not"):
            world.start(counter, greeting="x", flush="perhaps")
        with pytest.raises(WiringError, match="data is to be Block, and what was given is none"):
            world.start(counter, greeting="x", data=5)
        with pytest.raises(ValueError, match="this world has a host test already"):
            world.host("test")
        with pytest.raises(ValueError, match=r"10\.0\.0\.1 is that of the host test"):
            world.host("other", address="10.0.0.1")
        with pytest.raises(ValueError, match=r"loss is between 0 and 1, not 2"):
            world.link.loss = 2
        with pytest.raises(RuntimeError, match="no sockets of the operating system"):
            import socket

            with socket.socket() as mine:
                await asyncio.get_running_loop().sock_connect(mine, ("10.0.0.1", 1))

    World().run(scenario)
    with pytest.raises(RuntimeError, match="a world has a loop of its own"):
        World().start(upper)


def test_a_thread_works_while_virtual_time_stands_still() -> None:
    def work() -> int:
        time.sleep(0.05)
        return 5

    async def scenario(world: World) -> None:
        assert await asyncio.wait_for(asyncio.to_thread(work), 0.01) == 5
        assert world.now == 0

    World().run(scenario)
