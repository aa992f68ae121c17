"""The module of a wired application as an image has it: without the providers that its decorator names.

The build has chosen among them, and the main module names those that it chose (decision 0060). What was imported for
the decorator alone is not imported in an image, so that a provider that was not chosen is not in it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable

WIRING = frozenset({"providers", "devices"})
"""The arguments of @unikernel that only a build reads."""
_WORD = re.compile(r"[^\W\d]\w*")


def unwire(tree: ast.Module) -> bool:
    """Take the wiring out of a module's syntax tree; returns whether there was any."""
    decorators = _names(tree.body, "unikernel")
    helpers = _names(tree.body, "choose") | _names(tree.body, "named")
    used: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _dotted(node.func) in decorators:
            dropped = [word for word in node.keywords if word.arg in WIRING]
            node.keywords = [word for word in node.keywords if word.arg not in WIRING]
            used |= _loaded(dropped)
    if not used:
        return False
    # What a dropped name was itself made of is dropped in the next round: PAGES = choose("store", {...}).
    while True:
        unneeded = used - _mentioned(tree)
        kept = [statement for statement in tree.body if not _makes_only(statement, unneeded, helpers)]
        gone = [statement for statement in tree.body if statement not in kept]
        if not gone:
            break
        used |= _loaded(gone)
        tree.body = kept
    for statement in list(tree.body):
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            statement.names = [alias for alias in statement.names if _bound(alias) not in unneeded]
            if not statement.names:
                tree.body.remove(statement)
    return True


def _names(body: Iterable[ast.stmt], name: str) -> set[str]:
    """What a module calls `name` of sarab."""
    found: set[str] = set()
    for node in body:
        if isinstance(node, ast.ImportFrom) and node.level == 0 and (node.module or "").partition(".")[0] == "sarab":
            found |= {alias.asname or alias.name for alias in node.names if alias.name == name}
        elif isinstance(node, ast.Import):
            found |= {f"{alias.asname or 'sarab'}.{name}" for alias in node.names if alias.name == "sarab"}
    return found


def _makes_only(statement: ast.stmt, unneeded: set[str], helpers: set[str]) -> bool:
    """Whether a statement does nothing but make what nobody needs, of calls that do nothing else."""
    if not isinstance(statement, (ast.Assign, ast.AnnAssign)) or statement.value is None:
        return False
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    calls = [node for node in ast.walk(statement.value) if isinstance(node, (ast.Call, ast.Await))]
    return all(isinstance(target, ast.Name) and target.id in unneeded for target in targets) and all(
        isinstance(call, ast.Call) and _dotted(call.func) in helpers for call in calls
    )


def _loaded(nodes: Iterable[ast.AST]) -> set[str]:
    return {part.id for node in nodes for part in ast.walk(node) if isinstance(part, ast.Name)}


def _mentioned(tree: ast.Module) -> set[str]:
    """Every name that is used, and every word of a text, which may be an annotation or `__all__`; not docstrings."""
    found: set[str] = set()
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, (ast.Global, ast.Nonlocal)):
            found |= set(node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            found |= set(_WORD.findall(node.value))
    return found


def _bound(alias: ast.alias) -> str:
    return alias.asname or alias.name.partition(".")[0]


def _dotted(node: ast.expr) -> str:
    return ast.unparse(node) if isinstance(node, (ast.Name, ast.Attribute)) else ""
