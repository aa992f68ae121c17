"""asyncio's event loop on virtual time: whoever waits, waits for nothing but the next thing to happen.

There is one loop for all hosts of a World. Which host a task belongs to is in its context (contextvars): so plain
asyncio.start_server() and open_connection() go to that host's own stack, and print() to its console.
"""

from __future__ import annotations

import asyncio
import inspect
import linecache
import math
import selectors
import sys
import threading
import time
from asyncio import events, unix_events
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol

from sarab.aio import datagram, faces, loop, names, network, packets, stream
from sarab.aio.network import NetworkDriver

if TYPE_CHECKING:
    from sarab.testing.link import Link

SECOND = 1_000_000_000
BEGIN = SECOND
"""What the clock shows when a world begins, in nanoseconds: 0 is no time for a stack."""
TURNS_MAX = 100_000
"""Turns of the loop in one moment: some seconds of the host's time, in which nothing waits and nothing ends."""
_OWN_SOCKETS = (
    "a world of virtual time has no sockets of the operating system: "
    "use asyncio's streams and servers by host and port, or sarab's Stack"
)
_TIMED: tuple[Any, ...] = (network, faces, loop, stream, datagram, packets)
"""The modules of the loop that ask for the time, each by its own name `monotonic_ns`."""


class Stuck(AssertionError):
    """Nothing can happen any more, or too much has: the text says who waits for what."""


class Here(Protocol):
    """One run of a host, from its start to its end."""

    name: str
    alive: bool
    driver: NetworkDriver
    tasks: dict[asyncio.Task[Any], None]

    def write(self, text: str) -> bool:
        """The program prints. False: it has no console of its own."""


current: ContextVar[Here] = ContextVar("sarab_here")
"""Which host a task belongs to."""


class Selector(selectors.EpollSelector):
    """Waits for nothing: when no task can go on, it is later."""

    loop: WorldLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Let the stacks work; then, if nobody has anything to do, let time go on. `timeout` in seconds."""
        loop = self.loop
        loop.woken = False
        loop.poll()
        if loop._ready:
            timeout = 0
        if loop.threads:
            # What threads do takes real time, in which virtual time stands still.
            return super().select(0 if timeout == 0 else None)
        ready = super().select(0) if len(self.get_map()) > 1 else []
        if ready or timeout == 0:
            loop.count_turn()
            return ready
        loop.advance(None if timeout is None else loop.now + math.ceil(timeout * SECOND))
        return super().select(0) if len(self.get_map()) > 1 else []


class WorldLoop(loop.Loop):
    """One loop for all hosts; `driver` is that of the host whose task runs."""

    def __init__(self, links: list[Link], end: int, addresses: Callable[[str], bytes | None]) -> None:
        """`end` is when too much time has passed, in nanoseconds; `addresses` tells the address of a host by name."""
        self.now = BEGIN
        self.links = links
        self.places: list[Here] = []
        """All hosts that run."""
        self.threads = 0
        """Calls in threads that have not returned."""
        self.open_transports = set()
        self.woken = False
        self.main: asyncio.Task[Any] | None = None
        self.stuck = ""
        self._end = end
        self._addresses = addresses
        self._turns = 0
        selector = Selector()
        selector.loop = self
        unix_events._UnixSelectorEventLoop.__init__(self, selector)
        self.set_task_factory(_make_task)  # type: ignore[arg-type]  # the protocol names what later Pythons pass

    @property
    def driver(self) -> NetworkDriver:  # type: ignore[override]  # one loop, many stacks
        """The stack of the host whose task runs."""
        return current.get().driver

    def time(self) -> float:
        """Return seconds of virtual time."""
        return self.now / SECOND

    def run_forever(self) -> None:
        """Run until stop()."""
        unix_events._UnixSelectorEventLoop.run_forever(self)

    def close(self) -> None:
        """Close the loop; connections that it left open are closed with it."""
        if not self.is_closed() and not self.is_running():
            for transport in tuple(self.open_transports):
                transport._release()
        unix_events._UnixSelectorEventLoop.close(self)

    # ---- time ----------------------------------------------------------------------------------------------------

    def poll(self) -> None:
        """Let every stack do what is due now."""
        for place in self.places:
            place.driver.poll_if_due()

    def advance(self, until: int | None) -> None:
        """Go on to the next moment at which anything happens, `until` at the latest."""
        moments = [until, *(link.deadline() for link in self.links), *(place.driver.due for place in self.places)]
        due = min((moment for moment in moments if moment is not None), default=None)
        if due is None:
            self._give_up(f"nothing can happen any more, {(self.now - BEGIN) / SECOND:.6f} s after the start")
            return
        if due > self._end:
            self._give_up(f"{(self._end - BEGIN) / SECOND:g} s of virtual time have passed, and no end is in sight")
            return
        self._turns = 0
        self.now = max(self.now, due)
        for link in self.links:
            link.deliver(self.now)
        for place in self.places:
            if any(card.device.arrived for card in place.driver.cards):  # type: ignore[attr-defined]
                place.driver.receive()

    def count_turn(self) -> None:
        """A turn was made in the same moment as the one before."""
        self._turns += 1
        if self._turns == TURNS_MAX:
            self._give_up(f"time stands still: {TURNS_MAX} turns of the loop, and somebody still has something to do")

    def _give_up(self, why: str) -> None:
        """End the scenario; if it does not let itself be ended, the loop."""
        self._turns = 0
        if self.stuck or self.main is None:
            self.stop()
        self.stuck = self.stuck or "\n".join((why, *self.waiting()))
        for transport in tuple(self.open_transports):
            transport._release()
        if self.main is not None:
            self.main.cancel()

    def waiting(self) -> Iterator[str]:
        """Give a line for every task: whose it is, and in which line it waits."""
        for place in self.places:
            for task in place.tasks:
                if not task.done():
                    yield f"  {place.name}: {_where(task)}"

    def release(self, driver: NetworkDriver) -> None:
        """Close the connections that the program of a stack has left open."""
        for transport in tuple(self.open_transports):
            if transport._driver is driver:
                transport._release()

    # ---- asyncio's own -------------------------------------------------------------------------------------------

    async def getaddrinfo(self, host: Any, port: Any, **options: Any) -> list[names.AddressInfo]:  # type: ignore[override]
        """As socket.getaddrinfo(); the names are those of the world's hosts."""
        text = host.decode() if isinstance(host, bytes) else host
        address = self._addresses(text) if isinstance(text, str) else None
        if address is not None:
            host = ".".join(map(str, address))
        return await super().getaddrinfo(host, port, **options)

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        """As asyncio's; of a host without power nothing is heard."""
        place = current.get(None)
        if isinstance(context.get("exception"), asyncio.CancelledError) or (place is not None and not place.alive):
            return
        super().default_exception_handler(context)

    def run_in_executor(self, executor: Any, func: Any, *arguments: Any) -> Any:  # type: ignore[override]
        """As asyncio's; until the thread has returned, virtual time stands still."""
        future = super().run_in_executor(executor, func, *arguments)
        self.threads += 1
        future.add_done_callback(self._thread_returned)
        return future

    def _thread_returned(self, _future: object) -> None:
        self.threads -= 1

    def _face_of(self, sock: Any) -> Any:
        face = super()._face_of(sock)
        if face is None:
            raise RuntimeError(_OWN_SOCKETS)
        return face

    async def sock_connect(self, sock: Any, address: Any) -> None:
        """There are none."""
        raise RuntimeError(_OWN_SOCKETS)

    async def sock_accept(self, sock: Any) -> Any:
        """There are none."""
        raise RuntimeError(_OWN_SOCKETS)


def _make_task(of: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **options: Any) -> asyncio.Task[Any]:
    task: asyncio.Task[Any] = asyncio.Task(coroutine, loop=of, **options)
    context = options.get("context")
    place = current.get(None) if context is None else context.get(current)
    if place is not None:
        place.tasks[task] = None
        task.add_done_callback(lambda done: place.tasks.pop(done, None))
    return task


# ---- who waits for what ------------------------------------------------------------------------------------------


def _frames(coroutine: Any) -> Iterator[FrameType]:
    """Give the frames of a suspended coroutine, the outermost first."""
    while coroutine is not None:
        for kind in ("cr", "gi", "ag"):
            frame = getattr(coroutine, f"{kind}_frame", None)
            if frame is not None:
                yield frame
                coroutine = getattr(coroutine, f"{kind}_yieldfrom" if kind == "gi" else f"{kind}_await", None)
                break
        else:
            return


def _where(task: asyncio.Task[Any]) -> str:
    called = task.get_name()
    if called == "None":  # Python 3.13.0 says so of a task without a name
        called = "a task"
    frames = list(_frames(task.get_coro()))
    own = [frame for frame in frames if not _is_plumbing(frame.f_code.co_filename)]
    if not frames:
        return f"{called} has not begun, or is about to end"
    frame = (own or frames)[-1]
    name, line = frame.f_code.co_filename, frame.f_lineno
    text = linecache.getline(name, line).strip()
    return f"{called} waits in {frame.f_code.co_name} ({name.rpartition('/')[2]}:{line}): {text}".rstrip(": ")


def _is_plumbing(name: str) -> bool:
    return name.startswith((_folder(asyncio), _folder(sys.modules["sarab"]))) or name == inspect.getsourcefile(
        contextmanager
    )


def _folder(module: Any) -> str:
    return str(module.__file__).rpartition("/")[0] + "/"


# ---- what a world takes the place of -----------------------------------------------------------------------------


def _monotonic_ns() -> int:
    running = events._get_running_loop()
    return running.now if isinstance(running, WorldLoop) else time.monotonic_ns()


class _Printed:
    """Standard output, or error: what a host's task writes goes to the host's console."""

    def __init__(self, below: Any) -> None:
        self.below = below

    def write(self, text: str) -> int:
        """Write it where it belongs."""
        place = current.get(None)
        if place is None or not place.write(text):
            self.below.write(text)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Nothing waits here."""
        self.below.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.below, name)


_lock = threading.Lock()
_worlds = 0
_before: list[Any] = []


@contextmanager
def virtual_time() -> Iterator[None]:
    """While a world runs: its loop asks the world for the time, and what its hosts print goes to their consoles."""
    global _worlds
    with _lock:
        _worlds += 1
        if _worlds == 1:
            _before[:] = [sys.stdout, sys.stderr, *(module.monotonic_ns for module in _TIMED)]
            sys.stdout, sys.stderr = _Printed(sys.stdout), _Printed(sys.stderr)
            for module in _TIMED:
                module.monotonic_ns = _monotonic_ns
    try:
        yield
    finally:
        with _lock:
            _worlds -= 1
            if _worlds == 0:
                sys.stdout, sys.stderr = _before[0], _before[1]
                for module, was in zip(_TIMED, _before[2:], strict=True):
                    module.monotonic_ns = was
                _before.clear()
