"""Modules of the network as an image has them: without what only a type checker reads.

A server imports some sixty of them before it answers. Annotations go, and what they alone name; a NamedTuple is written
out as the class that typing would make of it at each start (decision 0051). Nobody asks these modules for their
annotations: what signatures of applications and providers name is elsewhere (sarab.device, aio/stack.py, aio/flow.py,
...), and is packed as it was written. The scan for imports sees the same tree (sarab.build.target).
"""

from __future__ import annotations

import ast

from sarab.build.resolve import Area, Found

ROOMS = ("sarab.wire.", "sarab.proto.", "sarab.net.", "sarab.driver.virtio.")
MODULES = frozenset({
    "sarab.aio.blocking", "sarab.aio.datagram", "sarab.aio.faces", "sarab.aio.loop", "sarab.aio.names",
    "sarab.aio.network", "sarab.aio.service", "sarab.aio.sockets", "sarab.aio.stream", "sarab.aio.traffic",
    "sarab.aio.udp", "sarab.device.errors", "sarab.device.network", "sarab.wiring.install", "sarab.wiring.network",
})  # fmt: skip
"""Beside those rooms, what a server needs of others."""
_FOR_TYPES = ("__future__", "collections.abc", "sarab.", "types", "typing")
"""Where names come from that may be of no use but in annotations. To import a module of ours does nothing else."""
_FIELDS = "sarab.runtime.fields"
_TUPLE, _FIELD, _NEW = "_Fields_", "_field_", "_new_"
"""What modules call what is in there: no module of ours has such names."""
_BARE = frozenset({"Generic", "NamedTuple"})
"""Bases that say nothing at run time, or nothing more."""
_FOR_ALL = "sarab.device."
"""Protocols of this room stay: applications implement them, and read them. Of others there are only the names, which
modules that mypyc has compiled import."""


def lean_name(found: Found) -> str:
    """The name of a module that is packed so, "" of any other."""
    ours = found.name.startswith(ROOMS) or found.name in MODULES
    return found.name if ours and found.area is not Area.APPLICATION else ""


def lean(tree: ast.Module, module: str) -> None:
    """Take out of the tree of `module` what only a type checker reads."""
    names = _imported(tree)
    _Lean(names, module.startswith(_FOR_ALL)).visit(tree)
    _drop_unused(tree, names)
    ast.fix_missing_locations(tree)


class _Lean(ast.NodeTransformer):
    """Takes annotations out, and bases that say nothing at run time; writes tuples out."""

    def __init__(self, names: frozenset[str], keeps_protocols: bool) -> None:
        self._names = names
        """What the module imports of typing."""
        self._keeps_protocols = keeps_protocols

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        if getattr(node, "body", None) == [] and not isinstance(node, ast.Module):
            node.body = [ast.Pass()]  # type: ignore[attr-defined]
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        self.generic_visit(node)
        return None if node.value is None else ast.copy_location(ast.Assign([node.target], node.value), node)

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        self.generic_visit(node)
        return node.orelse if self._is_typing(node.test, "TYPE_CHECKING") else node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        return node.args[1] if self._is_typing(node.func, "cast") and len(node.args) == 2 else node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        if any(self._is_typing(base, "Protocol") for base in node.bases):
            if not self._keeps_protocols:
                node.bases, node.body = [], [ast.copy_location(ast.Pass(), node)]
            return node
        if any(self._is_typing(base, "NamedTuple") for base in node.bases):
            _write_out(node)
        node.bases = [base for base in node.bases if self._base(base) not in _BARE & self._names]
        return self.generic_visit(node)

    def _is_typing(self, node: ast.expr, name: str) -> bool:
        return isinstance(node, ast.Name) and node.id == name and name in self._names

    def _base(self, node: ast.expr) -> str:
        inner = node.value if isinstance(node, ast.Subscript) else node
        return inner.id if isinstance(inner, ast.Name) else ""


def _write_out(node: ast.ClassDef) -> None:
    """Make a tuple of a NamedTuple: what collections.namedtuple() writes as text and compiles, is written here."""
    fields = [item for item in node.body if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)]
    names = [item.target.id for item in fields if isinstance(item.target, ast.Name)]
    getters = "".join(f"{name} = {_FIELD}({index}, None)\n" for index, name in enumerate(names))
    made = ast.parse(
        f"__slots__ = ()\n_fields = __match_args__ = ({''.join(f'{name!r}, ' for name in names)})\n{getters}"
        f"def __new__({', '.join(['_cls', *names])}): return {_NEW}(_cls, ({''.join(f'{name}, ' for name in names)}))\n"
    ).body
    for statement in made:
        for part in ast.walk(statement):
            ast.copy_location(part, node)
    function = made[-1]
    assert isinstance(function, ast.FunctionDef)
    function.args.defaults = [item.value for item in fields if item.value is not None]
    described = ast.get_docstring(node, clean=False) is not None
    rest = [item for item in node.body[described:] if item not in fields]
    node.bases = [ast.copy_location(ast.Name(_TUPLE, ast.Load()), node)]
    node.body = [*node.body[:described], *made, *rest]


def _imported(tree: ast.Module) -> frozenset[str]:
    """What a module imports of typing, by the names that it has there."""
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module == "typing"]
    return frozenset(alias.name for node in imports for alias in node.names if alias.asname is None)


def _drop_unused(tree: ast.Module, names: frozenset[str]) -> None:
    """Take out type variables that nothing names any more, and imports of what was named for types alone."""
    used = _used(tree)
    tree.body = [item for item in tree.body if not _is_variable(item, names) or _bound(item) in used]
    used = _used(tree)
    for node in list(tree.body):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(_FOR_TYPES):
            # `as` the same name is for others.
            node.names = [item for item in node.names if (item.asname or item.name) in used or item.name == item.asname]
            if not node.names:
                tree.body.remove(node)
    if _TUPLE in used:
        made = [ast.alias(name, alias) for name, alias in (("Fields", _TUPLE), ("field", _FIELD), ("new", _NEW))]
        tree.body.insert(ast.get_docstring(tree, clean=False) is not None, ast.ImportFrom(_FIELDS, made, 0))


def _used(tree: ast.Module) -> set[str]:
    shown = [node for item in tree.body if _bound(item) == "__all__" for node in ast.walk(item)]
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    return used | {str(node.value) for node in shown if isinstance(node, ast.Constant)}


def _is_variable(node: ast.stmt, names: frozenset[str]) -> bool:
    called = node.value.func if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) else None
    return "TypeVar" in names and isinstance(called, ast.Name) and called.id == "TypeVar"


def _bound(node: ast.stmt) -> str:
    target = node.targets[0] if isinstance(node, ast.Assign) else None
    return target.id if isinstance(target, ast.Name) else ""
