"""What an image's start need not do for the sake of types: modules of the network as they are packed."""

from __future__ import annotations

import ast
import copy
import importlib
import importlib.util
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, NamedTuple, TypeVar

import pytest

from sarab.build import lean as packed
from sarab.build.scan import scan
from sarab.build.target import adapted

SOURCES = Path(importlib.import_module("sarab").__path__[0])

PAIR = '''
"""A module."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar, cast

if TYPE_CHECKING:
    from nowhere import Nothing

T = TypeVar("T")
LIMIT: int = 3


class Owner(Protocol):
    def notify(self) -> Nothing: ...


class Kept(Generic[T]):
    value: T
    unset: int

    def get(self, owner: Owner, *more: Nothing, default: T | None = None, **named: Nothing) -> T:
        found: T = cast(Nothing, self.value)
        missing: Nothing
        return found


class Pair(NamedTuple):
    """Two."""

    left: bytes
    """The first."""
    right: Nothing = LIMIT
    rest: tuple[Callable[[Any], Iterator[T]], ...] = ()

    @property
    def both(self) -> Nothing:
        """Its halves."""
        return self.left, self.right


class _Empty(NamedTuple):
    pass
'''


def _modules() -> list[str]:
    paths = [path.relative_to(SOURCES.parent).with_suffix("") for path in sorted(SOURCES.rglob("*.py"))]
    names = [".".join(path.parts) for path in paths if path.name != "__init__"]
    return [name for name in names if name.startswith(packed.ROOMS) or name in packed.MODULES]


def _tree(module: str) -> ast.Module:
    tree = adapted(SOURCES.parent.joinpath(*module.split(".")).with_suffix(".py").read_bytes(), None, lean_as=module)
    assert tree is not None
    return tree


def _run(tree: ast.Module | None, name: str) -> ModuleType:
    assert tree is not None
    module = ModuleType(name)
    exec(compile(tree, f"{name}.py", "exec", dont_inherit=True), module.__dict__)
    return module


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = _run(adapted(PAIR.encode(), None, lean_as="sarab.net.pair"), "pair")
    monkeypatch.setitem(sys.modules, "pair", module)
    return module


def test_a_tuple_is_what_typing_would_have_made(pair: ModuleType) -> None:
    class Pair(NamedTuple):
        left: bytes
        right: int = 3
        rest: tuple[int, ...] = ()

    kinds: list[Any] = [pair.Pair, Pair]
    for made in kinds:
        value: Any = made(b"a", right=4)
        assert value == (b"a", 4, ()) and value.right == 4 and value._fields == ("left", "right", "rest")
        assert repr(value) == "Pair(left=b'a', right=4, rest=())"
        assert value._replace(left=b"b") == made(b"b", 4) and type(value._replace()) is made
        assert value._asdict() == {"left": b"a", "right": 4, "rest": ()}
        assert made._make([1, 2, 3]) == (1, 2, 3)
        assert copy.copy(value) == value and type(copy.deepcopy(value)) is made
        assert not hasattr(value, "__dict__") and made.__module__ in ("pair", __name__)
        match value:
            case made(left, right=4):
                assert left == b"a"
            case _:
                raise AssertionError
        for arguments in ((), (1, 2, 3, 4)):
            with pytest.raises(TypeError):
                made(*arguments)
        with pytest.raises(TypeError, match="Expected 3 arguments, got 1"):
            made._make([1])
        with pytest.raises(ValueError, match=r"Got unexpected field names: \['other'\]"):
            value._replace(other=1)
        with pytest.raises(AttributeError):
            value.left = b"c"
    assert pair.Pair.__doc__ == "Two." and pair.Pair(b"a").both == (b"a", 3)
    assert pickle.loads(pickle.dumps(pair.Pair(b"a"))) == pair.Pair(b"a")
    assert pair._Empty() == ()


def test_what_only_a_type_checker_reads_is_gone(pair: ModuleType) -> None:
    names = {name for name in vars(pair) if not name.startswith("__")}
    assert names == {"LIMIT", "Kept", "Owner", "Pair", "_Empty", packed._TUPLE, packed._FIELD, packed._NEW}
    assert pair.__doc__ == "A module."
    kept = pair.Kept()
    kept.value = 5
    assert kept.get(None) == 5 and pair.Kept.get.__annotations__ == {}
    found = scan(PAIR.encode(), "sarab", lean_as="sarab.net.pair")
    assert {item.module for item in found.imports} == {packed._FIELDS}


def test_a_protocol_that_applications_implement_stays() -> None:
    tree = _tree("sarab.device.network")
    module = _run(tree, "sarab.device.network")
    assert module.Network._is_protocol and module.Network.send.__annotations__["return"] is int


TOGETHER = """
import sys
from importlib.machinery import PathFinder, SourceFileLoader
from sarab.build.target import adapted

modules = sys.argv[1:]
assert not sys.modules.keys() & set(modules)

class Loader(SourceFileLoader):
    def get_code(self, name):
        return compile(adapted(self.get_data(self.path), None, lean_as=name), self.path, "exec", dont_inherit=True)

class Finder:
    def find_spec(self, name, path=None, target=None):
        spec = PathFinder.find_spec(name, path)
        if name in modules:
            spec.loader = Loader(name, spec.origin)
        return spec

sys.meta_path.insert(0, Finder())
import asyncio, os, socket
import sarab.wiring.install
sarab.wiring.install.install_socket()
sarab.wiring.install.install_asyncio()
for name in modules:
    __import__(name)

from sarab.aio import network
from sarab.net.interface import Configuration
assert not hasattr(network.Owner, "notify")
stack = sarab.wiring.network.make({}, {}).stack
stack.add_interface("eth0", bytes(6), 1500, sarab.device.network.Offload.NONE, Configuration(ipv6=True, dhcp=True))
print(len(stack.poll(0)))
"""


def test_modules_find_in_each_other_what_they_import() -> None:
    words = [sys.executable, "-c", TOGETHER, *_modules()]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("1\n", "")


def _functions(value: Any) -> dict[str, FunctionType]:
    """The functions of a class or a module that are written there."""
    found: dict[str, FunctionType] = {}
    for name, item in vars(value).items():
        item = getattr(item, "fget", getattr(item, "__func__", item))
        if isinstance(item, FunctionType) and item.__module__ == getattr(value, "__module__", value.__name__):
            found[name] = item
    return found


def _differences(name: str) -> Iterator[str]:
    """What a module lacks when it is packed, but for annotations and what only they name."""
    written, tree = importlib.import_module(name), _tree(name)
    module = ModuleType(name)
    module.__package__ = name.rpartition(".")[0]
    exec(compile(tree, f"{name}.py", "exec", dont_inherit=True), module.__dict__)
    for word, value in vars(written).items():
        if not word.isidentifier() or word.startswith("__") or getattr(value, "__module__", name) != name:
            continue
        if word == "TYPE_CHECKING" or isinstance(value, TypeVar):
            continue
        if word in (packed._TUPLE, packed._FIELD, packed._NEW) or not hasattr(module, word):
            yield f"{name}.{word}"
            continue
        now = getattr(module, word)
        if getattr(value, "_is_protocol", False) and not hasattr(now, "_is_protocol"):
            continue  # its name is enough
        if isinstance(value, type) and not _functions(value).keys() <= _functions(now).keys():
            yield f"{name}.{word}: {_functions(value).keys() - _functions(now).keys()}"
        if isinstance(value, type) and (
            getattr(now, "_fields", None) != getattr(value, "_fields", None) or now.__doc__ != value.__doc__
        ):
            yield f"{name}.{word}: fields or docstring"
        if isinstance(value, type) and not getattr(now, "_is_protocol", False):
            yield from (f"{name}.{word}.{one}" for one, item in _functions(now).items() if item.__annotations__)
    yield from (f"{name}.{one}" for one, item in _functions(module).items() if item.__annotations__)
    if name != "sarab.device.network":
        imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
        yield from (f"{name}: {node.module}" for node in imports if node.module in ("typing", "types"))


def test_modules_lack_nothing_but_annotations() -> None:
    """What a module imports of another must be there, also where the importer is compiled by mypyc, and so not lean."""
    modules = _modules()
    assert len(modules) > 60
    assert [difference for name in modules for difference in _differences(name)] == []
