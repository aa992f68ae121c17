"""mypy on a wired application and its main module, as strict as the project's own configuration says.

An error in the main module is one of the wiring: it is told by what its line does, in the terms of the application.
Errors in the application's own files are told as mypy tells them. What was found to be right is not checked again
until a file of it changes.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from sarab.build.analysis import Analysis
from sarab.build.cache import Cache
from sarab.build.errors import TypesError
from sarab.build.plan import Plan, shown
from sarab.build.resolve import Area
from sarab.build.wired import Wired

CONFIGURATIONS = ("mypy.ini", ".mypy.ini", "pyproject.toml", "setup.cfg")
"""In mypy's own order; in the last two it is a section."""
FOLDERS_UP_MAX = 8
"""Of the folders above an application that are looked through for a configuration."""
ERRORS_SHOWN_MAX = 20
FILES_MAX = 2000
"""Of an application's folder: to look at more takes as long as mypy does, which is then asked each time."""
NOT_OURS = frozenset({"node_modules", "site-packages", "build", "dist"})
_LINE = re.compile(r"(?P<file>.+?):(?P<line>\d+)(?::\d+)?: (?P<severity>error|note|warning): (?P<text>.*)")
_ARGUMENT = re.compile(r"""Argument .* has incompatible type ".*"; expected "(?P<expected>[^"]+)\"""")
_OURS = Path(__file__).parents[1]
FLAGS = (
    "--no-error-summary", "--no-pretty", "--no-color-output", "--hide-error-context", "--show-absolute-path",
    "--show-error-codes",
)  # fmt: skip


def is_possible() -> bool:
    """Whether mypy is installed beside this interpreter."""
    return find_spec("mypy") is not None


def check(wired: Wired, analysis: Analysis, cache: Cache) -> str | None:
    """Check the types; returns a sentence if that could not be done. Raises TypesError."""
    if not is_possible():
        return "mypy is not installed beside this interpreter, so types were not checked: pip install mypy."
    configuration = find_configuration(wired.application.project or wired.application.root)
    inputs = _inputs(wired, analysis, configuration)
    key = cache.key("types 3", *inputs) if inputs is not None else None
    if key is not None and cache.get(key) is not None:
        return None
    output, status = _run(wired, configuration, cache.folder / "mypy")
    if _is_stale(output, wired):
        output, status = _run(wired, configuration, Path(os.devnull))
    problems = list(_problems(output, wired.plan, wired.main))
    if not problems and status not in (0, 1):
        last = (output.strip().splitlines() or ["no word"])[-1]
        raise TypesError(f"mypy could not check {wired.application.target}: {last}")
    if problems:
        shown = problems[:ERRORS_SHOWN_MAX]
        if len(problems) > len(shown):
            shown.append(f"... and {len(problems) - len(shown)} more")
        raise TypesError(
            f"The types of {wired.application.target} do not fit together (--no-types builds it)", tuple(shown)
        )
    if key is not None:
        cache.put(key, b"right")
    return None


def find_configuration(folder: Path) -> Path | None:
    """The file that configures mypy for an application in `folder`; None if there is none."""
    for place in [folder, *folder.parents][:FOLDERS_UP_MAX]:
        for name in CONFIGURATIONS:
            path = place / name
            if path.is_file() and _configures(path):
                return path
        if (place / ".git").exists() or (place / "pyproject.toml").is_file():
            return None  # the project ends here
    return None


def _configures(path: Path) -> bool:
    if path.name == "pyproject.toml":
        return b"[tool.mypy]" in path.read_bytes()
    return path.name != "setup.cfg" or b"[mypy" in path.read_bytes()


def _run(wired: Wired, configuration: Path | None, cache: Path) -> tuple[str, int]:
    command = [sys.executable, "-P", "-m", "mypy", *FLAGS, "--cache-dir", str(cache)]
    # An empty name means no configuration at all, not even the one of the working directory.
    command += ["--config-file", str(configuration) if configuration is not None else os.devnull]
    if configuration is None:
        command.append("--ignore-missing-imports")  # of libraries without types; that they exist the closure has seen
    # mypy does not run the finders of an editable install, and so may not see sarab where it is a checkout.
    path = [str(wired.application.root), *([] if "site-packages" in _OURS.parts else [str(_OURS.parent)])]
    environment = {**os.environ, "MYPYPATH": os.pathsep.join([*path, *filter(None, [os.environ.get("MYPYPATH")])])}
    done = subprocess.run(
        [*command, str(wired.main)],
        cwd=configuration.parent if configuration is not None else wired.application.root,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr, done.returncode


def _is_stale(output: str, wired: Wired) -> bool:
    """Whether errors are told of files that mypy did not look at.

    Of a module of the same name and content elsewhere, such as a copy of the project, it tells what it has kept.
    """
    places = [*sys.path, *os.environ.get("MYPYPATH", "").split(os.pathsep)]
    folders = [wired.application.root, wired.main.parent, _OURS.parent, *(Path(place) for place in places if place)]
    matches = [match for match in map(_LINE.fullmatch, output.splitlines()) if match is not None]
    files = {Path(match["file"]) for match in matches if match["severity"] == "error"}
    return any(not any(file.is_relative_to(folder) for folder in folders) for file in files)


def _problems(output: str, plan: Plan, main: Path) -> Iterable[str]:
    """What mypy said, in the terms of the application; nothing about sarab's own files."""
    last = False
    for line in output.splitlines():
        match = _LINE.fullmatch(line)
        if match is None:
            continue
        file, number, text = Path(match["file"]), int(match["line"]), match["text"]
        if match["severity"] != "error":
            if last:
                yield f"  {text}"
            continue
        last = not file.is_relative_to(_OURS)
        if file == main:
            other = _ARGUMENT.match(text)
            told = f", which is no {other['expected']}" if other else f": {text}"
            yield f"{_meaning(plan, number)}{told}"
        elif last:
            yield f"{shown(str(file))}:{number}: {text}"


def _meaning(plan: Plan, number: int) -> str:
    """What a line of the main module does, or the line before it that has a meaning."""
    known = [line for line in plan.lines if line <= number]
    return plan.lines[max(known)] if known else f"{plan.entry.name} ({plan.entry.file}:{plan.entry.line})"


def _inputs(wired: Wired, analysis: Analysis, configuration: Path | None) -> Iterable[str | bytes] | None:
    """All that the answer depends on, files by their size and time; None if those are too many to look at.

    Not the closure's files alone: mypy reads what is imported under `if TYPE_CHECKING` too.
    """
    files: list[str] = []
    for folder, folders, names in os.walk(wired.application.root):
        folders[:] = [name for name in folders if not name.startswith((".", "__pycache__")) and name not in NOT_OURS]
        if "pyvenv.cfg" in names:
            folders.clear()
            continue
        files += [os.path.join(folder, name) for name in names if name.endswith((".py", ".pyi"))]
        if len(files) > FILES_MAX:
            return None
    paths = [module.path or "" for module in analysis.closure.modules.values() if module.area is Area.SITE]
    files += [path for path in paths if path.endswith(".py")]
    settings = configuration.read_bytes() if configuration is not None else b""
    return [sys.version, wired.plan.source, settings, *map(_stamp, sorted(files))]


def _stamp(file: str) -> str:
    status = os.stat(file)
    return f"{file} {status.st_mtime_ns} {status.st_size}"
