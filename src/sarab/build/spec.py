"""What a person names: app.py, app.py:function, package.module:function, `-m package`, or a directory."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from sarab.build.errors import SpecError

Kind = Literal["script", "module", "function"]
_ELF = b"\x7fELF"
_DOTTED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
_CONFIGURED = {"entry": str, "include": list, "exclude": list, "data": list}
_KNOWN = (*_CONFIGURED, "keys", "devices", "compiled")
"""`compiled` is read by sarab's own setup.py."""
_KEY = re.compile(r"[A-Za-z][A-Za-z0-9]*([-_][A-Za-z0-9]+)*")


@dataclass(frozen=True)
class Application:
    """An application, found on this machine."""

    kind: Kind
    name: str
    """What the image is called."""
    target: str
    """The script's file name, the module, or module:function."""
    root: Path
    """The folder that its imports start from; it becomes /app."""
    script: Path | None = None
    project: Path | None = None
    """The folder of its pyproject.toml."""
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    """Globs below `project`: more files for /app."""
    keys: tuple[tuple[str, str], ...] = ()
    """[tool.sarab.keys]: values for keys of a wired application, as a command line would say them."""
    devices: tuple[tuple[str, str], ...] = ()
    """[tool.sarab.devices]: a device's name, and the module:name of its provider."""


def parse(spec: str) -> Application:
    """Find the application that `spec` names; SpecError says what was wrong with it."""
    spec = spec.strip()
    if spec.startswith("-m"):
        module = spec[2:].strip()
        if not _DOTTED.fullmatch(module):
            raise SpecError(f"-m needs the name of a module, and {module!r} is none.")
        return _configured(Application("module", module.split(".")[-1], module, _root_for(module, Path.cwd())))
    path = Path(spec)
    if path.is_dir():
        return _directory(path)
    file, colon, function = spec.rpartition(":")
    if colon and file.endswith(".py") and not path.exists() and _DOTTED.fullmatch(function):
        return _script_function(Path(file), function)
    if spec.endswith(".py") or path.is_file():
        if not path.exists():
            raise SpecError(f"There is no file {spec}.")
        return _script(path)
    module, colon, function = spec.partition(":")
    if colon and _DOTTED.fullmatch(module) and _DOTTED.fullmatch(function):
        return _configured(Application("function", module.split(".")[-1], spec, _root_for(module, Path.cwd())))
    if "/" in spec or spec.endswith(".elf"):
        raise SpecError(f"There is no {'folder' if spec.endswith('/') else 'file'} {spec}.")
    if _DOTTED.fullmatch(spec):
        raise SpecError(f"{spec} is no file; for a module say `-m {spec}`, for a function `{spec}:function`.")
    raise SpecError(f"{spec!r} is neither a file, a directory, module:function nor -m module.")


def _script(path: Path) -> Application:
    path = path.resolve()
    try:
        with path.open("rb") as file:
            begin = file.read(len(_ELF))
    except OSError as error:
        raise SpecError(f"{path} cannot be read: {error.strerror}.") from error
    if begin == _ELF:
        raise SpecError(f"{path} is an ELF file (an image, or a program of machine code), and no Python to build.")
    return _configured(Application("script", path.stem, path.name, path.parent, script=path))


def _script_function(path: Path, function: str) -> Application:
    """app.py:main is app:main, with the file's folder to import from."""
    if not path.exists():
        raise SpecError(f"There is no file {path}.")
    application = _script(path)
    if not _DOTTED.fullmatch(path.stem) or "." in path.stem:
        raise SpecError(f"{path}:{function} names a function of {path.name}, which is no name of a module.")
    return replace(application, kind="function", target=f"{path.stem}:{function}", script=None)


def _directory(path: Path) -> Application:
    path = path.resolve()
    table = _table(path)
    if not (path / "pyproject.toml").exists():
        if (path / "__main__.py").is_file():
            return _script(path / "__main__.py")
        raise SpecError(f"{path} has neither a pyproject.toml nor a __main__.py.")
    entry = table.get("entry") or _default_entry(path)
    module, colon, _ = entry.partition(":")
    name = path.name
    if entry.endswith(".py"):
        script = path / entry
        if not script.is_file():
            raise SpecError(
                f"[tool.sarab] entry in {path / 'pyproject.toml'} names {entry}, and there is no such file."
            )
        return _configured(Application("script", name, script.name, script.parent, script=script))
    if not _DOTTED.fullmatch(module):
        raise SpecError(
            f"[tool.sarab] entry in {path / 'pyproject.toml'} is {entry!r}: neither a file nor module:function."
        )
    return _configured(
        Application("function" if colon else "module", name, entry, _root_for(module, path), project=path)
    )


def _default_entry(path: Path) -> str:
    """The only script of the project, else the only package with a __main__, else main.py or app.py."""
    pyproject = path / "pyproject.toml"
    scripts = _part(_part(_load(pyproject), "project", pyproject), "scripts", pyproject)
    if len(scripts) == 1:
        return str(next(iter(scripts.values())))
    mains = sorted({*path.glob("*/__main__.py"), *path.glob("src/*/__main__.py")})
    if len(mains) == 1:
        return mains[0].parent.name
    for name in ("main.py", "app.py", "__main__.py"):
        if (path / name).is_file():
            return name
    raise SpecError(
        f"{path / 'pyproject.toml'} does not say what to start: "
        'add `entry = "package.module:function"` under [tool.sarab].'
    )


def _root_for(module: str, base: Path) -> Path:
    """`base`, or its src folder if the module's top package is there."""
    top = module.split(".")[0]
    for folder in (base, base / "src"):
        if (folder / top).is_dir() or (folder / f"{top}.py").is_file():
            return folder.resolve()
    return base.resolve()


def _configured(application: Application) -> Application:
    project = application.project or next(
        (folder for folder in (application.root, application.root.parent) if (folder / "pyproject.toml").is_file()),
        None,
    )
    if project is None:
        return application
    table = _table(project)
    return Application(
        application.kind,
        application.name,
        application.target,
        application.root,
        application.script,
        project,
        tuple(table.get("include", ())),
        tuple(table.get("exclude", ())),
        tuple(table.get("data", ())),
        _keys(table.get("keys", {}), project),
        _devices(table.get("devices", {}), project),
    )


def _keys(table: object, project: Path) -> tuple[tuple[str, str], ...]:
    where = f"[tool.sarab.keys] in {project / 'pyproject.toml'}"
    if not isinstance(table, dict):
        raise SpecError(f"{where} must be a table of keys and their values.")
    found: list[tuple[str, str]] = []
    for name, value in table.items():
        if not _KEY.fullmatch(name):
            raise SpecError(f"{where} has {name!r}, which cannot be the name of a key.")
        items = value if isinstance(value, list) else [value]
        if not all(isinstance(item, (str, int, float)) for item in items):
            raise SpecError(f"{where}: {name} must be a text, a number, true or false, or a list of these.")
        words = ("yes" if item is True else "no" if item is False else str(item) for item in items)
        found.append((name.replace("_", "-"), ",".join(words)))
    return tuple(found)


def _devices(table: object, project: Path) -> tuple[tuple[str, str], ...]:
    where = f"[tool.sarab.devices] in {project / 'pyproject.toml'}"
    if not isinstance(table, dict):
        raise SpecError(f"{where} must be a table of devices and their providers.")
    for name, value in table.items():
        module, colon, function = value.partition(":") if isinstance(value, str) else ("", "", "")
        if not (colon and _DOTTED.fullmatch(module) and _DOTTED.fullmatch(function)):
            raise SpecError(f"{where}: {name} must name its provider as module:function, and is {value!r}.")
    return tuple(table.items())


def _table(project: Path) -> dict[str, Any]:
    path = project / "pyproject.toml"
    if not path.is_file():
        return {}
    table = _part(_part(_load(path), "tool", path), "sarab", path)
    for key in table:
        if key not in _KNOWN:
            from difflib import get_close_matches

            near = get_close_matches(key, _KNOWN, n=1, cutoff=0.6)
            hint = f" (is {near[0]} meant?)" if near else f"; there are {', '.join(_KNOWN)}"
            raise SpecError(f"[tool.sarab] in {path} has {key}, which means nothing{hint}.")
    for key, kind in _CONFIGURED.items():
        if key not in table:
            continue
        value = table[key]
        if not isinstance(value, kind) or (kind is list and not all(isinstance(item, str) for item in value)):
            raise SpecError(f"[tool.sarab] {key} in {path} must be {'a text' if kind is str else 'a list of texts'}.")
    result: dict[str, Any] = table
    return result


def _part(table: dict[str, Any], name: str, path: Path) -> dict[str, Any]:
    part = table.get(name, {})
    if not isinstance(part, dict):
        raise SpecError(f"{name} in {path} must be a table.")
    return part


def _load(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SpecError(f"{path} is not valid TOML: {error}.") from error
    except OSError as error:
        raise SpecError(f"{path} cannot be read: {error.strerror}.") from error
