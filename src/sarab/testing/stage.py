"""What goes into the image of a project's tests: a program, the test folders in an archive, and what they import."""

from __future__ import annotations

import ast
import os
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ARCHIVE_BYTES_MAX = 32 << 20
"""Of test folders: more would not fit beside the tests into /tmp, and is no folder of tests."""
PACKED = "sarab_tests"
SKIPPED_FOLDERS = {"__pycache__", "node_modules", "build", "dist", "venv"}
INI_FILES = ("pytest.ini", ".pytest.ini", "pytest.toml", ".pytest.toml", "pyproject.toml", "tox.ini", "setup.cfg")
OF_THE_HOST = {"pytest_cov.plugin", "xdist.plugin", "xdist.looponfail"}
"""Plugins that watch or share out the work of this machine."""
ALWAYS = ("_pytest.*", "pluggy.*", "iniconfig", "sarab.testing.plugin", "sarab.testing.world")
LOST_WORDS = ("-x", "--exitfirst", "--sarab", "--lf", "--last-failed", "--ff", "--failed-first", "--nf", "--sw",
              "--stepwise", "--pdb", "--trace", "-q", "--quiet", "--co", "--collect-only", "--cov",
              "--no-cov", "--no-header", "--no-summary")  # fmt: skip
"""Options that are the host's own."""
LOST_PAIRS = ("-k", "-m", "-n", "-c", "-r", "-p", "--maxfail", "--junitxml", "--junit-xml", "--junit-prefix",
              "--durations", "--durations-min", "--rootdir", "--confcutdir", "--deselect", "--ignore", "--basetemp",
              "--numprocesses", "--dist", "--color", "--cov-report", "--cov-config", "--log-file", "--capture",
              "--result-log", "--config-file", "--cov-fail-under", "--ignore-glob")  # fmt: skip
"""And those of them that have a value."""


@dataclass(frozen=True)
class Project:
    """A project's tests, staged."""

    program: Path
    modules: tuple[str, ...]
    """What `sarab build --include` is given."""
    search_path: tuple[str, ...]
    """Folders of this machine from which the tests import."""
    folder: str
    """The working folder, from the root folder."""
    path: tuple[str, ...]
    """Folders of sys.path, from the root folder."""
    options: tuple[str, ...]

    def job(self, tests: list[str], timeout_s: float) -> dict[str, object]:
        """Return what the machine is told to do; guest.main() reads it."""
        files = sorted({nodeid.partition("::")[0] for nodeid in tests})
        folder = Path(self.folder)
        return {
            "tests": tests,
            "files": [os.path.relpath(name, folder) for name in files],
            "folder": self.folder,
            "path": list(self.path),
            "options": list(self.options),
            "timeout": timeout_s,
        }


def stage(session: pytest.Session, folder: Path) -> Project:
    """Write the program and its data into `folder`. Raises pytest.UsageError."""
    config = session.config
    root = config.rootpath
    files = list(dict.fromkeys(item.path for item in session.items))
    for path in files:
        if not path.is_relative_to(root):
            raise pytest.UsageError(f"--sarab: {path} is not below the project's root, {root}")
    packed = list(_packed_files(root, files))
    (folder / PACKED).mkdir(parents=True)
    (folder / PACKED / "__init__.py").write_text('"""The tests, as data."""\n')
    size = 0
    with tarfile.open(folder / PACKED / "project.tar", "w") as archive:
        for path in packed:
            size += path.stat().st_size
            if size > ARCHIVE_BYTES_MAX:
                raise pytest.UsageError(
                    f"--sarab: the tests' folders hold more than {ARCHIVE_BYTES_MAX >> 20} MiB; the last was {path}"
                )
            archive.add(path, str(path.relative_to(root)), filter=_without_owner)
    plugins = _plugins(config)
    sources = [path for path in packed if path.suffix == ".py"]
    imports, named = _imports(sources)
    program = folder / "pytest_inside.py"
    program.write_text(_program(imports))
    inside = [Path(entry) for entry in sys_path() if Path(entry).is_relative_to(root)]
    inside = [entry for entry in inside if "site-packages" not in entry.parts]
    invoked = config.invocation_params.dir
    return Project(
        program,
        (*ALWAYS, f"{PACKED}.*", *plugins, *named),
        tuple(dict.fromkeys([*map(str, inside), str(root)])),
        str(invoked.relative_to(root)) if invoked.is_relative_to(root) else ".",
        tuple(dict.fromkeys(str(entry.relative_to(root)) for entry in inside)),
        tuple(_options(config, plugins)),
    )


def sys_path() -> list[str]:
    """Return the folders from which this process imports."""
    import sys

    return [os.path.abspath(entry) for entry in sys.path]


def _program(imports: Iterable[str]) -> str:
    lines = ['"""Runs the tests of a project: made by `pytest --sarab`."""', "", "from pathlib import Path", ""]
    lines += ["from sarab.testing import guest", "", ""]
    lines += ["def _never() -> None:", '    """What the tests import."""']
    for line in imports:
        lines += ["    try:", f"        {line}", "    except ImportError:", "        pass"]
    lines += ["", "", f'guest.main(Path(__file__).parent / "{PACKED}" / "project.tar")', ""]
    return "\n".join(lines)


def _packed_files(root: Path, tests: Iterable[Path]) -> Iterator[Path]:
    """Give all files of the folders of the tests, of the packages that these are in, and the root's settings."""
    folders: dict[Path, None] = {}
    above: dict[Path, None] = {}
    for path in tests:
        folders[path.parent] = None
        for parent in path.parents:
            if not parent.is_relative_to(root):
                break
            above[parent] = None
    seen: set[Path] = set()
    for folder in sorted(folders):
        # Of the root itself, only what lies there: its folders are the project, and come as what is imported.
        walk = [(str(folder), [], os.listdir(folder))] if folder == root else os.walk(folder)
        for base, names, files in walk:
            names[:] = sorted(n for n in names if n not in SKIPPED_FOLDERS and not n.startswith("."))
            for name in sorted(files):
                path = Path(base, name)
                if path.is_file() and not name.endswith((".pyc", ".elf")) and path not in seen:
                    seen.add(path)
                    yield path
    for folder in above:
        names = ["conftest.py", "__init__.py", *(INI_FILES if folder == root else ())]
        for path in (folder / name for name in names):
            if path.is_file() and path not in seen:
                seen.add(path)
                yield path


def _without_owner(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.mtime = info.uid = info.gid = 0
    info.uname = info.gname = ""
    return info


def _imports(sources: Iterable[Path]) -> tuple[list[str], list[str]]:
    """Return the import statements of the test files, and the modules that pytest_plugins names."""
    found: dict[str, None] = {}
    named: dict[str, None] = {}
    for path in sources:
        try:
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError):
            continue  # a broken file may be what a test is about
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                found.update((f"import {alias.name}", None) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                if node.module != "__future__":
                    found.update((f"from {node.module} import {a.name}", None) for a in node.names if a.name != "*")
                    found[f"import {node.module}"] = None
            elif isinstance(node, ast.Assign) and any(
                isinstance(target, ast.Name) and target.id == "pytest_plugins" for target in node.targets
            ):
                named.update((name, None) for name in _strings(node.value) if name.count(".") or name.isidentifier())
    return list(found), list(named)


def _strings(node: ast.AST) -> Iterator[str]:
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part.value


def _plugins(config: pytest.Config) -> list[str]:
    """Return the modules of the plugins in use: those that are installed, and those that -p names."""
    names = [str(getattr(plugin, "__name__", "")) for plugin, _ in config.pluginmanager.list_plugin_distinfo()]
    for name in config.known_args_namespace.plugins:
        if not name.startswith("no:"):
            found = config.pluginmanager.get_plugin(name)
            names.append(str(getattr(found, "__name__", "")))
    return [name for name in dict.fromkeys(names) if name and name not in OF_THE_HOST]


def _options(config: pytest.Config, plugins: Iterable[str]) -> Iterator[str]:
    yield from ("-o", "addopts=", "-p", "no:cacheprovider", "--continue-on-collection-errors", "--maxfail=0")
    yield from ("-o", "faulthandler_timeout=0", f"--capture={config.option.capture}")
    for name in plugins:
        yield from ("-p", name)
    words = [*config.getini("addopts"), *config.invocation_params.args]
    yield from _kept(map(str, words), set(map(str, config.args)))


def _kept(words: Iterable[str], places: set[str]) -> Iterator[str]:
    """Give the options that mean something inside; the places of tests are none."""
    rest = list(words)
    while rest:
        word = rest.pop(0)
        name, equals, _ = word.partition("=")
        if word in places or not word.startswith("-"):
            continue
        if name in LOST_PAIRS:
            if not equals and rest:
                rest.pop(0)
            continue
        of_the_machine = name.startswith("--sarab-") and name != "--sarab-seed"
        if name in LOST_WORDS or of_the_machine or word.startswith(("-q", "-r", "-k", "-m", "-n")):
            if of_the_machine and not equals and rest:
                rest.pop(0)
            continue
        yield word
        if not equals and rest and not rest[0].startswith("-") and rest[0] not in places:
            yield rest.pop(0)
