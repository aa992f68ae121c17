"""What one module may import, read from its syntax tree: never by running it.

Each import is recorded with how sure it is: whether it runs when the module is imported, whether its failure is
caught, and what makes it unneeded. What cannot run in an image (another platform, another Python version, `if
TYPE_CHECKING`) is left out. The result depends on the source alone, so it is cached by content.
"""

from __future__ import annotations

import ast
import os
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sarab.build import target as targets
from sarab.build.hooks import GATE_NAMES, NAMED_CHARACTER

DEFERRED = 1
"""Runs when a function is called, not when the module is imported."""
OPTIONAL = 2
"""Failure is caught, or it depends on something not known at build time."""
MAIN = 4
"""Runs only when the module is the program: `if __name__ == "__main__"`."""
GUESSED = 8
"""Named by a string: by import_module, or, with NAMED, by any string that looks like the name of a module."""
NAMED = 16
SELF_TEST = 32
"""In a function that modules of the standard library have for their own command line or tests."""

VERSION = 18
"""Part of the cache's key: raise it when a scan of the same source gives something else."""

_WITHOUT_CHILDREN = frozenset({ast.Load, ast.Store, ast.Del}).union(
    *(kind.__subclasses__() for kind in (ast.operator, ast.unaryop, ast.cmpop, ast.boolop))
)
_IMPORT_ERRORS = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}
_SELF_TESTS = {"_test", "test", "_main", "main", "_demo", "demo", "_selftest"}
_FILE_NAMES = {
    "__file__",
    "__path__",
    "get_data",
    "resource_string",
    "resource_filename",
    "resource_stream",
    "PackageLoader",
}
_RESOURCE_MODULES = ("importlib.resources", "importlib_resources", "pkg_resources", "pkgutil")
_DOTTED = re.compile(r"\.{0,2}[A-Za-z_]\w*(\.[A-Za-z_]\w*)*(:[A-Za-z_]\w*)?")
_ENCODING_CALLS = {
    # Where calls have the name of an encoding: their first argument, and another.
    **dict.fromkeys(("encode", "decode"), (0, 1)),
    **dict.fromkeys(("lookup", "getreader", "getwriter", "getencoder", "getdecoder"), (0,)),
    **dict.fromkeys(("str", "bytes", "bytearray", "TextIOWrapper"), (1,)),
    "open": (2, 3),  # of codecs; the built-in one
}
_DYNAMIC = {"import_module", "__import__", "lazy_import", "load_module", "import_string", "import_from_string"}


@dataclass(frozen=True)
class Import:
    """`module` is absolute, or relative with leading dots; `names` is what `from module import names` asks for."""

    module: str
    names: tuple[str, ...]
    line: int
    flags: int
    instead_of: tuple[str, ...] = ()
    """Needed only if one of these cannot be found: the `except ImportError:` branch of their import."""
    lazy: tuple[str, ...] = ()
    """Needed only if somebody asks the module for one of these attributes: it imports them in its `__getattr__`."""


@dataclass
class Scan:
    """All that the closure asks of one module's source."""

    imports: list[Import] = field(default_factory=list)
    prefixes: list[tuple[str, int]] = field(default_factory=list)
    """Packages any submodule of which may be imported by a computed name, and the line."""
    mentions: list[str] = field(default_factory=list)
    """Names of sarab.build.hooks.GATE_NAMES that occur in any role."""
    attributes: list[str] = field(default_factory=list)
    """`module:name` where the source says `module.name` of a module that it imports, and plain `name` of every other
    attribute."""
    encodings: list[str] = field(default_factory=list)
    entry_points: list[str] = field(default_factory=list)
    """Groups of plug-ins that are looked up."""
    uses_files: bool = False
    """Whether the module looks for data files beside itself."""

    def dump(self) -> dict[str, Any]:
        imports = [(i.module, list(i.names), i.line, i.flags, list(i.instead_of), list(i.lazy)) for i in self.imports]
        return {**vars(self), "imports": imports}

    @classmethod
    def load(cls, values: dict[str, Any]) -> Scan:
        imports = [
            Import(m, tuple(n), line, flags, tuple(o), tuple(z)) for m, n, line, flags, o, z in values["imports"]
        ]
        prefixes = [(str(p), int(line)) for p, line in values["prefixes"]]
        return cls(**{**values, "imports": imports, "prefixes": prefixes})


def scan(
    source: bytes, top: str, target: targets.Target | None = None, is_wired: bool = False, lean_as: str = ""
) -> Scan:
    """Scan the source of a module of the top-level package `top`; what does not parse imports nothing.

    What `from sarab import TARGET` leaves to other targets than `target` is not seen, nor what only the build reads in
    the module of a wired application, nor what is for types alone in those that are packed without (`lean_as`). Strings
    that look like modules of `top` count as imports, and those of any package if `top` is empty.
    """
    try:
        tree = targets.adapted(source, target, is_wired, lean_as) or ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return Scan()
    visitor = _Visitor(tree, top)
    visitor.block(tree.body, 0)
    result = visitor.result
    result.mentions = sorted(set(result.mentions))
    result.attributes = sorted(set(result.attributes))
    result.encodings = sorted(set(result.encodings))
    result.entry_points = sorted(set(result.entry_points))
    result.imports = list(dict.fromkeys(result.imports))
    result.prefixes = sorted(set(result.prefixes))
    return result


class _Visitor:
    def __init__(self, tree: ast.Module, top: str) -> None:
        self.result = Scan()
        self.top = top
        # A module with __getattr__ imports lazily what it shows type checkers eagerly (pydantic, numpy, websockets).
        self.lazy = False
        self.dynamic = False
        self.aliases: dict[str, str] = {}
        """What absolute imports anywhere in the source bind, as if all of it were modules: name -> module."""
        self._survey(tree)
        self.instead_of: tuple[str, ...] = ()
        self.gate: frozenset[str] | None = None
        """Inside of what a lazy module imports on demand: the names that ask for it."""

    def _survey(self, tree: ast.Module) -> None:
        """Learn what the meaning of a statement depends on, wherever in the source it is."""
        nodes: list[ast.AST] = [tree]
        for node in nodes:
            kind = node.__class__
            if kind is ast.Call:
                self.dynamic = self.dynamic or _called(node) in _DYNAMIC
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    top = alias.name.partition(".")[0]
                    self.aliases[alias.asname or top] = alias.name if alias.asname else top
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                self.aliases.update({alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names})
            elif kind is ast.FunctionDef:
                self.lazy = self.lazy or _is_module_getattr(node)
            nodes += _children(node)

    def block(self, nodes: Iterable[ast.AST], flags: int) -> None:
        for node in nodes:
            self.visit(node, flags)

    def visit(self, node: ast.AST, flags: int) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                self._add(alias.name, (), node.lineno, flags)
        elif isinstance(node, ast.ImportFrom):
            names = tuple(alias.name for alias in node.names)
            self.result.mentions += [name for name in names if name in GATE_NAMES]
            self._add("." * node.level + (node.module or ""), names, node.lineno, flags)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            self.block([*node.decorator_list, *node.args.defaults, *(d for d in node.args.kw_defaults if d)], flags)
            self._defaults(node.args)
            test = SELF_TEST if node.name in _SELF_TESTS else 0
            outer = self.gate
            if _is_module_getattr(node):
                self.gate = frozenset()
            self.block(node.body, flags | DEFERRED | test)
            self.gate = outer
        elif isinstance(node, ast.Lambda):
            self.visit(node.body, flags | DEFERRED)
        elif isinstance(node, ast.If):
            self._if(node, flags)
        elif isinstance(node, (ast.Try, ast.TryStar)):
            self._try(node, flags)
        elif isinstance(node, (ast.With, ast.AsyncWith)):
            caught = any(_called(item.context_expr) == "suppress" for item in node.items)
            self.block([item.context_expr for item in node.items], flags)
            self.block(node.body, flags | OPTIONAL if caught else flags)
        elif isinstance(node, ast.Dict) and self.lazy:
            self._table(node, flags)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            pass  # a docstring
        else:
            self._expression(node, flags)
            self.block(_children(node), flags)

    def _table(self, node: ast.Dict, flags: int) -> None:
        """In a lazy module, a dictionary that says where each name comes from."""
        outer = self.gate
        for key, value in zip(node.keys, node.values, strict=True):
            name = _literal(key) if key is not None else None
            self.gate = frozenset({name}) if name is not None else outer
            self.block([*([key] if key is not None else []), value], flags)
        self.gate = outer

    def _if(self, node: ast.If, flags: int) -> None:
        if _is_main_test(node.test):
            self.block(node.body, flags | MAIN | OPTIONAL)
            self.block(node.orelse, flags)
            return
        if _is_type_checking(node.test):
            if self.lazy:
                outer, self.gate = self.gate, frozenset()
                self.block(node.body, flags | DEFERRED | OPTIONAL)
                self.gate = outer
            self.block(node.orelse, flags)
            return
        truth = _truth(node.test)
        self.visit(node.test, flags)
        outer = self.gate
        if outer is not None:  # In a __getattr__, the test compares the name that is asked for.
            constants = [part for part in ast.walk(node.test) if isinstance(part, ast.Constant)]
            self.gate = outer | {constant.value for constant in constants if isinstance(constant.value, str)}
        if truth is not False:
            self.block(node.body, flags if truth else flags | OPTIONAL)
        self.gate = outer
        if truth is not True:
            self.block(node.orelse, flags if truth is False else flags | OPTIONAL)

    def _try(self, node: ast.Try | ast.TryStar, flags: int) -> None:
        catches = any(_catches_import_error(handler) for handler in node.handlers)
        before = len(self.result.imports)
        self.block(node.body, flags | OPTIONAL if catches else flags)
        tried = self.result.imports[before:]
        self.block(node.orelse, flags | OPTIONAL if catches else flags)
        outer = self.instead_of
        for handler in node.handlers:
            if _catches_import_error(handler) and tried:
                self.instead_of = tuple(dict.fromkeys(_full_name(i) for i in tried))
            self.block(handler.body, flags | OPTIONAL)
            self.instead_of = outer
        self.block(node.finalbody, flags)

    def _add(self, module: str, names: tuple[str, ...], line: int, flags: int) -> None:
        self.result.imports.append(Import(module, names, line, flags, self.instead_of, self._lazy(module, names)))
        if module.startswith(_RESOURCE_MODULES) or (module == "importlib" and "resources" in names):
            self.result.uses_files = True

    def _expression(self, node: ast.AST, flags: int) -> None:
        if isinstance(node, ast.Name):
            self._name(node.id)
        elif isinstance(node, ast.Attribute):
            self._name(node.attr)
            self._attribute(node)
        elif isinstance(node, ast.keyword) and node.arg is not None:
            self._name(node.arg)
            if node.arg == "encoding":
                self._encoding(node.value)
        elif isinstance(node, ast.Call):
            self._call(node, flags)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            self._string(node.value, node.lineno, flags)

    def _name(self, name: str) -> None:
        if name in GATE_NAMES:
            self.result.mentions.append(name)
        if name in _FILE_NAMES:
            self.result.uses_files = True

    def _attribute(self, node: ast.Attribute) -> None:
        first, dot, rest = (_dotted(node.value) or "").partition(".")
        module = self.aliases.get(first)
        self.result.attributes.append(node.attr if module is None else f"{module}{dot}{rest}:{node.attr}")

    def _defaults(self, arguments: ast.arguments) -> None:
        positional = [*arguments.posonlyargs, *arguments.args]
        given = [*zip(positional[::-1], arguments.defaults[::-1], strict=False)]
        for argument, default in [*given, *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]:
            if argument.arg == "encoding" and default is not None:
                self._encoding(default)

    def _call(self, node: ast.Call, flags: int) -> None:
        called = _called(node)
        first = node.args[0] if node.args else None
        if called in _DYNAMIC and first is not None:
            literal = _literal(first)
            if literal is not None:
                self._add(literal, (), node.lineno, flags | DEFERRED | OPTIONAL | GUESSED)
            else:
                prefix = _prefix(first)
                if prefix.endswith(".") and prefix.strip("."):
                    self.result.prefixes.append((prefix.rstrip("."), node.lineno))
        elif called in ("entry_points", "iter_entry_points", "select"):
            group = next((k.value for k in node.keywords if k.arg == "group"), first)
            literal = _literal(group) if group is not None else None
            if literal is not None:
                self.result.entry_points.append(literal)
        elif called in _ENCODING_CALLS:
            for place in _ENCODING_CALLS[called]:
                if place < len(node.args):
                    self._encoding(node.args[place])

    def _encoding(self, node: ast.AST) -> None:
        """One that is named, or may be chosen: `metadata_encoding or "cp437"`."""
        if isinstance(node, (ast.BoolOp, ast.IfExp)):
            for choice in node.values if isinstance(node, ast.BoolOp) else (node.body, node.orelse):
                self._encoding(choice)
        name = _literal(node)
        if name is not None and 2 < len(name) < 40 and name.isascii():
            self.result.encodings.append(name)

    def _string(self, value: str, line: int, flags: int) -> None:
        """Tables of lazily imported modules name them in strings: "uvicorn.loops.auto:auto_loop_factory", ".client"."""
        if NAMED_CHARACTER in value:
            self.result.mentions.append(NAMED_CHARACTER)
        if len(value) > 200 or "." not in value or not _DOTTED.fullmatch(value):
            return
        if value.startswith("."):
            if not (self.lazy or self.dynamic):
                return
        elif self.top and not value.startswith(self.top + "."):
            return
        self.result.imports.append(
            Import(
                value.partition(":")[0],
                (),
                line,
                flags | DEFERRED | OPTIONAL | GUESSED | NAMED,
                self.instead_of,
                self._lazy(value.partition(":")[0], ()),
            )
        )

    def _lazy(self, module: str, names: tuple[str, ...]) -> tuple[str, ...]:
        if self.gate is None:
            return ()
        return tuple(sorted({*self.gate, *names, module.rpartition(".")[2]} - {"", "*"}))


def _full_name(imported: Import) -> str:
    return imported.module


def _is_module_getattr(node: ast.AST) -> bool:
    """PEP 562's function; a class's has two parameters."""
    return isinstance(node, ast.FunctionDef) and node.name == "__getattr__" and len(node.args.args) == 1


def _children(node: ast.AST) -> list[ast.AST]:
    """ast.iter_child_nodes without those that only say how, and several times as fast: scanning is mostly this."""
    found: list[ast.AST] = []
    values = node.__dict__
    for name in node._fields:
        value = values.get(name)
        if value.__class__ is list:
            found += [item for item in value if isinstance(item, ast.AST) and item.__class__ not in _WITHOUT_CHILDREN]
        elif isinstance(value, ast.AST) and value.__class__ not in _WITHOUT_CHILDREN:
            found.append(value)
    return found


def _called(node: ast.AST) -> str | None:
    if not isinstance(node, ast.Call):
        return None
    if isinstance(node.func, ast.Name):
        return node.func.id
    return node.func.attr if isinstance(node.func, ast.Attribute) else None


def _literal(node: ast.AST) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _prefix(node: ast.AST) -> str:
    """The constant beginning of a computed text: f"a.{x}", "a." + x, "a.%s" % x."""
    if isinstance(node, ast.JoinedStr) and node.values:
        return _literal(node.values[0]) or ""
    if isinstance(node, ast.BinOp):
        text = _literal(node.left) or (_prefix(node.left) if isinstance(node.left, ast.BinOp) else "")
        return text.partition("%")[0] if isinstance(node.op, ast.Mod) else text
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
        return (_literal(node.func.value) or "").partition("{")[0]
    return ""


def _catches_import_error(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    types = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any((t.id if isinstance(t, ast.Name) else getattr(t, "attr", "")) in _IMPORT_ERRORS for t in types)


def _is_main_test(test: ast.AST) -> bool:
    return (
        isinstance(test, ast.Compare)
        and len(test.ops) == 1
        and isinstance(test.ops[0], ast.Eq)
        and {_dotted(test.left) or _literal(test.left), _dotted(test.comparators[0]) or _literal(test.comparators[0])}
        == {"__name__", "__main__"}
    )


def _is_type_checking(test: ast.AST) -> bool:
    return (_dotted(test) or "").split(".")[-1] == "TYPE_CHECKING"


def _dotted(node: ast.AST) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        base = _dotted(node.value)
        return f"{base}.{node.attr}" if base else None
    return None


_KNOWN: dict[str, Any] = {
    "sys.platform": sys.platform,
    "os.name": os.name,
    "sys.version_info": tuple(sys.version_info),
    "sys.version_info.major": sys.version_info.major,
    "sys.implementation.name": "cpython",
}
_KNOWN_CALLS = {"platform.system": "Linux", "platform.python_implementation": "CPython"}


def _truth(test: ast.AST) -> bool | None:
    """The value that a test always has in an image, or None."""
    if isinstance(test, ast.Constant):
        return bool(test.value)
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        truth = False if _is_type_checking(test.operand) else _truth(test.operand)
        return None if truth is None else not truth
    if isinstance(test, ast.BoolOp):
        truths = [_truth(value) for value in test.values]
        decisive = isinstance(test.op, ast.Or)
        if decisive in truths:
            return decisive
        return None if None in truths else not decisive
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        return _compare(_value(test.left), test.ops[0], _value(test.comparators[0]))
    if (
        isinstance(test, ast.Call)
        and isinstance(test.func, ast.Attribute)
        and test.func.attr == "startswith"
        and test.args
        and _dotted(test.func.value) in _KNOWN
    ):
        start = _value(test.args[0])
        if isinstance(start, (str, tuple)):
            return str(_KNOWN[_dotted(test.func.value) or ""]).startswith(start)
    return None


def _value(node: ast.AST) -> Any:
    """A value that is known at build time, or None."""
    if isinstance(node, ast.Call):
        return _KNOWN_CALLS.get(_dotted(node.func) or "")
    if isinstance(node, ast.Subscript) and _dotted(node.value) == "sys.version_info":
        index = node.slice
        if isinstance(index, ast.Constant) and isinstance(index.value, int):
            return sys.version_info[index.value]
        if isinstance(index, ast.Slice) and index.lower is None and isinstance(index.upper, ast.Constant):
            return tuple(sys.version_info[: int(index.upper.value)])  # type: ignore[arg-type]
        return None
    name = _dotted(node)
    if name is not None:
        return _KNOWN.get(name)
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError):
        return None


def _compare(left: Any, operator: ast.cmpop, right: Any) -> bool | None:
    if left is None or right is None:
        return None
    try:
        match operator:
            case ast.Eq():
                return bool(left == right)
            case ast.NotEq():
                return bool(left != right)
            case ast.Lt():
                return bool(left < right)
            case ast.LtE():
                return bool(left <= right)
            case ast.Gt():
                return bool(left > right)
            case ast.GtE():
                return bool(left >= right)
            case ast.In():
                return left in right
            case ast.NotIn():
                return left not in right
    except TypeError:
        return None
    return None
