"""Source to bytecode that is the same wherever and whenever it is made.

Bytecode is compiled without optimisation: assertions hold, docstrings and names stay, tracebacks have file and line,
and the place in the line where there is a source to show it in.
File names inside it are image paths. The header says "unchecked": the interpreter never compares it with a source.
"""

from __future__ import annotations

import ast
import importlib.util
import marshal
import warnings

from sarab.build import target as targets
from sarab.build.columns import without_columns
from sarab.build.errors import SyntaxFault
from sarab.build.marshalled import canonical

_FLAGS_UNCHECKED_HASH = 1


def compile_source(
    source: bytes,
    image_path: str,
    shown_path: str,
    target: targets.Target | None = None,
    is_wired: bool = False,
    columns: bool = False,
    lean_as: str = "",
) -> bytes:
    """Compile the text of a .py file that will be `image_path` into the bytes of a .pyc file.

    With `columns` it says where in a line an instruction's source is, which only a traceback that has the source shows.

    `shown_path` is what an error message calls it; what happens on other targets than `target` is left out, and of the
    module of a wired application what only the build reads, and of the network's, `lean_as`, what only a type checker
    reads. Raises SyntaxFault with file and line.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = targets.adapted(source, target, is_wired, lean_as)
            program: bytes | ast.Module = source if tree is None else tree
            code = compile(program, image_path, "exec", dont_inherit=True, optimize=0)
    except SyntaxError as error:
        raise SyntaxFault(f"{shown_path}:{error.lineno or 1}: {error.msg}.") from error
    except ValueError as error:  # NUL bytes
        raise SyntaxFault(f"{shown_path}:1: {error}.") from error
    if not columns:
        code = without_columns(code)
    header = importlib.util.MAGIC_NUMBER + _FLAGS_UNCHECKED_HASH.to_bytes(4, "little")
    return header + importlib.util.source_hash(source) + canonical(marshal.dumps(code))
