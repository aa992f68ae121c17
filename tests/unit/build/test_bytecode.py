"""Bytecode is the same wherever, whenever and in whatever process it is made."""

from __future__ import annotations

import hashlib
import marshal
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import CodeType

import pytest

from sarab.build.bytecode import compile_source
from sarab.build.columns import without_columns
from sarab.build.errors import SyntaxFault
from sarab.build.marshalled import canonical

STDLIB = Path(sysconfig.get_path("stdlib"))
SAMPLES = ["argparse.py", "enum.py", "datetime.py", "typing.py", "asyncio/base_events.py", "fractions.py"]


@pytest.mark.parametrize("name", SAMPLES)
def test_canonical_code_loads_as_the_same_code(name: str) -> None:
    code = compile((STDLIB / name).read_bytes(), name, "exec")
    assert marshal.loads(canonical(marshal.dumps(code))) == code


def test_canonical_is_a_fixed_point() -> None:
    once = canonical(marshal.dumps(compile((STDLIB / "enum.py").read_bytes(), "enum.py", "exec")))
    assert canonical(once) == once
    assert canonical(marshal.dumps(marshal.loads(once))) == once


def test_canonical_does_not_depend_on_reference_counts() -> None:
    code = compile("def f(a):\n return 'some text here', 123456789, a.attribute_of_mine\n", "x.py", "exec")
    first = marshal.dumps(code)
    inner = next(c for c in code.co_consts if isinstance(c, CodeType))
    held = [*inner.co_consts, *code.co_consts, inner.co_linetable, inner.co_code]
    second = marshal.dumps(code)
    assert first != second, "the premise: plain marshal does depend on them"
    assert canonical(first) == canonical(second)
    del held


def test_canonical_keeps_every_kind_of_constant() -> None:
    source = (
        "x = (1, 2**70, -2**70, 1.5, 2j, b'b', 'a', '\\u4e2d', None, True, ..., frozenset({1})); y = 1 in {1, 2, 3}"
    )
    code = compile(source, "x.py", "exec")
    assert marshal.loads(canonical(marshal.dumps(code))) == code


def test_two_processes_with_other_hash_seeds_make_the_same_bytes() -> None:
    program = (
        "import sys, hashlib, pathlib; from sarab.build.bytecode import compile_source\n"
        "d = hashlib.sha256()\n"
        "for p in sys.argv[1:]: d.update(compile_source(pathlib.Path(p).read_bytes(), '/x.py', p))\n"
        "print(d.hexdigest())"
    )
    paths = [str(STDLIB / name) for name in SAMPLES]
    digests = set()
    for seed, order in (("0", paths), ("1", paths), ("77", paths)):
        environment = {"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(p for p in sys.path if p)}
        done = subprocess.run(
            [sys.executable, "-c", program, *order], env=environment, capture_output=True, text=True, check=True
        )
        digests.add(done.stdout)
    mine = hashlib.sha256()
    for path in paths:
        mine.update(compile_source(Path(path).read_bytes(), "/x.py", path))
    assert digests == {mine.hexdigest() + "\n"}


def test_code_names_the_image_and_not_this_machine() -> None:
    code = marshal.loads(compile_source(b"def f(): pass\n", "/app/x.py", "/home/me/x.py")[16:])
    assert code.co_filename == "/app/x.py"
    assert code.co_consts[0].co_filename == "/app/x.py"


def test_header_says_that_no_source_is_compared() -> None:
    assert compile_source(b"", "/x.py", "x.py")[4:8] == (1).to_bytes(4, "little")


@pytest.mark.parametrize(
    ("source", "place"), [(b"a = 1\nb = = 2\n", "x.py:2: "), (b"\0", "x.py:1: "), (b"\xff\xfe", "x.py:1: ")]
)
def test_what_does_not_compile_is_named_with_its_line(source: bytes, place: str) -> None:
    with pytest.raises(SyntaxFault) as caught:
        compile_source(source, "/app/x.py", "x.py")
    assert str(caught.value).startswith(place)


def _codes(code: CodeType) -> list[CodeType]:
    return [code] + [inner for item in code.co_consts if isinstance(item, CodeType) for inner in _codes(item)]


@pytest.mark.parametrize("name", SAMPLES)
def test_without_columns_every_instruction_keeps_its_line(name: str) -> None:
    code = compile((STDLIB / name).read_bytes(), name, "exec")
    for before, after in zip(_codes(code), _codes(without_columns(code)), strict=True):
        old, new = list(before.co_positions()), list(after.co_positions())
        assert [line for line, *_ in old] == [line for line, *_ in new], before
        assert {position[2:] for position in new} <= {(None, None)}
        assert before.replace(co_linetable=b"", co_consts=()) == after.replace(co_linetable=b"", co_consts=())


def test_an_image_of_sources_keeps_the_columns() -> None:
    source = b"a = 1 + int('x')\n"
    kept, dropped = (compile_source(source, "/x.py", "x.py", columns=columns) for columns in (True, False))
    assert len(dropped) < len(kept)
    assert any(position[2] for position in marshal.loads(kept[16:]).co_positions())
