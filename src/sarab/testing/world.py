"""A world of its own for tests: unikernels on hosts, a network between them, disks, and a time that waits for nobody.

    from sarab.testing.world import World

    async def test_fetch(world: World) -> None:          # the fixture comes with sarab's pytest plugin
        server = world.start(web.main, port=80)
        client = world.start(fetch.main, url=f"http://{server.address}/")
        assert await client.result() == 0
        assert "200 OK" in client.console.text

Without pytest: `World(seed=1).run(scenario)`, where `scenario` is an async function that takes the world.

Every host has its own stack, address, clock, randomness, console, log and disks; all run in one event loop in this
process, with no virtual machine and no socket. Time is virtual: `asyncio.sleep(3600)` takes none of yours. Of one seed
the same happens each time, frame by frame, as far as the program itself asks nobody else: not the operating system for
time or randomness, nor a thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from ipaddress import IPv4Address
from typing import Any, TypeVar

from sarab.device.network import Offload
from sarab.testing.host import Host, Run
from sarab.testing.link import Link
from sarab.testing.supply import name_of
from sarab.testing.virtual import BEGIN, SECOND, Stuck, WorldLoop, current, virtual_time

T = TypeVar("T")
NETWORK = IPv4Address("10.0.0.0")
"""A /16: the test itself is 10.0.0.1, the first host 10.0.0.2."""
HOSTS_MAX = 60_000
LIMIT_SECONDS = 24 * 3600.0
"""Of virtual time: a test that is not over by then waits for something that does not happen."""


class World:
    """See the module. One scenario runs in it."""

    def __init__(self, seed: int = 0, *, limit: float = LIMIT_SECONDS, offloads: Offload = Offload.NONE) -> None:
        """`limit`: seconds of virtual time after which the scenario is given up.

        `offloads` is what the hosts' cards do for their stacks: with TSO4 a burst of TCP is one frame, which is lost or
        arrives as one, and larger tests take a tenth of the time.
        """
        self.seed = seed
        self.hosts: list[Host] = []
        self.links: list[Link] = []
        self.link = self.network("net", offloads=offloads)
        """Where every host's first card is."""
        self._limit = limit
        self._loop: WorldLoop | None = None
        self._over = False
        self._test = self.host("test")
        self._test.is_test = True

    @property
    def loop(self) -> WorldLoop:
        """The event loop. Raises RuntimeError before run()."""
        if self._loop is None:
            raise RuntimeError(
                "a world has a loop of its own: take the pytest fixture `world` in an `async def` test, "
                "or call World().run(scenario)"
            )
        return self._loop

    @property
    def now(self) -> float:
        """Seconds of virtual time since the world began."""
        return 0.0 if self._loop is None else (self._loop.now - BEGIN) / SECOND

    @property
    def address(self) -> IPv4Address:
        """The test's own address: asyncio.open_connection() in the test goes out from there."""
        return self._test.address

    async def sleep(self, seconds: float) -> None:
        """Let virtual time pass."""
        await asyncio.sleep(seconds)

    # ---- hosts ---------------------------------------------------------------------------------------------------

    def host(self, name: str, *, address: str | IPv4Address | None = None, link: Link | None = None) -> Host:
        """Return a new host without an application: for disks with something on them, and for an address of its own.

        disk = world.host("store").disk("data")      # then host.start(application)

        Its card is on `link`, a network() that somebody else joins to the world's. Other hosts find it by its name.
        Raises ValueError for a name or an address that another host has.
        """
        if any(host.name == name for host in self.hosts):
            raise ValueError(f"this world has a host {name} already")
        if len(self.hosts) >= HOSTS_MAX:
            raise ValueError(f"a world has {HOSTS_MAX} hosts at most")
        chosen = NETWORK + len(self.hosts) + 1 if address is None else IPv4Address(address)
        taken = {host.address: host.name for host in self.hosts}
        while address is None and chosen in taken:
            chosen += 1
        if chosen in taken:
            raise ValueError(f"the address {chosen} is that of the host {taken[chosen]}")
        if chosen.packed[:2] != NETWORK.packed[:2]:
            raise ValueError(f"the address {chosen} is not in the world's network, {NETWORK}/16")
        made = Host(self, name, chosen, link or self.link)
        self.hosts.append(made)
        return made

    def start(self, application: Callable[..., Any], /, **given: Any) -> Host:
        """Boot an application on a new host, which is called as the application.

        `application` is a @unikernel, or any async function. Its devices are supplied: Stack, TCP, UDP, IP, Resolver on
        the world's network; Clock, Random, Console, Log, Metrics of the host; Block, KeyValue and FileSystem by their
        names, in memory. `given` are its keys, and devices that take the place of these: `start(main, data=my_block)`.
        Raises TypeError for what is no parameter, and for a key that is missing.
        """
        name = base = name_of(application)
        count = 1
        while any(host.name == name for host in self.hosts):
            count += 1
            name = f"{base}-{count}"
        return self.host(name).start(application, **given)

    def network(self, name: str, *, offloads: Offload = Offload.NONE) -> Link:
        """Return a new network. Its card() is a Network for an application that brings its own stack, or a bridge."""
        link = Link(name, self.seed, lambda: BEGIN if self._loop is None else self._loop.now, offloads=offloads)
        self.links.append(link)
        return link

    def trace(self) -> list[str]:
        """Return a line for every frame on the world's link; see Link.lines()."""
        return self.link.lines()

    # ---- running -------------------------------------------------------------------------------------------------

    def run(self, scenario: Callable[[World], Coroutine[Any, Any, T]]) -> T:
        """Run a scenario to its end and return what it returns; then every host loses its power.

        Raises what the scenario raises; Stuck if nothing can happen any more, with who waits for what; and what ended a
        unikernel, if nobody has asked for its result().
        """
        __tracebackhide__ = True
        if self._over:
            raise RuntimeError("a world is for one scenario: make another")
        self._over = True
        end = BEGIN + int(self._limit * SECOND)
        loop = self._loop = WorldLoop(self.links, end, self._address_of)
        with virtual_time():
            try:
                return self._play(loop, scenario)
            finally:
                self._end(loop)

    def _play(self, loop: WorldLoop, scenario: Callable[[World], Coroutine[Any, Any, T]]) -> T:
        __tracebackhide__ = True
        place = self._test.run = Run(self._test, 0)
        loop.places.append(place)
        context = copy_context()
        context.run(current.set, place)
        loop.main = main = loop.create_task(scenario(self), name="the test", context=context)
        try:
            result = loop.run_until_complete(main)
        except (asyncio.CancelledError, RuntimeError):
            if not loop.stuck:
                raise
            failed = self._failed()
            raise Stuck(loop.stuck) from failed
        failed = self._failed()
        if failed is not None:
            raise failed
        return result

    def _failed(self) -> BaseException | None:
        for host in self.hosts:
            failure = host.failure
            if failure is not None:
                failure.add_note(f"This ended the unikernel {host.name}, and nobody asked for its result().")
                return failure
        return None

    def _end(self, loop: WorldLoop) -> None:
        for host in self.hosts:
            if host.is_up and not host.is_test:
                host.kill()
        loop.main = None
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            try:
                loop.run_until_complete(asyncio.wait(left))
            except RuntimeError:
                pass  # a task that does not let itself be ended
        try:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
        except RuntimeError:
            pass
        loop.close()

    def _address_of(self, name: str) -> bytes | None:
        name = name.rstrip(".").lower()
        return next((host.address.packed for host in self.hosts if host.name.lower() == name), None)
