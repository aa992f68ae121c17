"""What a host of a World gives to an application: its devices by their types, and its keys.

An application is wired as for an image (decision 0060), for the target `test`: its own providers come first, and what
sarab provides is made by the host.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, cast

from sarab.aio.packets import StackEthernet, StackIP
from sarab.aio.stack import AsyncioStack
from sarab.device.block import Block
from sarab.device.clock import Clock
from sarab.device.console import Console
from sarab.device.ethernet import Ethernet
from sarab.device.file_system import FileSystem
from sarab.device.key_value import KeyValue
from sarab.device.log import Log
from sarab.device.network import Network
from sarab.device.random import Random
from sarab.device.stack import Stack
from sarab.storage.memory import MemoryKeyValue
from sarab.storage.memory_files import MemoryFileSystem
from sarab.testing.devices import HostClock, HostLog, HostRandom
from sarab.testing.virtual import current
from sarab.wiring import values
from sarab.wiring.errors import WiringError
from sarab.wiring.graph import APPLICATION, Configuration, Graph, resolve
from sarab.wiring.keys import Key, Name, Size
from sarab.wiring.live import call
from sarab.wiring.run import Lifetimes
from sarab.wiring.signature import title
from sarab.wiring.unikernel import Unikernel

if TYPE_CHECKING:
    from sarab.testing.host import Run

DISK_SIZE = Size("1MiB")
STORE_SIZE = Size("16MiB")
Program = Callable[["Run"], Awaitable[int | None]]


def _here() -> Run:
    return cast("Run", current.get())


def _block(name: Name, *, size: Annotated[Size, Key("how large it is")] = DISK_SIZE) -> Block:
    return _here().disk(name, size)


def _clock() -> Clock:
    return HostClock(_here().host.world)


def _console() -> Console:
    return _here().host.console


def _file_system(name: Name, *, size: Annotated[Size, Key("bytes that it holds at most")] = STORE_SIZE) -> FileSystem:
    return _here().host.keep(f"files {name}", lambda: MemoryFileSystem(size))


def _key_value(name: Name, *, size: Annotated[Size, Key("bytes that it holds at most")] = STORE_SIZE) -> KeyValue:
    return _here().host.keep(f"values {name}", lambda: MemoryKeyValue(size))


def _log() -> Log:
    return HostLog(_here().host.world, _here().host.log)


async def _ethernet(name: Name) -> AsyncIterator[Ethernet]:
    frames = StackEthernet(_here().driver)
    yield frames
    frames.close()


def _network(name: Name) -> Iterator[Network]:
    card = _here().host.world.link.card(_here().name)
    yield card
    card.close()


def _random() -> Random:
    return HostRandom(_here().random)


def _stack() -> Stack:
    return AsyncioStack(StackIP(_here().driver))


DEVICES: dict[str, Callable[..., object]] = {
    "sarab.device.block:Block": _block,
    "sarab.device.clock:Clock": _clock,
    "sarab.device.console:Console": _console,
    "sarab.device.ethernet:Ethernet": _ethernet,
    "sarab.device.file_system:FileSystem": _file_system,
    "sarab.device.key_value:KeyValue": _key_value,
    "sarab.device.log:Log": _log,
    "sarab.device.network:Network": _network,
    "sarab.device.random:Random": _random,
    **dict.fromkeys((f"sarab.device.stack:{name}" for name in ("Stack", "TCP", "UDP", "IP", "Resolver")), _stack),
}
"""What a host makes itself; all else is what sarab provides for tests anywhere."""


def name_of(application: Callable[..., Any]) -> str:
    """Return what a host is called that runs the application: as its function, or, if that is main, as its module."""
    if isinstance(application, Unikernel):
        name = application.name
    else:
        name = getattr(inspect.unwrap(application), "__name__", type(application).__name__)
    if name in ("main", "<lambda>"):
        name = str(getattr(application, "__module__", "") or name).rpartition(".")[2]
    return "".join(letter if letter.isalnum() else "-" for letter in name).strip("-").lower() or "host"


def program(application: Callable[..., Any], given: Mapping[str, Any]) -> Program:
    """Return what runs an application on a host, with what is given.

    Raises TypeError if that does not fit the application, WiringError if its devices cannot be had.
    """
    parameters = inspect.signature(application).parameters
    if not isinstance(application, Unikernel):
        needed = [p.name for p in parameters.values() if p.default is p.empty and p.kind not in (2, 4)]
        if all(name in given for name in needed):
            _check_names(application, given, list(parameters))
            return lambda _run: _plain(application, given)
        application = Unikernel(application, (), {}, name_of(application))
    try:
        graph, keys = _wire(application, given)
    except WiringError as error:
        for line in error.chain:
            error.add_note(line)
        raise

    async def start(_run: Run) -> int | None:
        async with AsyncExitStack() as exits:
            return await call(graph, Lifetimes(exits), keys)

    return start


async def _plain(application: Callable[..., Any], given: Mapping[str, Any]) -> int | None:
    result = application(**given)
    status: int | None = await result if inspect.isawaitable(result) else result
    return status


def _wire(application: Unikernel[Any], given: Mapping[str, Any]) -> tuple[Graph, dict[str, dict[str, Any]]]:
    """Return the graph of an application, and the values of its keys by their owner."""
    shipped = {**import_module("sarab.wiring.providers.test").PROVIDERS, **DEVICES}
    own = list(inspect.signature(application.function).parameters)
    extra = {name.replace("_", "-"): values.show(value) for name, value in given.items() if name not in own}
    first = resolve(application, "test", Configuration(shipped=shipped, given=_devices(application, given), baked={}))
    known = {node.setting.name for node in first.keys}
    _check_names(application, extra, [*own, *(name for name in known if name not in own)])
    graph = first
    if extra:
        settings = Configuration(shipped=shipped, given=_devices(application, given), baked=extra)
        graph = resolve(application, "test", settings)
    found: dict[str, dict[str, Any]] = {}
    for node in graph.keys:
        setting = node.setting
        is_own = setting.owner == APPLICATION and setting.parameter in given
        if is_own or setting.name in extra:
            value = given[setting.parameter] if is_own else extra[setting.name]
            if isinstance(value, str):
                value = _read(setting.read, value, setting.name)
            found.setdefault(setting.owner, {})[setting.parameter] = value
        elif setting.required:
            raise TypeError(f"{title(application)} needs the key {setting.name}: start(..., {setting.parameter}=...)")
    return graph, found


def _devices(application: Unikernel[Any], given: Mapping[str, Any]) -> dict[str, Any]:
    from sarab.wiring.signature import read

    parameters = read(application.function, application=True).parameters
    return {p.name: given[p.name] for p in parameters if p.key is None and p.name in given}


def _read(read: Callable[[str], Any], text: str, name: str) -> Any:
    try:
        return read(text)
    except ValueError as error:
        raise TypeError(f"the key {name} wants {error}, and {text!r} is not") from None


def _check_names(application: Callable[..., Any], given: Mapping[str, Any], known: list[str]) -> None:
    for name in given:
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            hint = f" (is {close[0]} meant?)" if close else f"; it has {', '.join(known) or 'none'}"
            raise TypeError(f"{title(application)} has no parameter and no key {name}{hint}")
