"""What a function or class says of itself: what it provides, what it needs, which keys it takes, and where that is
written."""

from __future__ import annotations

import ast
import asyncio
import enum
import functools
import inspect
import ipaddress
import pathlib
import re
import types
import typing
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Coroutine, Generator, Iterator
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin

from sarab.wiring import values
from sarab.wiring.errors import WiringError
from sarab.wiring.keys import Duration, Key, Name, Secret, Size
from sarab.wiring.unikernel import Unikernel
from sarab.wiring.values import Reader

EMPTY = inspect.Parameter.empty
Making = Literal["value", "awaited", "generator", "iterator"]


class Kind(NamedTuple):
    """The type of a key."""

    name: str
    """For people: int, text, size, list of int."""
    read: Reader
    source: tuple[str | object, ...]
    """How a main module writes `read`: pieces of source, and objects that are named in it."""
    choices: tuple[str, ...] = ()
    flag: bool = False
    secret: bool = False
    many: bool = False


class Parameter(NamedTuple):
    """One parameter: a device, a key, or the name of the device that is made."""

    name: str
    annotation: Any
    """The type itself, without Annotated and without `| None`."""
    called: str | None
    """The device's name, where the annotation gives one."""
    key: Key | None
    kind: Kind | None
    default: Any
    positional: bool
    """It has no name for its caller."""

    @property
    def is_name(self) -> bool:
        """Whether it is told the name of the device."""
        return self.annotation is Name


class Signature(NamedTuple):
    """A callable as the wiring sees it."""

    function: Any
    """What is called."""
    provides: Any
    """A type; None of an application."""
    making: Making
    entered: bool
    """What is made is an async context manager, whose value is the device."""
    parameters: tuple[Parameter, ...]

    @property
    def wants_name(self) -> bool:
        """Whether it makes a device for each name."""
        return any(parameter.is_name for parameter in self.parameters)


_PLAIN: dict[Any, tuple[str, Reader]] = {
    int: ("int", values.whole),
    float: ("float", values.number),
    str: ("text", values.text),
    bytes: ("bytes", values.data),
    Size: ("size", values.size),
    Duration: ("duration", values.duration),
    timedelta: ("duration", values.delta),
    pathlib.Path: ("path", values.path),
    ipaddress.IPv4Address: ("IPv4 address", values.ipv4),
    ipaddress.IPv6Address: ("IPv6 address", values.ipv6),
    ipaddress.IPv4Network: ("IPv4 network", values.ipv4_network),
    ipaddress.IPv6Network: ("IPv6 network", values.ipv6_network),
    ipaddress.IPv4Interface: ("IPv4 address/prefix", values.ipv4_interface),
    ipaddress.IPv6Interface: ("IPv6 address/prefix", values.ipv6_interface),
}
_PAIRS: dict[frozenset[Any], tuple[str, Reader]] = {
    frozenset({ipaddress.IPv4Address, ipaddress.IPv6Address}): ("IP address", values.address),
    frozenset({ipaddress.IPv4Network, ipaddress.IPv6Network}): ("IP network", values.ip_network),
    frozenset({ipaddress.IPv4Interface, ipaddress.IPv6Interface}): ("IP address/prefix", values.ip_interface),
}
_READER_NAMES = {reader: name for name, reader in vars(values).items() if callable(reader)}
_LISTS: dict[Any, Any] = {list: list, tuple: tuple, set: set, frozenset: frozenset}
_SETTING_TYPES = (int, float, str, bytes, bool, list, tuple, set, frozenset, dict, enum.Enum, pathlib.Path)


def kind_of(annotation: Any, key: Key) -> Kind | None:
    """Return how a key of this type is read; None if it cannot be."""
    if key.parse is not None:
        return Kind(getattr(annotation, "__name__", "text"), key.parse, (key.parse,))
    if annotation is bool:
        return Kind("bool", values.boolean, ("sarab.wiring.values.boolean",), ("yes", "no"), flag=True)
    if annotation is Secret:
        return Kind("secret", values.secret, ("sarab.wiring.values.secret",), secret=True)
    plain = _PLAIN.get(annotation) if isinstance(annotation, type) else None
    origin, arguments = get_origin(annotation), get_args(annotation)
    if plain is None and origin in (typing.Union, types.UnionType):
        plain = _PAIRS.get(frozenset(arguments))
    if plain is not None:
        return Kind(plain[0], plain[1], (f"sarab.wiring.values.{_READER_NAMES[plain[1]]}",))
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        choices = tuple(name.lower().replace("_", "-") for name in annotation.__members__)
        return Kind(
            "|".join(choices), values.member(annotation), ("sarab.wiring.values.member(", annotation, ")"), choices
        )
    if origin is Literal:
        words = tuple(map(str, arguments))
        source = (f"sarab.wiring.values.one_of({', '.join(map(repr, arguments))})",)
        return Kind("|".join(words), values.one_of(*arguments), source, words)
    if origin in _LISTS and arguments and (origin is not tuple or arguments[1:] == (...,)):
        inner = kind_of(arguments[0], key)
        if inner is not None and not inner.many:
            make = _LISTS[origin]
            source_of = ("sarab.wiring.values.many(", *inner.source, f", {make.__name__})")
            return Kind(f"list of {inner.name}", values.many(inner.read, make), source_of, inner.choices,
                        secret=inner.secret, many=True)  # fmt: skip
    return None


def read(function: Any, *, application: bool = False) -> Signature:
    """Return the signature of a provider or an application. Raises WiringError."""
    label = where(function)
    target = function.__init__ if inspect.isclass(function) else function
    try:
        hints = typing.get_type_hints(target, include_extras=True)
    except NameError as error:
        raise WiringError(
            f"{label}: an annotation of {title(function)} cannot be read: {error}. If the name is imported only under "
            "TYPE_CHECKING, import it outside"
        ) from None
    except Exception as error:
        raise WiringError(f"{label}: an annotation of {title(function)} cannot be read: {error}") from None
    returned = function if inspect.isclass(function) else hints.pop("return", EMPTY)
    parameters = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            if inspect.isclass(function):
                continue
            raise WiringError(
                f"{where(function, parameter.name)}: {title(function)} takes any number of arguments "
                f"(*{parameter.name}): nobody can know which devices these are"
            )
        parameters.append(_parameter(function, parameter, hints.get(parameter.name, EMPTY)))
    if application:
        return Signature(function, None, "awaited", False, tuple(parameters))
    provides, making, entered = _provides(function, returned)
    return Signature(function, provides, making, entered, tuple(parameters))


def _parameter(function: Any, parameter: inspect.Parameter, annotation: Any) -> Parameter:
    label, who = where(function, parameter.name), f"{title(function)}'s parameter {parameter.name}"
    if annotation is EMPTY:
        raise WiringError(f"{label}: {who} has no annotation: write the device's type, or Annotated[TYPE, Key(...)]")
    called: str | None = None
    key: Key | None = None
    if get_origin(annotation) is Annotated:
        annotation, *extras = get_args(annotation)
        for extra in extras:
            if isinstance(extra, Name):
                called = str(extra)
            elif isinstance(extra, Key):
                key = extra
            elif extra is Key or extra is Name:
                raise WiringError(
                    f"{label}: {who} is annotated with {extra.__name__} itself: write {extra.__name__}(...)"
                )
            elif isinstance(extra, str):
                raise WiringError(f"{label}: {who} is annotated with a text, {extra!r}: a name is Name({extra!r})")
    arguments = get_args(annotation)
    if get_origin(annotation) in (typing.Union, types.UnionType) and type(None) in arguments:
        rest = tuple(argument for argument in arguments if argument is not type(None))
        annotation = rest[0] if len(rest) == 1 else typing.Union[rest]  # noqa: UP007  # of a tuple
    kind: Kind | None = None
    if key is not None:
        kind = kind_of(annotation, key)
        if kind is None:
            raise WiringError(
                f"{label}: {who} is a key of type {type_name(annotation)}, which sarab cannot read from a text: give "
                "Key(parse=function) a function from text to value"
            )
    elif annotation is not Name:
        base = get_origin(annotation) or annotation
        if isinstance(base, type) and issubclass(base, (*_SETTING_TYPES, Secret, timedelta)):
            shown = type_name(annotation)
            if any(getattr(part, "_is_protocol", False) for part in get_args(annotation)):
                raise WiringError(f"{label}: {who} is {_article(shown)}: each device has a parameter of its own")
            raise WiringError(
                f"{label}: {who} is {_article(shown)}, which is no device: a setting is written "
                f"`{parameter.name}: Annotated[{shown}, Key(...)]`"
            )
        if not isinstance(base, type):
            raise WiringError(f"{label}: {who} is of type {type_name(annotation)}, which is no class of devices")
    return Parameter(
        parameter.name,
        annotation,
        called,
        key,
        kind,
        parameter.default,
        parameter.kind is parameter.POSITIONAL_ONLY,
    )


_MADE: dict[Any, Making] = {
    AsyncIterator: "generator",
    AsyncGenerator: "generator",
    Iterator: "iterator",
    Generator: "iterator",
    Awaitable: "awaited",
    Coroutine: "awaited",
}


def _provides(function: Any, returned: Any) -> tuple[Any, Making, bool]:
    label, who = where(function), title(function)
    if returned is EMPTY:
        raise WiringError(f"{label}: {who} does not say what it provides: annotate what it returns (`-> Block`)")
    if get_origin(returned) is Annotated:
        returned = get_args(returned)[0]
    making: Making = "value"
    origin, arguments = get_origin(returned), get_args(returned)
    below = getattr(function, "__wrapped__", None)
    if origin in _MADE and arguments and below is not None and not inspect.isclass(function):
        # A context manager made of a generator, which keeps the generator's annotations.
        if inspect.isasyncgenfunction(below) and not inspect.isasyncgenfunction(function):
            return arguments[0], "value", True
        if inspect.isgeneratorfunction(below) and not inspect.isgeneratorfunction(function):
            raise WiringError(f"{label}: {who} is a context manager that is not async: use asynccontextmanager")
    if asyncio.iscoroutinefunction(function):
        making = "awaited"
    elif origin in _MADE and arguments:
        making = _MADE[origin]
        returned = arguments[-1] if origin is Coroutine else arguments[0]
        origin, arguments = get_origin(returned), get_args(returned)
    entered = False
    if isinstance(origin, type) and issubclass(origin, AbstractAsyncContextManager) and arguments:
        entered, returned = True, arguments[0]
    elif making in ("value", "awaited") and isinstance(returned, type) and hasattr(returned, "__aexit__"):
        entered = not getattr(returned, "_is_protocol", False)
    if returned is None or returned is type(None) or returned is Any:
        raise WiringError(
            f"{label}: {who} provides {type_name(returned)}, which is no device: annotate what it returns"
        )
    if isinstance(returned, type) and issubclass(returned, _SETTING_TYPES):
        raise WiringError(f"{label}: {who} provides {_article(type_name(returned))}, which is no device")
    return returned, making, entered


def makes_awaitable(function: Any) -> bool:
    """Say whether calling it gives something to await, as far as it tells."""
    if asyncio.iscoroutinefunction(inspect.unwrap(function)):
        return True
    origin = get_origin(typing.get_type_hints(function).get("return"))
    return isinstance(origin, type) and issubclass(origin, Awaitable)


def fits(provided: Any, wanted: Any) -> int:
    """Say how well a type serves for another: 2 it is one, 1 it has all the members of a Protocol, 0 not at all."""
    if provided is wanted:
        return 2
    if not isinstance(provided, type) or not isinstance(wanted, type):
        return 0
    if wanted in provided.__mro__:
        return 2
    if not getattr(wanted, "_is_protocol", False):
        return 0
    return 0 if lacking(provided, wanted) else 1


def lacking(provided: Any, wanted: Any) -> list[str]:
    """Return what a type lacks to be a Protocol, a few words each."""
    found = []
    for name, member in sorted(_members(wanted).items()):
        own = inspect.getattr_static(provided, name, None)
        if own is None:
            if callable(member) or not _sets(provided, name):
                found.append(f"it has no {name}{'()' if callable(member) else ''}")
        elif callable(member) and not callable(own):
            found.append(f"{name} is no method")
        elif asyncio.iscoroutinefunction(member) and inspect.isfunction(own) and not asyncio.iscoroutinefunction(own):
            if typing.get_type_hints(own).get("return") in (EMPTY, None, type(None), bytes, int, str, bool):
                found.append(f"{name}() is not async")
    return found


def _members(protocol: Any) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for base in protocol.__mro__:
        if getattr(base, "_is_protocol", False) and base.__module__ not in ("typing", "typing_extensions"):
            for name, value in vars(base).items():
                if not name.startswith(("_abc_", "__")) and name not in ("_is_protocol", "_is_runtime_protocol"):
                    members.setdefault(name, value)
            for name in inspect.get_annotations(base):
                members.setdefault(name, None)
    return members


def _sets(kind: Any, name: str) -> bool:
    """Whether instances get an attribute: an annotation says so, or a method that stores it."""
    for base in kind.__mro__:
        if name in inspect.get_annotations(base) or name in base.__dict__.get("__slots__", ()):
            return True
        for value in vars(base).values():
            if isinstance(value, types.FunctionType) and name in value.__code__.co_names:
                return True
    return False


_MODULES = re.compile(r"\b(?:[a-z_]\w*\.)+(?=[A-Z])")
"""What stands before the names of types in other types."""


def type_name(annotation: Any) -> str:
    """Return a type as a person wrote it."""
    if annotation is None or annotation is type(None):
        return "None"
    if get_origin(annotation) is None and isinstance(annotation, type):
        return annotation.__qualname__.rpartition("<locals>.")[2]
    return _MODULES.sub("", str(annotation))


def _article(word: str) -> str:
    return f"{'an' if word[:1].lower() in 'aeiou' else 'a'} {word}"


def title(function: Any) -> str:
    """Return what a callable is called where it is written."""
    function = unwrapped(function)
    return str(getattr(function, "__qualname__", None) or function).rpartition("<locals>.")[2]


def unwrapped(function: Any) -> Any:
    """Return the function that was decorated, or the class."""
    while isinstance(function, functools.partial):
        function = function.func
    if isinstance(function, Unikernel):
        function = function.function
    return inspect.unwrap(function) if callable(function) else function


def place(function: Any, parameter: str | None = None) -> tuple[str, int]:
    """Return the file and the line where a callable, or one of its parameters, is written; "" and 0: nobody knows."""
    function = unwrapped(function)
    try:
        file = inspect.getsourcefile(function) or ""
        if inspect.isclass(function):
            first = inspect.getsourcelines(function)[1]
        else:
            first = function.__code__.co_firstlineno
    except (TypeError, OSError, AttributeError):
        return "", 0
    node = _definition(file, function.__name__, first)
    if node is None:
        return file, first
    if isinstance(node, ast.ClassDef):
        inits = [n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"]
        if parameter is None or not inits:
            return file, node.lineno
        node = inits[0]
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    arguments += [extra for extra in (node.args.vararg, node.args.kwarg) if extra is not None]
    for argument in arguments:
        if argument.arg == parameter:
            return file, argument.lineno
    return file, node.lineno


@functools.cache
def _tree(file: str) -> ast.Module | None:
    try:
        return ast.parse(pathlib.Path(file).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return None


def _definition(file: str, name: str, first: int) -> ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | None:
    tree = _tree(file)
    for node in ast.walk(tree) if tree is not None else ():
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and node.name == name:
            start = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            if start == first or node.lineno == first:
                return node
    return None


def where(function: Any, parameter: str | None = None) -> str:
    """Return `app.py:12`, relative to the working directory where that is shorter."""
    file, line = place(function, parameter)
    if not file:
        return title(function)
    return f"{from_here(file)}:{line}"


def from_here(file: str) -> str:
    """Return a path as it is shown: from the working directory, where it is below that."""
    try:
        return str(pathlib.Path(file).relative_to(pathlib.Path.cwd()))
    except ValueError:
        return file
