"""What a module does on other targets is in neither the closure nor the bytecode."""

from __future__ import annotations

import ast
import inspect
import marshal
import textwrap
from types import CodeType
from typing import Any

import pytest

from sarab.build import scan, target
from sarab.build.bytecode import compile_source

IMPORT = "from sarab import TARGET\n"


def compiled(source: str, chosen: target.Target = "machine") -> CodeType:
    code = marshal.loads(compile_source(source.encode(), "/app/x.py", "x.py", chosen)[16:])
    assert isinstance(code, CodeType)
    return code


def names(code: CodeType) -> set[str]:
    """Every name and text in the bytecode, of nested functions too."""
    found = {*code.co_names}
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= {constant.co_name} | names(constant)
        elif isinstance(constant, str):
            found.add(constant)
    return found


def imported(source: str, chosen: target.Target = "machine") -> set[str]:
    return {item.module for item in scan.scan(source.encode(), "", chosen).imports} - {"sarab"}


def here(source: str, chosen: target.Target = "machine") -> str:
    tree = ast.parse(textwrap.dedent(source))
    target.fold(tree, chosen)
    return ast.unparse(tree)


@pytest.mark.parametrize(
    ("test", "chosen"),
    [
        ("TARGET == 'machine'", "machine"),
        ("'machine' == TARGET", "machine"),
        ("TARGET != 'machine'", "process"),
        ("TARGET in ('process', 'test')", "test"),
        ("TARGET not in {'machine'}", "process"),
        ("not TARGET == 'process'", "test"),
        ("TARGET == 'machine' and True", "machine"),
        ("TARGET == 'test' or TARGET == 'process'", "process"),
        ("not (TARGET == 'test' or TARGET == 'process')", "machine"),
    ],
)
def test_test_of_the_target_keeps_one_branch(test: str, chosen: target.Target) -> None:
    source = f"{IMPORT}if {test}:\n    import chosen\n    chosen.one()\nelse:\n    import other\n    other.two()\n"
    assert imported(source, chosen) == {"chosen"}
    left = names(compiled(source, chosen))
    assert {"chosen", "one"} <= left and not {"other", "two"} & left
    for another in target.TARGETS:
        if bool(eval(test, {"TARGET": another})) is False:
            assert imported(source, another) == {"other"}


def test_chain_of_elif_keeps_one_branch() -> None:
    source = (
        f"{IMPORT}if TARGET == 'test':\n    import a\nelif TARGET == 'process':\n    import b\nelse:\n    import c\n"
    )
    assert [imported(source, one) for one in target.TARGETS] == [{"c"}, {"b"}, {"a"}]


def test_match_keeps_one_case() -> None:
    source = IMPORT + textwrap.dedent("""
        match TARGET:
            case "machine":
                import a
            case "process" | "test":
                import b
            case _:
                import c
    """)
    assert [imported(source, one) for one in target.TARGETS] == [{"a"}, {"b"}, {"b"}]
    assert not {"b", "c"} & names(compiled(source))


def test_match_with_a_guard_keeps_what_may_be() -> None:
    source = IMPORT + textwrap.dedent("""
        match TARGET:
            case "test":
                import a
            case "machine" if f():
                import b
            case other:
                import c
    """)
    assert imported(source) == {"b", "c"}


def test_conditional_expression_and_other_uses_are_constants() -> None:
    source = IMPORT + "a = one() if TARGET == 'machine' else two()\nprint(f'on {TARGET}')\n"
    assert here(source) == "from sarab import TARGET\na = one()\nprint(f\"on {'machine'}\")"


def test_every_form_of_the_import_is_known() -> None:
    for head, name in (
        ("from sarab import Key, TARGET as where", "where"),
        ("import sarab", "sarab.TARGET"),
        ("import sarab as s", "s.TARGET"),
    ):
        assert imported(f"{head}\nif {name} == 'test':\n    import other\n") == set(), head


def test_import_inside_a_function_counts_there() -> None:
    source = "def f():\n    from sarab import TARGET\n    if TARGET == 'test':\n        import other\n"
    assert imported(source) == set()


@pytest.mark.parametrize(
    "head",
    [
        "from other import TARGET",
        "from sarab import TARGET\nTARGET = f()",
        "try:\n    from sarab import TARGET\nexcept ImportError:\n    TARGET = 'test'",
        "from sarab import TARGET\ndef g(TARGET): pass",
        "TARGET = 'sarab'",
    ],
)
def test_name_that_may_be_something_else_is_left_alone(head: str) -> None:
    assert imported(f"{head}\nif TARGET == 'test':\n    import inside\n") - {"other"} == {"inside"}


def test_what_is_evaluated_first_still_is() -> None:
    assert here(f"{IMPORT}if f() and TARGET == 'test':\n    a()\nelse:\n    b()").splitlines()[1:] == [
        "if f() and False:", "    pass", "else:", "    b()",
    ]  # fmt: skip
    assert here(f"{IMPORT}if TARGET == 'machine' and f():\n    a()").splitlines()[1:] == ["if f():", "    a()"]
    assert here(f"{IMPORT}x = f() or TARGET == 'machine' or g()").splitlines()[1:] == ["x = f() or True"]


def function(source: str) -> Any:
    space: dict[str, Any] = {"x": "the module's"}
    tree = ast.parse(IMPORT + textwrap.dedent(source))
    target.fold(tree, "machine")
    del tree.body[0]
    exec(compile(tree, "x.py", "exec"), space)
    return space["f"]


def test_function_keeps_its_own_names() -> None:
    """Without the assignment that is never reached, x would be the module's."""
    f = function("def f():\n    if TARGET == 'test':\n        x = 1\n    return x")
    with pytest.raises(UnboundLocalError):
        f()


def test_names_of_a_comprehension_that_is_dropped_are_nobodys() -> None:
    f = function("def f():\n    if TARGET == 'test':\n        return [x for x in ()]\n    return x")
    assert f() == "the module's"


def test_generator_stays_one() -> None:
    f = function("def f():\n    if TARGET == 'test':\n        yield 1\n    return")
    assert inspect.isgeneratorfunction(f) and list(f()) == []


def test_lines_stay_where_they_are() -> None:
    code = compiled(f"{IMPORT}if TARGET == 'test':\n    a()\nelse:\n    1 / 0\n")
    assert max(line for *_, line in code.co_lines() if line is not None) == 5


def test_source_without_the_target_is_compiled_as_ever() -> None:
    source = b"from sarab import unikernel\nif 1:\n    x = 'sarab TARGET'\n"
    assert compile_source(source, "/x.py", "x.py", "machine") == compile_source(source, "/x.py", "x.py")
