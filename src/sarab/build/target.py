"""`from sarab import TARGET`: what a module does on other targets is taken out of its syntax tree (decision 0060).

The scan for imports and the compiler see the same tree, so that what is not imported is not in the bytecode either.
Names that a module binds in any other way as well are left alone: then only running it would tell what they are.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from typing import Literal, TypeVar

from sarab.build.errors import SpecError
from sarab.build.lean import lean
from sarab.build.unwire import unwire

Target = Literal["machine", "process", "test"]
TARGETS: tuple[Target, ...] = ("machine", "process", "test")
NAME = "TARGET"

_Node = TypeVar("_Node", bound=ast.AST)


def known(text: str) -> Target:
    """`text` as a target. Raises SpecError."""
    for target in TARGETS:
        if text == target:
            return target
    raise SpecError(f"There is no target {text!r}: sarab knows {', '.join(TARGETS)}.")


def mentions(source: bytes) -> bool:
    """Whether a source may ask for the target; a cheap test that most sources end at."""
    return NAME.encode() in source and b"sarab" in source


def adapted(source: bytes, target: Target | None, is_wired: bool = False, lean_as: str = "") -> ast.Module | None:
    """The syntax tree of a module as it is on `target`; None if that is the tree of its source.

    `is_wired` is for the module of the application itself: what only a build reads is taken out of it (unwire).
    `lean_as` is for modules of the network (lean).
    """
    may_fold = target is not None and mentions(source)
    if not may_fold and not is_wired and not lean_as:
        return None
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return None
    changed = target is not None and may_fold and fold(tree, target)
    if is_wired:
        changed = unwire(tree) or changed
    if lean_as:
        lean(tree, lean_as)
        changed = True
    return tree if changed else None


def fold(tree: ast.Module, target: Target) -> bool:
    """Take out of `tree` what does not happen on `target`; returns whether anything was."""
    rebound = _bound_otherwise(tree)
    folder = _Folder(target, _imported(tree.body, rebound), rebound)
    folder.visit(tree)
    return folder.changed


def _is_ours(node: ast.ImportFrom) -> bool:
    return (
        node.level == 0
        and node.module is not None
        and (node.module == "sarab" or node.module.startswith("sarab."))
        and any(alias.name == NAME for alias in node.names)
    )


def _imported(body: Iterable[ast.stmt], rebound: frozenset[str]) -> frozenset[str]:
    """What the statements of one scope call the target: `TARGET`, another name, or `sarab.TARGET`."""
    found: set[str] = set()
    for node in _scope(body):
        if isinstance(node, ast.ImportFrom) and _is_ours(node):
            found |= {alias.asname or NAME for alias in node.names if alias.name == NAME}
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name == "sarab" or (alias.name.startswith("sarab.") and alias.asname is None):
                    found.add(f"{alias.asname or 'sarab'}.{NAME}")
    return frozenset(name for name in found if name.partition(".")[0] not in rebound)


def _scope(body: Iterable[ast.AST]) -> Iterable[ast.AST]:
    """The nodes of one scope: functions and classes are among them, what is inside of them is not."""
    queue = list(body)
    for node in queue:
        yield node
        if isinstance(node, ast.comprehension):
            queue += [node.iter, *node.ifs]  # its names are its own
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            queue += ast.iter_child_nodes(node)


def _bound_otherwise(tree: ast.Module) -> frozenset[str]:
    """Names that something else than an import of sarab binds, anywhere in the module."""
    bound: set[str] = set()
    for node in ast.walk(tree):
        bound |= set(_binds(node))
        if isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, (ast.Global, ast.Nonlocal)):
            bound |= set(node.names)
        if isinstance(node, ast.ImportFrom) and _is_ours(node):
            bound -= {alias.asname or NAME for alias in node.names if alias.name == NAME}
    ours = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and not _is_ours(node)]
    return frozenset(bound | {alias.asname or alias.name for node in ours for alias in node.names})


def _binds(node: ast.AST) -> list[str]:
    """The names that one node binds in its scope; not those of the nodes in it, and no import of the target."""
    if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
        return [node.id]
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return [node.name]
    if isinstance(node, ast.Import):
        names = [a.asname or a.name.partition(".")[0] for a in node.names if a.name.partition(".")[0] != "sarab"]
        return names + [a.asname for a in node.names if a.name.startswith("sarab.") and a.asname is not None]
    if isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)):
        return [node.name] if node.name is not None else []
    if isinstance(node, ast.MatchMapping):
        return [node.rest] if node.rest is not None else []
    return []


class _Folder(ast.NodeTransformer):
    """Puts the target in the place of its names, and decides what depends on it alone."""

    def __init__(self, target: Target, names: frozenset[str], rebound: frozenset[str]) -> None:
        self.changed = False
        self._target = target
        self._names = names
        self._rebound = rebound
        self._in_function = False

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._function(node)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        names, inside = self._names, self._in_function
        self._names, self._in_function = names | _imported(node.body, self._rebound), True
        self.generic_visit(node)
        self._names, self._in_function = names, inside
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        inside, self._in_function = self._in_function, False
        self.generic_visit(node)
        self._in_function = inside
        return node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return self._constant(node) if isinstance(node.ctx, ast.Load) and node.id in self._names else node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if isinstance(node.ctx, ast.Load) and isinstance(node.value, ast.Name) and node.attr == NAME:
            if f"{node.value.id}.{NAME}" in self._names:
                return self._constant(node)
            return node
        self.generic_visit(node)
        return node

    def _constant(self, node: ast.expr) -> ast.Constant:
        self.changed = True
        return ast.copy_location(ast.Constant(self._target), node)

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        before, self.changed = self.changed, False
        self.generic_visit(node)
        ours, self.changed = self.changed, before or self.changed
        if not ours or len(node.ops) != 1:
            return node
        truth = _compared(node.left, node.ops[0], node.comparators[0])
        return node if truth is None else ast.copy_location(ast.Constant(truth), node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        self.generic_visit(node)
        truth = _decided(node.operand)
        if isinstance(node.op, ast.Not) and truth is not None:
            return ast.copy_location(ast.Constant(not truth), node)
        return node

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        """What stands before the first operand that decides is still evaluated, what stands behind it never is."""
        self.generic_visit(node)
        ending = isinstance(node.op, ast.Or)
        values: list[ast.expr] = []
        for value in node.values:
            truth = _decided(value)
            if truth is None or value is node.values[-1]:
                values.append(value)
            elif truth is ending:
                values.append(value)
                break
        if any(_does_more(value) for value in node.values if value not in values):
            return node
        if len(values) == 1:
            return values[0]
        node.values = values
        return node

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        self.generic_visit(node)
        truth = _decided(node.test)
        if truth is None or _does_more(node.orelse if truth else node.body):
            return node
        return node.body if truth else node.orelse

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        self.generic_visit(node)
        truth = _decided(node.test)
        if truth is not None:
            return self._chosen(node, *((node.body, node.orelse) if truth else (node.orelse, node.body)))
        always = _truth_at_the_end(node.test)
        if always is False:
            node.body = self._chosen(node, [], node.body)
        elif always is True:
            node.orelse = self._shadow(node, node.orelse)
        return node

    def visit_Match(self, node: ast.Match) -> ast.AST | list[ast.stmt]:
        self.generic_visit(node)
        if not isinstance(node.subject, ast.Constant) or node.subject.value != self._target:
            return node
        kept: list[ast.match_case] = []
        dropped: list[ast.AST] = []
        for case in node.cases:
            if (kept and kept[-1].guard is None and self._matches(kept[-1].pattern)) or (
                self._matches(case.pattern) is False
            ):
                dropped.append(case)
            else:
                kept.append(case)
        if not kept:
            return self._chosen(node, [], dropped)
        if kept[0].guard is None and self._matches(kept[0].pattern) and not _binds(kept[0].pattern):
            return self._chosen(node, kept[0].body, dropped)
        node.cases = kept
        return [*self._shadow(node, dropped), node]

    def _matches(self, pattern: ast.pattern) -> bool | None:
        match pattern:
            case ast.MatchValue(value=ast.Constant(value=value)):
                return bool(value == self._target)
            case ast.MatchAs(pattern=None):
                return True
            case ast.MatchAs(pattern=ast.pattern() as inner):
                return self._matches(inner)
            case ast.MatchSingleton():
                return False
            case ast.MatchOr(patterns=patterns):
                found = [self._matches(inner) for inner in patterns]
                return True if True in found else None if None in found else False
        return None

    def _chosen(self, node: ast.stmt, kept: list[ast.stmt], dropped: Sequence[ast.AST]) -> list[ast.stmt]:
        statements = [*self._shadow(node, dropped), *kept]
        return statements or [ast.copy_location(ast.Pass(), node)]

    def _shadow(self, node: ast.stmt, dropped: Sequence[ast.AST]) -> list[ast.stmt]:
        """What a function keeps of statements that it never reaches: which names are its own, and that it yields."""
        if not self._in_function or not dropped:
            return []
        names: set[str] = set()
        statements: list[ast.stmt] = []
        yields = False
        for part in _scope(dropped):
            names |= set(_binds(part))
            if isinstance(part, (ast.Import, ast.ImportFrom)):
                names |= {alias.asname or alias.name.partition(".")[0] for alias in part.names}
            elif isinstance(part, (ast.Global, ast.Nonlocal)):
                statements.append(part)
                names -= set(part.names)
            yields = yields or isinstance(part, (ast.Yield, ast.YieldFrom))
        dead: list[ast.stmt] = [
            ast.Assign([ast.Name(name, ast.Store())], ast.Constant(None)) for name in sorted(names - {"*"})
        ]
        if yields:
            dead.append(ast.Expr(ast.Yield(None)))
        if dead:
            statements.append(ast.If(ast.Constant(False), dead, []))
        return [_located(statement, node) for statement in statements]


def _located(new: _Node, old: ast.stmt) -> _Node:
    ast.copy_location(new, old)
    return ast.fix_missing_locations(new)


def _does_more(node: ast.expr) -> bool:
    """Whether an expression says something of its function that holds even where it is never reached."""
    return any(isinstance(part, (ast.NamedExpr, ast.Yield, ast.YieldFrom)) for part in ast.walk(node))


def _decided(node: ast.expr) -> bool | None:
    return bool(node.value) if isinstance(node, ast.Constant) else None


def _truth_at_the_end(test: ast.expr) -> bool | None:
    """The truth of `x and False` and of `x or True`, which still evaluate x."""
    if isinstance(test, ast.BoolOp):
        truth = _decided(test.values[-1])
        if truth is isinstance(test.op, ast.Or):
            return truth
    return None


def _compared(left: ast.expr, operator: ast.cmpop, right: ast.expr) -> bool | None:
    try:
        one, other = ast.literal_eval(left), ast.literal_eval(right)
    except (ValueError, TypeError, RecursionError):
        return None
    match operator:
        case ast.Eq():
            return bool(one == other)
        case ast.NotEq():
            return bool(one != other)
        case ast.In() if isinstance(other, (tuple, list, set, dict)):
            return one in other
        case ast.NotIn() if isinstance(other, (tuple, list, set, dict)):
            return one not in other
    return None
