"""A host of a World: a machine with a card, disks and a console, and the unikernel that runs on it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any, TypeVar

from sarab.aio.network import NetworkDriver
from sarab.driver.disk_memory import MemoryDisk
from sarab.net.interface import Configuration
from sarab.net.stack import Stack
from sarab.testing.devices import Event, HostConsole
from sarab.testing.virtual import SECOND, current

if TYPE_CHECKING:
    from sarab.testing.link import Link
    from sarab.testing.world import World

T = TypeVar("T")
STATUS_KILLED = 137
"""Of a host that was killed, as of a machine (sarab.machine.outcome)."""
STATUS_STOPPED = 143
"""128 + SIGTERM: of an application that ends by being cancelled."""
SECTOR_SIZE = 512
DISK_SECTORS = 2048
"""Of a disk that a test says nothing about: 1 MiB."""
PREFIX = 16
DRAIN, DRAIN_STEP = 1 * SECOND, 0.01
"""How long the end of a program waits for what it wrote to be acknowledged, as in an image (aio.network); seconds."""


class Run:
    """One run of a host, from power to the end of its program."""

    def __init__(self, host: Host, number: int) -> None:
        self.host = host
        self.name = host.name
        self.alive = True
        """It has power."""
        self.killed = False
        self.tasks: dict[asyncio.Task[Any], None] = {}
        """All that have not ended, in the order of their making."""
        self.main: asyncio.Task[int] | None = None
        self.disks: dict[str, MemoryDisk] = {}
        """Those that the program has opened."""
        seed = f"{host.world.seed}/{host.name}/{number}"
        self.random = random.Random(seed)
        stack = Stack(random.Random(f"{seed}/stack").randbytes)
        self.driver = NetworkDriver(stack)
        self.card = host.link.card(host.name, descriptor=False)
        configuration = Configuration(((host.address.packed, PREFIX),))
        interface = stack.add_interface("eth0", self.card.mac, self.card.mtu, self.card.offloads, configuration)
        self.driver.add_card(self.card, interface)

    def write(self, text: str) -> bool:
        """What the program prints; of a host without power, nothing. False: it has no console of its own."""
        if self.host.is_test:
            return False
        if self.alive:
            self.host.console.write(text)
        return True

    def disk(self, name: str, size: int) -> MemoryDisk:
        """Return the host's disk of this name, made of so many bytes if there is none."""
        disk = self.disks[name] = self.host.disk(name, sectors=size // SECTOR_SIZE)
        return disk

    async def finish(self) -> None:
        """As the end of asyncio.run() and of an interpreter: end the other tasks, and send what was written."""
        others = [task for task in self.tasks if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        if others:
            await asyncio.wait(others)
        self.host.world.loop.release(self.driver)
        end = self.host.world.loop.now + DRAIN
        while self.alive and any(flow.machine.unsent for flow in self.driver.stack.tcp.flows.values()):
            if self.host.world.loop.now >= end:
                break
            await asyncio.sleep(DRAIN_STEP)
        self.off()

    def off(self) -> None:
        """No power any more."""
        loop = self.host.world.loop
        self.alive = False
        if self in loop.places:
            self.driver.poll()
            loop.places.remove(self)
            self.card.close()
            loop.release(self.driver)


class Host:
    """A machine of a World. What is on its disks, its console and in its log stays when it is booted again."""

    def __init__(self, world: World, name: str, address: IPv4Address, link: Link) -> None:
        self.world, self.name, self.address, self.link = world, name, address, link
        self.is_test = False
        """It is the test's own, which prints where tests print."""
        self.console = HostConsole()
        self.log: list[Event] = []
        """Everything that the program's Log was told."""
        self.runs = 0
        """How often it was booted."""
        self.run: Run | None = None
        """The run that is, or was the last."""
        self._disks: dict[str, MemoryDisk] = {}
        self._kept: dict[str, Any] = {}
        self._program: Callable[[Run], Awaitable[int | None]] | None = None
        self._asked = False

    def __repr__(self) -> str:
        return f"<Host {self.name} {self.address} {'up' if self.is_up else 'down'}>"

    @property
    def is_up(self) -> bool:
        """Whether its program runs."""
        return self.run is not None and self.run.alive

    def disk(self, name: str, *, sectors: int = DISK_SECTORS, sector_size: int = SECTOR_SIZE) -> MemoryDisk:
        """Return its disk, made of zeros when it is first asked for."""
        if name not in self._disks:
            self._disks[name] = MemoryDisk(sectors, sector_size=sector_size)
        return self._disks[name]

    def keep(self, name: str, make: Callable[[], T]) -> T:
        """Return what is kept under a name, made when it is first asked for: it outlives the runs, as a disk does.

        A store and a file system are kept so: each change to them survives kill(), flushed or not.
        """
        if name not in self._kept:
            self._kept[name] = make()
        kept: T = self._kept[name]
        return kept

    # ---- its life ------------------------------------------------------------------------------------------------

    def start(self, application: Callable[..., Any], /, **given: Any) -> Host:
        """Boot an application; return the host itself. What is given are devices and keys, by parameter.

        See World.start(). Raises RuntimeError if the host is up.
        """
        from sarab.testing.supply import program

        self._program = program(application, given)
        self.boot()
        return self

    def boot(self) -> None:
        """Boot again what start() was given. Raises RuntimeError if the host is up, or was never started."""
        if self._program is None:
            raise RuntimeError(f"the host {self.name} has no application: start() it first")
        if self.is_up:
            raise RuntimeError(f"the host {self.name} is up: kill() or stop() it first")
        self.runs += 1
        self._asked = False
        run = self.run = Run(self, self.runs)
        loop = self.world.loop
        loop.places.append(run)
        context = copy_context()
        context.run(current.set, run)
        run.main = loop.create_task(self._live(run, self._program), name="main", context=context)
        run.main.add_done_callback(lambda _: run.off())

    async def _live(self, run: Run, program: Callable[[Run], Awaitable[int | None]]) -> int:
        try:
            return await program(run) or 0
        except SystemExit as end:
            if isinstance(end.code, int | None):
                return end.code or 0
            run.write(f"{end.code}\n")
            return 1
        finally:
            if run.alive:
                await run.finish()

    def kill(self) -> None:
        """Take its power away, now. What its disks were told but not to flush() may be lost, by the world's seed."""
        run = self._up()
        run.alive, run.killed = False, True  # before the tasks hear of it: nothing of their last moments is seen
        run.card.close()
        for name, disk in run.disks.items():
            self._disks[name] = disk.crashed(run.random)
            disk.close()
        run.off()
        for task in tuple(run.tasks):
            task.cancel()

    async def stop(self) -> int:
        """Press its power button, which is SIGTERM for the program; return the exit status when it has ended."""
        run = self._up()
        assert run.main is not None
        run.main.cancel()
        return await self.result()

    def _up(self) -> Run:
        if self.run is None or not self.run.alive:
            raise RuntimeError(f"the host {self.name} is not up")
        return self.run

    async def result(self) -> int:
        """Wait for the end of the program; return its exit status: 137 if it was killed, 143 if it was stopped.

        An exception that ended the program is raised here, as it is.
        """
        run = self.run
        if run is None or run.main is None:
            raise RuntimeError(f"the host {self.name} was never started")
        self._asked = True
        await asyncio.wait([run.main])
        if run.killed:
            return STATUS_KILLED
        return STATUS_STOPPED if run.main.cancelled() else run.main.result()

    @property
    def failure(self) -> BaseException | None:
        """The exception that ended the program, if nobody has asked for it by result()."""
        run = self.run
        if self._asked or run is None or run.main is None or not run.main.done() or run.main.cancelled() or run.killed:
            return None
        return run.main.exception()
