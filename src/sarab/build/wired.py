"""Wired applications: seen without running them, read in a process of their own, and given a main module.

Nothing of an application is imported here. What imports it is `python -m sarab.wiring.read`, which answers with a plan
(decision 0060); the main module in the plan is what an image starts, what mypy checks, and where the closure begins.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import json
import keyword
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sarab.build import plan as plans
from sarab.build.cache import MAINS
from sarab.build.errors import BuildError, SpecError, WiringError
from sarab.build.interpreter import Interpreter
from sarab.build.plan import Plan, shown
from sarab.build.resolve import Kind, Resolver
from sarab.build.spec import Application
from sarab.build.target import Target
from sarab.folders import cache_folder

MAIN = "_sarab_main.py"
"""What the main module is called, in an image and in the cache."""
READER = "sarab.wiring.read"
READ_SECONDS_MAX = 60
"""To import an application and all that it imports: what takes longer waits for something."""
IMPORTS_FOLLOWED_MAX = 4
"""`package:main` may come from another module of the package; a chain that is longer is a loop."""
_FRAME = re.compile(r'File "([^"]+)", line (\d+) in ')


@dataclass(frozen=True)
class Request:
    """What the person says beside the application."""

    target: Target = "machine"
    keys: tuple[tuple[str, str], ...] = ()
    """Given to the build: baked in."""
    bake_secrets: bool = False
    environment: tuple[str, ...] = ()
    """Names of the variables that the image sets."""
    reserved: frozenset[str] = frozenset()
    """Names that keys cannot have: options of the command that takes them."""
    lenient: bool = False
    """Only the plan is wanted, to learn which keys there are: what cannot be an image is not refused yet."""


@dataclass(frozen=True)
class Wired:
    """An application with its wiring."""

    application: Application
    """As it was named."""
    plan: Plan
    main: Path = field(compare=False)
    """The main module, in the cache."""

    @property
    def program(self) -> Application:
        """What is packed, and started."""
        return replace(self.application, kind="script", target=MAIN, script=self.main)


def prepare(application: Application, request: Request, cache: Path | None = None) -> Wired | None:
    """Read the wiring of `application`; None if it has none. Raises SpecError and WiringError."""
    entry = find(application)
    if entry is None:
        if request.keys:
            name = request.keys[0][0]
            raise SpecError(
                f"--{name} is no option, and {application.target} has no function with @unikernel, so no keys."
            )
        return None
    plan = read(application.root, entry, request, dict(application.keys), dict(application.devices))
    if not request.lenient:
        _refuse_keys(plan, request, application)
    return Wired(application, plan, _write_main(plan.source, cache or cache_folder()))


def _refuse_keys(plan: Plan, request: Request, application: Application) -> None:
    given, configured = dict(request.keys), dict(application.keys)
    for key in plan.keys:
        if key.name in request.reserved:
            raise WiringError(
                f"{shown(key.file)}:{key.line}: a key cannot be called {key.name}, for sarab has an option "
                f"--{key.name} of its own: choose another name."
            )
        if not key.secret or request.bake_secrets:
            continue
        if key.name in given or key.name in configured or key.environment in request.environment:
            where = "in [tool.sarab.keys]" if key.name in configured else "on the command line"
            raise WiringError(
                f"The key {key.name} is a secret, and its value {where} would be in the image: give it at boot "
                f"(--{key.name}, or the variable {key.environment}), or say --bake-secrets."
            )


def check_exists(application: Application) -> None:
    """Raise SpecError if there is no such module, which a build would find out later."""
    module = application.target.partition(":")[0]
    if application.kind != "script" and _Sources(application.root).file(module) is None:
        raise SpecError(f"There is no module {module} in {application.root}, nor installed beside this interpreter.")


@dataclass(frozen=True)
class Entry:
    """Where a wired application is."""

    module: str
    name: str
    file: str


def find(application: Application) -> Entry | None:
    """The application's function with @unikernel; None if it is a plain program. Raises SpecError.

    Nothing is run: the decorator stands in the source, and is imported from sarab by name.
    """
    finder = _Sources(application.root)
    if application.kind == "script":
        assert application.script is not None
        source = _source(application.script)
        names = decorated(source)
        if not names:
            return _started(finder, source, "")
        module = _module_name(application.script)
        _check_package(application.script, source, names)
        return Entry(module, _only(names, application.target), str(application.script))
    module, _, function = application.target.partition(":")
    if application.kind == "module":
        file = finder.file(module)
        if file is not None and file.name == "__init__.py":
            module += ".__main__"
            file = finder.file(module)
        if file is None:
            return None
        source = _source(file)
        names = decorated(source)
        if not names:
            return _started(finder, source, module.rpartition(".")[0])
        return Entry(module, _only(names, module), str(file))
    return finder.follow(module, function)


def _started(finder: _Sources, source: bytes, package: str) -> Entry | None:
    """The application of another module that a program starts: `from web import main`, and `main.run()`."""
    if b".run(" not in source:
        return None
    try:
        calls = [node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    except (SyntaxError, ValueError, RecursionError):
        return None
    for call in calls:
        if isinstance(call, ast.Attribute) and call.attr == "run" and isinstance(call.value, ast.Name):
            came = _imported_from(source, call.value.id, package)
            found = finder.follow(*came) if came is not None else None
            if found is not None:
                return found
    return None


def _check_package(script: Path, source: bytes, names: list[str]) -> None:
    """A module of a package that is named as a file cannot import from its package. Raises SpecError."""
    if not (script.parent / "__init__.py").is_file():
        return
    nodes = ast.walk(ast.parse(source))
    if any(isinstance(node, ast.ImportFrom) and node.level for node in nodes):
        parts = [script.stem]
        folder = script.parent
        while (folder / "__init__.py").is_file():
            parts.insert(0, folder.name)
            folder = folder.parent
        raise SpecError(
            f"{script.name} is a module of the package {parts[0]}, and imports from it: "
            f"say {'.'.join(parts)}:{names[0]}, in {folder}."
        )


def _only(names: list[str], where: str) -> str:
    if len(names) == 1:
        return names[0]
    raise SpecError(f"{where} has {len(names)} functions with @unikernel: say which, as {where}:{names[0]}.")


def _module_name(script: Path) -> str:
    stem = script.stem
    if not stem.isidentifier() or keyword.iskeyword(stem):
        better = re.sub(r"\W+", "_", stem).strip("_")
        hint = f": call it {better}.py" if better.isidentifier() and not keyword.iskeyword(better) else ""
        raise SpecError(f"{script.name} has a function with @unikernel, and its name cannot name a module{hint}.")
    if stem == "__main__":
        raise SpecError(
            f"{script} has a function with @unikernel, and __main__ is no module that can be imported: "
            "move the function into a file of another name, and say app.py or package.module:function."
        )
    if stem in sys.stdlib_module_names or stem == "sarab":
        raise SpecError(f"{script.name} would hide the module {stem} that it may need itself: give it another name.")
    return stem


class _Sources:
    """The source files of modules, with no module imported."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._resolver: Resolver | None = None

    def file(self, module: str) -> Path | None:
        base = self._root.joinpath(*module.split("."))
        for path in (base.with_name(base.name + ".py"), base / "__init__.py"):
            if path.is_file():
                return path
        if self._resolver is None:
            self._resolver = Resolver(Interpreter.running(), self._root)
        with contextlib.suppress(BuildError):
            found = self._resolver.find(module)
            if found is not None and found.kind is Kind.SOURCE and found.path is not None:
                return Path(found.path)
        return None

    def follow(self, module: str, name: str) -> Entry | None:
        """The function `name` of `module`, or what it imports under that name."""
        for _ in range(IMPORTS_FOLLOWED_MAX):
            file = self.file(module)
            if file is None:
                return None
            source = _source(file)
            if name in decorated(source):
                return Entry(module, name, str(file))
            package = module if file.name == "__init__.py" else module.rpartition(".")[0]
            came = _imported_from(source, name, package)
            if came is None:
                return None
            module, name = came
        return None


def decorated(source: bytes) -> list[str]:
    """The functions of a module that `@unikernel` of sarab makes applications, in their order."""
    if b"unikernel" not in source:
        return []
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError):
        return []  # the build says what is wrong with it
    ours: set[str] = set()
    names: list[str] = []
    for node in _statements(body):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and _is_sarab(node.module):
            ours |= {a.asname or a.name for a in node.names if a.name == "unikernel"}
            ours |= {"unikernel" for alias in node.names if alias.name == "*"}
            ours |= {f"{a.asname or a.name}.unikernel" for a in node.names if a.name in ("wiring", "unikernel")}
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if _is_sarab(alias.name):
                    name = alias.asname or "sarab"
                    ours |= {f"{alias.asname or alias.name}.unikernel", f"{name}.unikernel"}
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            if any(_is_unikernel(decorator, ours) for decorator in node.decorator_list):
                names.append(node.name)
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and _is_unikernel(node.value, ours):
            names += [target.id for target in node.targets if isinstance(target, ast.Name)]
    return list(dict.fromkeys(names))


def _is_sarab(module: str | None) -> bool:
    return module is not None and (module == "sarab" or module.startswith("sarab."))


def _is_unikernel(node: ast.expr, ours: set[str]) -> bool:
    while isinstance(node, ast.Call):  # @unikernel(...), and main = unikernel(...)(function)
        node = node.func
    return ast.unparse(node) in ours if isinstance(node, (ast.Name, ast.Attribute)) else False


def _statements(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a module's own scope, those of `if`, `try` and `with` among them."""
    for node in body:
        yield node
        for name in ("body", "orelse", "finalbody"):
            if isinstance(node, (ast.If, ast.Try, ast.With)):
                yield from _statements(getattr(node, name, ()))
        if isinstance(node, ast.Try):
            for handler in node.handlers:
                yield from _statements(handler.body)


def _imported_from(source: bytes, name: str, package: str) -> tuple[str, str] | None:
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError):
        return None
    for node in _statements(body):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    parts = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
                    return ".".join([*filter(None, parts), *filter(None, [node.module])]), alias.name
    return None


def _source(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BuildError(f"{path} cannot be read: {error.strerror}.") from error


def read(root: Path, entry: Entry, request: Request, keys: Mapping[str, Any], devices: Mapping[str, str]) -> Plan:
    """Have a process import the application and answer with its plan. Raises WiringError."""
    command = [sys.executable, "-P", "-X", "faulthandler", "-m", READER, str(root)]
    command += [f"{entry.module}:{entry.name}", request.target]
    question = json.dumps({"baked": dict(request.keys), "keys": dict(keys), "devices": dict(devices)})
    path = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))
    # What the application prints while it is imported cannot mix with the answer, which has a file of its own.
    with tempfile.TemporaryFile() as answered:
        environment = {**os.environ, "PYTHONPATH": path, "SARAB_PLAN_FD": str(answered.fileno())}
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment,
            pass_fds=[answered.fileno()],
        )
        error = _wait(process, question.encode(), entry, root)
        answered.seek(0)
        output = answered.read()
    answer = _answer(output)
    if answer is None:
        last = error.decode("utf-8", "replace").rstrip().rpartition("\n")[2]
        ended = f"signal {-process.returncode}" if process.returncode < 0 else f"status {process.returncode}"
        reason = f": {last}" if last else ""
        raise WiringError(
            f"{shown(entry.file)} was imported to read its wiring, and ended its process ({ended}){reason}"
        )
    if "error" in answer:
        told = answer["error"]
        raise WiringError(str(told.get("sentence")), tuple(map(str, told.get("chain") or ())))
    return plans.load(answer)


def _wait(process: subprocess.Popen[bytes], question: bytes, entry: Entry, root: Path) -> bytes:
    """Wait for its end, and return what it wrote to standard error."""
    try:
        return process.communicate(question, READ_SECONDS_MAX)[1]
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)  # faulthandler writes where it is
        error = process.communicate()[1]
        raise WiringError(
            f"{shown(entry.file)} was imported to read its wiring, and that did not end within {READ_SECONDS_MAX} s"
            f"{_place(error, root)}: what waits belongs into the function with @unikernel."
        ) from None
    finally:
        process.kill()
        process.wait()


def _answer(output: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(output)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _place(error: bytes, root: Path) -> str:
    for file, line in _FRAME.findall(error.decode("utf-8", "replace")):
        if Path(file).is_relative_to(root):
            return f" ({shown(file)}:{line})"
    return ""


def _write_main(source: str, cache: Path) -> Path:
    """Write the main module, and nobody else may read it: keys may be secret."""
    data = source.encode()
    folder = cache / MAINS / hashlib.sha256(data).hexdigest()[:16]
    path = folder / MAIN
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.is_file() or path.read_bytes() != data:
            temporary = folder / f"{MAIN}.{os.getpid()}"
            with open(temporary, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
                file.write(data)
            os.replace(temporary, path)
        os.utime(folder)
    except OSError as error:
        raise BuildError(f"The cache {cache} cannot be written: {error.strerror}; set SARAB_CACHE.") from error
    return path
