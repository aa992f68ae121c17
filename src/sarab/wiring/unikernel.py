"""What an application writes beside its own code: `@unikernel`, and providers of devices that are not sarab's.

@unikernel(devices={"pages": choose("store", {"memory": pages_in_memory, "disk": pages_on_disk})})
async def main(stack: Stack, pages: KeyValue, *, port: Annotated[int, Key("TCP port")] = 8080) -> None: ...
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Generic, NoReturn, ParamSpec, TypeVar, overload

P = ParamSpec("P")
T = TypeVar("T")
Function = Callable[P, Awaitable[int | None]]


class Choice:
    """One of several providers, by a key of the build; made by choose()."""

    def __init__(self, key: str, providers: Mapping[str, Provider], default: str, doc: str) -> None:
        self.key, self.providers, self.default, self.doc = key, dict(providers), default, doc


class Named:
    """A provider, and what the devices are called that it needs; made by named()."""

    def __init__(self, provider: Callable[..., object], names: Mapping[str, str]) -> None:
        self.provider, self.names = provider, dict(names)


Provider = Callable[..., object] | Choice | Named
"""What makes a device: its return annotation says which, its parameters what it needs."""


def choose(key: str, providers: Mapping[str, Provider], *, default: str | None = None, doc: str = "") -> Choice:
    """Have a key of the build choose the provider; the others are not in the image (Functoria: match_impl).

    Without a `default` it is the first. Raises ValueError if there are none, or `default` is none of them.
    """
    if not providers:
        raise ValueError(f"choose({key!r}) has no providers to choose from")
    if default is not None and default not in providers:
        raise ValueError(f"choose({key!r}): the default {default!r} is none of {', '.join(providers)}")
    return Choice(key, providers, next(iter(providers)) if default is None else default, doc)


def named(provider: Callable[..., object], **names: str) -> Named:
    """Say what the devices are called that a provider needs: `named(cached, below="disk0")`."""
    return Named(provider, names)


class Unikernel(Generic[P]):
    """An application with its wiring. Calling it calls the function, with devices that the caller made."""

    def __init__(
        self, function: Function[P], providers: Sequence[Provider], devices: Mapping[str, Provider], name: str | None
    ) -> None:
        self.function, self.providers, self.devices = function, tuple(providers), dict(devices)
        self.name = name or function.__name__
        self.__name__, self.__qualname__, self.__module__ = (
            function.__name__,
            function.__qualname__,
            function.__module__,
        )
        self.__doc__, self.__wrapped__ = function.__doc__, function

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Awaitable[int | None]:
        """Return the function's own coroutine."""
        return self.function(*args, **kwargs)

    def run(self, arguments: Sequence[str] | None = None) -> NoReturn:
        """Run it as this Linux process, with keys from `arguments` (None: the command line), and exit.

        For `if __name__ == "__main__": main.run()`. An image needs no such line.
        """
        from sarab.wiring.live import run

        sys.exit(run(self, sys.argv[1:] if arguments is None else arguments))


@overload
def unikernel(function: Function[P], /) -> Unikernel[P]: ...


@overload
def unikernel(
    *, providers: Sequence[Provider] = (), devices: Mapping[str, Provider] | None = None, name: str | None = None
) -> Callable[[Function[P]], Unikernel[P]]: ...


def unikernel(
    function: Function[Any] | None = None,
    /,
    *,
    providers: Sequence[Provider] = (),
    devices: Mapping[str, Provider] | None = None,
    name: str | None = None,
) -> Any:
    """Make an async function an application whose signature is its configuration (decision 0060).

    `providers` make devices by their types, before sarab's own; `devices` make those of a name. `name` is what the
    image is called, if it is not to be called as its file.
    """
    for word, given, kinds in (
        ("providers", providers, (list, tuple)),
        ("devices", {} if devices is None else devices, (dict,)),
    ):
        if not isinstance(given, kinds):
            raise TypeError(f"@unikernel({word}=...) wants a {kinds[0].__name__}, and {given!r} is none")
    if isinstance(function, type) or (function is not None and not callable(function)):
        raise TypeError(f"@unikernel marks an async function, and {getattr(function, '__name__', function)} is none")
    if function is not None:
        return Unikernel(function, providers, devices or {}, name)

    def decorate(function: Function[Any]) -> Unikernel[Any]:
        return Unikernel(function, providers, devices or {}, name)

    return decorate
