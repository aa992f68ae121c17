"""The first Python code in an image: prepares the interpreter and becomes the application.

Started as `python3.X -S -P -s start.pyc KIND TARGET ARGUMENTS...`, where KIND and TARGET are `script /app/hello.py`,
`module package` or `function package.module:function`. It does what `site` would do and an image needs, and imports
nothing that is not inside the interpreter's executable, for each file opened before the application is time to its
first line. As a plain file on Linux (`sarab run --on process`) it does the same, with the paths that the interpreter
has.
"""

import _thread
import builtins
import faulthandler
import marshal
import posix
import sys

# Not typing's, and no `from __future__ import annotations`: each would load a file.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from types import CodeType, ModuleType, TracebackType
    from typing import Any, NoReturn

MARK_DEVICE = "/dev/mark"
SEAL_DEVICE = "/dev/seal"
OBJECTS = "/boot/objects"
MODULES = "/boot/modules"
_OURS = "/boot/start.pyc"
_WIRED_MAIN = "/_sarab_main.py"
"""The main module of a wired application (sarab.build.wired)."""
_PYC_HEADER_SIZE = 16
_RTLD_LAZY = 1


def start() -> None:
    """Prepare, and run what `sys.argv` names. Does not return normally if the application ends by an exception."""
    own, kind, target, *arguments = sys.argv
    faulthandler.enable()
    if sys.stdout is not None:
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    _add_builtins()
    root = own.removesuffix(_OURS) if own.endswith(_OURS) else None
    if root is not None:
        sys.path[:] = _image_path(root)
        _add_index(root)
    if root is not None or posix.environ.get(b"SARAB_TAP"):
        sys.meta_path.insert(0, _Network(sys.path[:]))
    if posix.environ.get(b"SARAB_SEAL") == b"1":
        _seal(root or "")
    main = type(sys)("__main__")
    main.__dict__.update(__builtins__=builtins, __cached__=None, __file__=None)
    sys.modules["__main__"] = main
    try:
        if kind == "script":
            if root is None:
                sys.path.insert(0, target.rpartition("/")[0] or ".")
            _run_script(main, target, arguments)
        elif kind == "module":
            _run_module(main, target, arguments)
        else:
            _run_function(target, arguments)
    except SystemExit:
        raise
    except BaseException as error:
        _report(error)


class _Index:
    """Finds the image's modules in a table that `sarab build` made, where CPython's finder looks into every directory.

    It says of a module just what that one would say, or nothing: of what is not in the table, and once a program has
    other directories searched than the image's. The table: module -> the folder that is searched, the file below it,
    and its size in bytes (0: it is a shared object).
    """

    def __init__(self, root: str, modules: "dict[str, list[Any]]") -> None:
        from _frozen_importlib_external import ExtensionFileLoader, SourcelessFileLoader

        class Loader(SourcelessFileLoader):
            """Reads a file in one piece, its size being known, and believes it: nobody can have changed it."""

            size = 0

            def get_code(self, fullname: str) -> "CodeType | None":
                if self.size == 0:
                    return super().get_code(fullname)
                file = posix.open(self.path, posix.O_RDONLY | posix.O_CLOEXEC)
                try:
                    data = posix.read(file, self.size)
                finally:
                    posix.close(file)
                code: CodeType = marshal.loads(memoryview(data)[_PYC_HEADER_SIZE:])
                return code

        self._root = root
        self._modules = modules
        self._path = sys.path[:]
        self._bytecode, self._extension = Loader, ExtensionFileLoader
        self._spec = type(sys.__spec__)

    def find_spec(self, name: str, path: "Any" = None, target: "Any" = None) -> "ModuleSpec | None":
        try:
            folder, file, size = self._modules[name]
        except KeyError:
            return None
        folder = self._root + folder
        if sys.path != self._path if path is None else type(path) is not list or path != [folder]:
            return None
        origin = f"{folder}/{file}"
        package, slash, _ = file.rpartition("/")
        loader: Any
        if size == 0:
            loader = self._extension(name, origin)
        else:
            loader = self._bytecode(name, origin)
            loader.size = size
        spec = self._spec(name, loader, origin=origin, is_package=slash != "")
        if spec.submodule_search_locations is not None:
            spec.submodule_search_locations.append(f"{folder}/{package}")
        spec._set_fileattr = True  # type: ignore[attr-defined]  # as spec_from_file_location() does
        return spec


def _add_index(root: str) -> None:
    """Look into the image's table of modules before its directories. An image with sources has none."""
    try:
        with open(root + MODULES, "rb") as file:
            table = marshal.loads(file.read())
    except OSError:
        return
    sys.meta_path.insert(-1, _Index(root, {name: place for name, *place in table}))


class _Network:
    """Finds `socket` and `asyncio` as they are, and has the image's network installed behind each (decision 0043).

    A program without a network never gets further than `find_spec`. What a program does to `sys.path` is its own
    affair: the network comes from where it was at the start.
    """

    def __init__(self, path: list[str]) -> None:
        self._path = path

    def find_spec(self, name: str, path: "Any" = None, target: "Any" = None) -> "ModuleSpec | None":
        if name != "socket" and name != "asyncio":
            if name == "uvloop":  # its sockets are the kernel's, which has none for a network; users do without
                raise ModuleNotFoundError("uvloop brings a network of its own, and an image has sarab's", name=name)
            return None
        for finder in sys.meta_path:
            if finder is not self:
                spec = finder.find_spec(name, path, target)
                if spec is not None and spec.loader is not None:
                    spec.loader = _Installer(spec.loader, self._path)  # type: ignore[assignment]
                    return spec
        return None


class _Installer:
    """Loads a module as its loader does, and installs the network behind it."""

    def __init__(self, loader: "Any", path: list[str]) -> None:
        self._loader = loader
        self._path = path

    def __getattr__(self, name: str) -> "Any":
        return getattr(self._loader, name)

    def create_module(self, spec: "ModuleSpec") -> "ModuleType | None":
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: "ModuleType") -> None:
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        import gc

        if not gc.isenabled() or gc.get_freeze_count() or _thread._count():
            self._exec(module)
            return
        # What is made here stays, and to look through it for garbage again and again takes 4 ms. There is no other
        # thread that could ask for that meanwhile, or turn it off.
        gc.disable()
        try:
            self._exec(module)
        finally:
            gc.freeze()
            gc.unfreeze()  # into the oldest generation, as if it had been looked at
            gc.enable()

    def _exec(self, module: "ModuleType") -> None:
        self._loader.exec_module(module)
        before = sys.path
        sys.path = self._path
        try:
            __import__("sarab.wiring.install")
        except ModuleNotFoundError as error:
            if not (error.name or "").startswith("sarab"):
                raise
            return  # an image whose builder left the network out
        finally:
            sys.path = before
        getattr(sys.modules["sarab.wiring.install"], f"install_{module.__name__}")()


def _run_script(main: "ModuleType", path: str, arguments: list[str]) -> None:
    from _frozen_importlib_external import SourceFileLoader

    code = _script_code(path)
    main.__dict__.update(__file__=path, __loader__=SourceFileLoader("__main__", path), __annotations__={})
    sys.argv[:] = [path, *arguments]
    _mark()
    exec(code, main.__dict__)


def _script_code(path: str) -> "CodeType":
    folder, _, name = path.rpartition("/")
    stem = name.removesuffix(".py")
    for candidate in (f"{folder}/{stem}.pyc", f"{folder}/__pycache__/{stem}.{sys.implementation.cache_tag}.pyc"):
        if not candidate.startswith("/app/") and "/app/" not in candidate:
            break  # A plain file on Linux: its bytecode may be older than itself.
        try:
            with open(candidate, "rb") as file:
                code: CodeType = marshal.loads(file.read()[_PYC_HEADER_SIZE:])
                return code
        except OSError:
            continue
    with open(path, "rb") as file:
        return compile(file.read(), path, "exec", dont_inherit=True)


def _run_module(main: "ModuleType", name: str, arguments: list[str]) -> None:
    spec = _find_spec(name)
    if spec is not None and spec.submodule_search_locations is not None:
        name += ".__main__"
        spec = _find_spec(name)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    code = spec.loader.get_code(name)  # type: ignore[attr-defined]
    main.__dict__.update(
        __file__=spec.origin, __cached__=spec.cached, __loader__=spec.loader, __package__=spec.parent, __spec__=spec
    )
    sys.argv[:] = [code.co_filename, *arguments]
    _mark()
    exec(code, main.__dict__)


def _find_spec(name: str) -> "ModuleSpec | None":
    parent = name.rpartition(".")[0]
    path = None
    if parent:
        __import__(parent)
        path = sys.modules[parent].__path__
    for finder in sys.meta_path:
        spec = finder.find_spec(name, path)
        if spec is not None:
            return spec
    return None


def _run_function(target: str, arguments: list[str]) -> "NoReturn":
    module_name, _, path = target.partition(":")
    sys.argv[:] = [module_name.partition(".")[0], *arguments]
    _mark()
    __import__(module_name)
    function: Any = sys.modules[module_name]
    for name in path.split("."):
        function = getattr(function, name)
    result = function()
    if hasattr(result, "__await__"):
        import asyncio

        async def wait() -> "Any":
            return await result

        result = asyncio.run(wait())
    sys.exit(result if isinstance(result, int) else 0)


def _report(error: BaseException) -> "NoReturn":
    """End as the interpreter does after an uncaught exception, without the frames of this file in its traceback, and
    without what is between it and a wired application."""
    traceback: TracebackType | None = error.__traceback__
    ours = start.__code__.co_filename
    while traceback is not None and traceback.tb_frame.f_code.co_filename == ours:
        traceback = traceback.tb_next
    step = traceback
    main = None if step is None else step.tb_frame.f_code.co_filename
    while step is not None and main is not None and main.endswith(_WIRED_MAIN):
        code = step.tb_frame.f_code
        if code.co_filename == main and code.co_name == "_start" and step.tb_next is not None:
            traceback = step.tb_next
        step = step.tb_next
    error.__traceback__ = traceback
    sys.last_type, sys.last_value, sys.last_traceback = type(error), error, traceback
    sys.excepthook(type(error), error, traceback)
    sys.exit(130 if isinstance(error, KeyboardInterrupt) else 1)


def _image_path(root: str) -> list[str]:
    library = f"{root}/usr/lib/python{sys.version_info.major}.{sys.version_info.minor}"
    return [f"{root}/app", library, f"{library}/lib-dynload", f"{library}/site-packages"]


def _add_builtins() -> None:
    """`exit` and `quit` come from `site`, which an image does not run."""
    from _sitebuiltins import Quitter

    for name in ("exit", "quit"):
        setattr(builtins, name, Quitter(name, "Ctrl-D (i.e. EOF)"))


def _mark() -> None:
    """Tell the kernel, if it wants to know, that the next instruction is the application's."""
    if posix.environ.get(b"SARAB_MARKS") != b"1":
        return
    try:
        device = posix.open(MARK_DEVICE, posix.O_WRONLY)
    except OSError:
        return
    posix.write(device, b"application\n")
    posix.close(device)


def _seal(root: str) -> None:
    """Load every shared object of the image; no other code can be mapped from then on (decision 0003)."""
    from _ctypes import dlopen

    with open(root + OBJECTS, encoding="utf-8") as file:
        for line in file:
            dlopen(root + line.rstrip("\n"), _RTLD_LAZY)
    device = posix.open(SEAL_DEVICE, posix.O_WRONLY)
    posix.write(device, b"1")
    posix.close(device)


if __name__ == "__main__":
    start()
