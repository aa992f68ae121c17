"""From an application to its closure: the reading half of a build, which `--explain` shares."""

from __future__ import annotations

import ast
import hashlib
import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from sarab.build import hooks, scan
from sarab.build.bytecode import compile_source
from sarab.build.cache import Cache
from sarab.build.closure import PROGRAM, Closure, Finder
from sarab.build.contents import Distributions
from sarab.build.errors import BuildError, SpecError
from sarab.build.interpreter import APPLICATION, Interpreter
from sarab.build.lean import lean_name
from sarab.build.observe import observe
from sarab.build.resolve import Area, Found, Kind, Resolver
from sarab.build.spec import Application
from sarab.build.target import Target

_RULES = hashlib.sha256(repr((scan.VERSION, sorted(hooks.GATE_NAMES), sys.version_info)).encode()).hexdigest()


@dataclass
class Analysis:
    """An application with everything that it may import."""

    application: Application
    interpreter: Interpreter
    closure: Closure
    distributions: Distributions
    sources: dict[str, bytes] = field(default_factory=dict)
    """Module -> its source, for those that have been read; the script is `__main__`."""
    target: Target = "machine"
    """What `sarab.TARGET` is where it runs."""
    wired_module: str | None = None
    """The module of a wired application."""

    def source(self, found: Found) -> bytes:
        return self.sources[found.name] if found.name in self.sources else read_file(found.path or "")


def analyse(
    application: Application,
    cache: Cache,
    include: Iterable[str] = (),
    exclude: Iterable[str] = (),
    seal: bool = False,
    with_source: bool = False,
    progress: Callable[[str], None] = lambda _: None,
    target: Target = "machine",
    wired_module: str | None = None,
) -> Analysis:
    """Find the closure of `application`; raises BuildError for what is wrong in it."""
    interpreter = Interpreter.running()
    sources: dict[str, bytes] = {}
    distributions = Distributions(map(str, interpreter.site_directories))

    def scan_source(source: bytes, top: str, is_wired: bool = False, lean_as: str = "") -> scan.Scan:
        key = cache.key("scan", _RULES, target, f"{is_wired} {lean_as}", top, source)
        kept = cache.get(key)
        if kept is not None:
            return scan.Scan.load(json.loads(kept))
        result = scan.scan(source, top, target, is_wired, lean_as)
        cache.put(key, json.dumps(result.dump()).encode())
        return result

    def scan_module(found: Found) -> scan.Scan:
        if found.path is None or not found.path.endswith(".py"):
            return scan.Scan()
        source = read_file(found.path)
        sources[found.name] = source
        if found.area is Area.APPLICATION:
            compile_source(source, found.image_path, found.path)  # A syntax error of the application comes first.
        is_wired = found.name == wired_module
        return scan_source(source, "" if found.area is Area.APPLICATION else found.top, is_wired, lean_name(found))

    def observe_modules(founds: list[Found]) -> dict[str, list[str]]:
        result: dict[str, list[str]] = {}
        groups: dict[str, list[Found]] = {}
        for found in founds:
            groups.setdefault(found.top, []).append(found)
        for top, members in sorted(groups.items()):
            progress(f"watching {top} load")
            members.sort(key=lambda f: f.name)
            contents = [part for f in members for part in (f.name, hashlib.sha256(read_file(f.path or "")).digest())]
            key = cache.key("observe", _RULES, str(interpreter.executable), *interpreter.search_path, *contents)
            kept = cache.get(key)
            if kept is None:
                seen = observe([f.name for f in members], [str(application.root), *interpreter.search_path])
                kept = json.dumps(seen).encode()
                cache.put(key, kept)
            result.update(json.loads(kept))
        return result

    finder = Finder(
        Resolver(interpreter, application.root),
        scan_module,
        observe_modules,
        [*application.exclude, *exclude],
        with_source,
        distributions.declares,
    )
    for name in hooks.ALWAYS:
        finder.add(name, "the interpreter's own start", certain=False)
    for name in hooks.ENCODINGS:
        finder.add(name, "a codec that is named at run time", certain=False)
    if seal:
        finder.add("_ctypes", "loads every shared object before the address space is sealed")
    if application.kind == "script":
        script = application.script
        assert script is not None
        source = read_file(str(script))
        compile_source(source, f"{APPLICATION}/{application.target}", str(script))
        sources[PROGRAM] = source
        finder.add_program(scan_source(source, ""))
    else:
        _add_entry(finder, application)
    for name in [*application.include, *include]:
        if not finder.resolver.find(name.removesuffix(".*")):
            raise SpecError(f"include names the module {name.removesuffix('.*')}, and there is none.")
        finder.add(name, "named by include")
    return Analysis(application, interpreter, finder.close(), distributions, sources, target, wired_module)


def _add_entry(finder: Finder, application: Application) -> None:
    module, _, function = application.target.partition(":")
    found = finder.resolver.find(module)
    if found is None:
        raise SpecError(f"There is no module {module} in {application.root}, nor installed beside this interpreter.")
    if application.kind == "module":
        if found.is_package:
            module += ".__main__"
            found = finder.resolver.find(module)
            if found is None:
                raise SpecError(f"{application.target} is a package without a __main__ module: `-m` cannot start it.")
        finder.add(module, "the application")
        return
    finder.add(module, "the application")
    if found.kind is Kind.SOURCE and _kind_of_function(found, function) != "def":
        finder.add("asyncio", "runs the application's async function", certain=False)


def _kind_of_function(found: Found, function: str) -> str:
    """`def`, `async def`, or `other` for what only running the module would tell."""
    try:
        tree = ast.parse(read_file(found.path or ""))
    except (SyntaxError, ValueError):
        return "other"
    body: list[ast.stmt] = tree.body
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    names |= {
        a.asname or a.name for n in ast.walk(tree) if isinstance(n, (ast.Import, ast.ImportFrom)) for a in n.names
    }
    for node in body:
        if isinstance(node, ast.FunctionDef) and node.name == function:
            return "def"
        if isinstance(node, ast.AsyncFunctionDef) and node.name == function:
            return "async def"
    top = function.partition(".")[0]
    defined = names | {n.name for n in body if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))}
    if top not in defined and "*" not in names and not any(getattr(n, "name", "") == "__getattr__" for n in body):
        raise SpecError(f"The module {found.name} defines no {top}.")
    return "other"


def read_file(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise BuildError(f"{path} cannot be read: {error.strerror}.") from error
