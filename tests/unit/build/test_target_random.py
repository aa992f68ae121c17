"""Folding the target changes what a program holds, and never what it does: random programs, on every target."""

from __future__ import annotations

import ast
import textwrap
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sarab.build import target

NAMES = ("x", "y")
TESTS = (
    "TARGET == 'machine'", "TARGET != 'test'", "TARGET in ('process', 'test')", "TARGET not in {'machine'}",
    "'test' == TARGET", "told(0)", "told(1)", "x", "y", "True", "None",
)  # fmt: skip
PATTERNS = ("'machine'", "'test' | 'process'", "'machine' | 'test'", "_", "x", "'process' as y", "None")


def expressions() -> st.SearchStrategy[str]:
    leaves = st.sampled_from(TESTS)
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
            inner.map(lambda e: f"(not {e})"),
            st.tuples(inner, inner, inner).map(lambda t: f"({t[0]} if {t[1]} else {t[2]})"),
            st.tuples(st.sampled_from(NAMES), inner).map(lambda t: f"({t[0]} := {t[1]})"),
        ),
        max_leaves=5,
    )


def blocks() -> st.SearchStrategy[str]:
    def block(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        return st.lists(inner, min_size=1, max_size=3).map("\n".join)

    def case(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        guard = st.one_of(st.just(""), expressions().map(lambda e: f" if {e}"))
        return st.tuples(st.sampled_from(PATTERNS), guard, block(inner)).map(
            lambda t: f"case {t[0]}{t[1]}:\n{textwrap.indent(t[2], '    ')}"
        )

    def compound(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        def indented(text: str) -> str:
            return textwrap.indent(text, "    ")

        return st.one_of(
            st.tuples(expressions(), block(inner)).map(lambda t: f"if {t[0]}:\n{indented(t[1])}"),
            st.tuples(expressions(), block(inner), block(inner)).map(
                lambda t: f"if {t[0]}:\n{indented(t[1])}\nelse:\n{indented(t[2])}"
            ),
            st.lists(case(inner), min_size=1, max_size=3).map(
                lambda cases: f"match TARGET:\n{indented(chr(10).join(cases))}"
            ),
        )

    simple = st.one_of(
        st.tuples(st.sampled_from(NAMES), expressions()).map(lambda t: f"{t[0]} = {t[1]}"),
        expressions().map(lambda e: f"told({e})"),
        st.just("[x for x in (1, 2)]"),
        st.just("yield x"),
        st.just("def y(): return x"),
        st.just("import sys as x"),
        st.just("del y"),
        st.just("return y"),
    )
    return st.recursive(simple, compound, max_leaves=8)


def outcome(code: Any, where: str) -> tuple[list[object], object]:
    """What a program told, and how its function ended."""
    told: list[object] = []

    def tell(value: object) -> object:
        told.append(getattr(value, "__name__", value))
        return value

    space: dict[str, Any] = {"TARGET": where, "told": tell, "x": "the module's x", "y": ""}
    exec(code, space)
    try:
        result = space["function"]()
        if hasattr(result, "__next__"):
            told += ["generator", *(getattr(value, "__name__", value) for value in result)]
            result = None
        return told, getattr(result, "__name__", result)
    except (NameError, UnboundLocalError) as error:
        return told, type(error).__name__


@settings(deadline=None, max_examples=100, derandomize=True)
@given(st.lists(blocks(), min_size=1, max_size=4))
def test_folded_program_does_what_the_program_does(statements: list[str]) -> None:
    source = f"def function():\n{textwrap.indent(chr(10).join(statements), '    ')}\n"
    try:
        compiled = compile(source, "x.py", "exec")
    except SyntaxError:
        return  # "wildcard makes remaining patterns unreachable", names bound twice
    for where in target.TARGETS:
        tree = ast.parse("from sarab import TARGET\n" + source)
        target.fold(tree, where)
        del tree.body[0]
        folded = compile(tree, "x.py", "exec")
        assert outcome(folded, where) == outcome(compiled, where), f"{source}\non {where}:\n{ast.unparse(tree)}"
