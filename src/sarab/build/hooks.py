"""What no reading of Python source can tell about imports. Each entry says why it is here.

GATES and CUTS leave out what the source of the standard library seems to need and a program in an image does not.
IMPLIED adds what C code imports. Packages from PyPI need few entries: their extension modules are watched as they load
(sarab.build.observe), and lazily imported names are read from their sources (sarab.build.scan).
"""

from __future__ import annotations

import sys

NAMED_CHARACTER = "\\N{"
"""Counts as mentioned where it occurs in a string, which may be a pattern."""

GATES: dict[tuple[str, str], frozenset[str]] = {
    # An edge importer -> module that is followed only when a module outside of the importer's package mentions a name.
    ("functools", "typing"): frozenset({"singledispatch", "singledispatchmethod"}),
    ("collections", "heapq"): frozenset({"most_common"}),
    ("shutil", "zlib"): frozenset({"make_archive", "unpack_archive", "get_archive_formats", "get_unpack_formats"}),
    ("shutil", "bz2"): frozenset({"make_archive", "unpack_archive", "get_archive_formats", "get_unpack_formats"}),
    ("shutil", "lzma"): frozenset({"make_archive", "unpack_archive", "get_archive_formats", "get_unpack_formats"}),
    ("shutil", "tarfile"): frozenset({"make_archive", "unpack_archive"}),
    ("shutil", "zipfile"): frozenset({"make_archive", "unpack_archive"}),
    ("shutil", "pwd"): frozenset({"chown", "make_archive"}),
    ("shutil", "grp"): frozenset({"chown", "make_archive"}),
    ("concurrent.futures", "concurrent.futures.process"): frozenset({"ProcessPoolExecutor", "BrokenProcessPool"}),
    ("multiprocessing.connection", "xmlrpc.client"): frozenset({"XmlListener", "XmlClient"}),
    ("uuid", "hashlib"): frozenset({"uuid3", "uuid5"}),
    ("asyncio.*", "ssl"): frozenset({"ssl", "start_tls", "SSLContext"}),
    ("re._parser", "unicodedata"): frozenset({NAMED_CHARACTER}),
    ("typing_extensions", "asyncio.coroutines"): frozenset({"deprecated"}),
    ("ast", "inspect"): frozenset({"get_docstring"}),
    ("time", "_strptime"): frozenset({"strptime"}),
    ("datetime", "_strptime"): frozenset({"strptime"}),
    ("_datetime", "_strptime"): frozenset({"strptime"}),
    ("_datetime", "time"): frozenset({"strptime", "strftime"}),
    # A main module names the reader of each key's type.
    ("sarab.wiring.values", "datetime"): frozenset({"sarab.wiring.values:delta"}),
    ("sarab.wiring.values", "pathlib"): frozenset({"sarab.wiring.values:path"}),
    ("sarab.wiring.values", "ipaddress"): frozenset(
        f"sarab.wiring.values:{'_'.join(filter(None, (kind, what)))}"
        for kind in ("", "ip", "ipv4", "ipv6")
        for what in ("", "address", "network", "interface")
        if kind or what
    ),
    ("importlib.metadata", "email"): frozenset({"metadata", "version", "requires", "distribution", "distributions"}),
}

GATE_NAMES = frozenset(name for names in GATES.values() for name in names)

OUTSIDE_NAMES = frozenset(
    # Names that count only where they occur outside of the standard library, whose own users import what they need.
    [
        "ssl",
        "start_tls",
        "SSLContext",
        "ProcessPoolExecutor",
        "BrokenProcessPool",
        "make_archive",
        "unpack_archive",
        "get_archive_formats",
        "get_unpack_formats",
        "chown",
        "most_common",
        "metadata",
        "version",
        "requires",
        "distribution",
        "distributions",
    ]
) | {NAMED_CHARACTER}

CUTS: dict[tuple[str, str], str] = {
    # Edges that are never followed, and what is lost.
    ("os", "subprocess"): "os.popen starts a shell, and an image has one process",
    ("_sitebuiltins", "pydoc"): "help() is for a person at a prompt",
    ("warnings", "tracemalloc"): "only adds where a leaked object was made, when tracemalloc runs",
    ("site", "*"): "site is not run in an image; sarab.runtime.start does what is needed of it",
    ("sarab.wiring.unikernel", "sarab.wiring.live"): "main.run() is for a process; an image has a main module",
    ("sarab.wiring.run", "sarab.wiring.needs"): "a main module that has needs imports it itself",
    ("sarab.wiring.needs", "sarab.wiring.disks"): "a main module that needs a disk imports its provider, which does",
    ("encodings", "encodings.*"): "codecs are named one by one (ENCODINGS, and encodings found in the sources)",
    ("encodings", "_winapi"): "Windows",
    ("pydoc", "pydoc_data.topics"): "the text of help('topics')",
    ("pydoc", "http.server"): "shows help in a browser",
    ("pydoc", "email.message"): "shows help in a browser",
    ("pydoc", "webbrowser"): "shows help in a browser",
    ("cmd", "readline"): "edits lines on a terminal, and the console is none",
    ("code", "readline"): "edits lines on a terminal, and the console is none",
    ("rlcompleter", "readline"): "edits lines on a terminal, and the console is none",
    ("numpy._pytesttester", "numpy.testing"): "numpy.test() runs numpy's own tests, and needs pytest",
    ("numpy._pytesttester", "numpy.distutils"): "numpy.test() says which compiler made it",
    ("numpy", "numpy.distutils"): "builds extensions by a compiler; it would bring setuptools",
    ("pdb", "pydoc"): "help inside the debugger, which needs a person",
    ("pickle", "doctest"): "self test",
    ("difflib", "doctest"): "self test",
    ("statistics", "doctest"): "self test",
    ("asyncio.events", "asyncio.windows_events"): "Windows",
    ("multiprocessing.util", "test"): "CPython's own tests",
    ("sysconfig", "_aix_support"): "AIX",
    ("sysconfig", "_osx_support"): "macOS",
    ("platform", "plistlib"): "macOS",
    ("mimetypes", "winreg"): "Windows",
    ("zipfile", "py_compile"): "PyZipFile compiles modules: nothing compiles inside an image",
    ("warnings", "traceback"): "only for coroutines whose origin asyncio's debug mode tracks, and asyncio brings it",
    ("importlib._bootstrap_external", "importlib.metadata"): "runs only when importlib.metadata calls it",
    ("importlib._bootstrap_external", "importlib.readers"): "runs only when importlib.resources calls it",
    ("_frozen_importlib_external", "importlib.metadata"): "runs only when importlib.metadata calls it",
    ("_frozen_importlib_external", "importlib.readers"): "runs only when importlib.resources calls it",
    ("zipimport", "importlib.readers"): "an image imports from no archive",
}

SOURCE_CUTS: dict[tuple[str, str], str] = {
    # Edges that are followed only in an image with sources.
    ("warnings", "linecache"): "shows the line of a warning, and does without",
    ("traceback", "ast"): "underlines parts of a line that is shown",
    ("importlib._bootstrap_external", "tokenize"): "decodes sources",
    ("_frozen_importlib_external", "tokenize"): "decodes sources",
    ("importlib._abc", "tokenize"): "decodes sources",
}

IMPLIED: dict[str, tuple[str, ...]] = {
    # What a C module of CPython imports by itself, at start or when a function needs it.
    "_asyncio": (
        "asyncio.events",
        "asyncio.base_futures",
        "asyncio.exceptions",
        "asyncio.base_tasks",
        "asyncio.coroutines",
    ),
    "_bz2": ("_compression",),
    "_ctypes": ("ctypes", "ctypes._endian"),
    "_curses": ("curses",),
    "_datetime": ("_strptime", "time"),
    "_decimal": ("numbers", "collections", "collections.abc"),
    "_elementtree": ("copy", "xml.etree.ElementPath", "pyexpat"),
    "_io": ("_locale",),
    "_json": ("json.decoder",),
    "_lzma": ("_compression",),
    "_pickle": ("copyreg", "_compat_pickle", "codecs", "functools"),
    "_posixsubprocess": ("gc",),
    "_socket": ("encodings.idna",),
    "_sqlite3": ("sqlite3", "sqlite3.dump"),
    "_ssl": ("_socket",),
    "_warnings": ("warnings",),
    "_zoneinfo": ("zoneinfo._common", "zoneinfo._tzpath", "datetime"),
    "array": ("copyreg", "collections.abc"),
    "datetime": ("_strptime",),
    "importlib.resources": ("importlib.readers",),
    "importlib.resources._common": ("typing",),
    "time": ("_strptime",),
    "zoneinfo": ("tzdata",),
    "numpy": ("numpy._core._methods", "numpy._core._dtype_ctypes", "numpy._core._internal"),
}

ALWAYS: tuple[str, ...] = (
    # What the interpreter itself imports at start, or when it reports an error.
    "encodings",
    "encodings.aliases",
    "encodings.ascii",
    "encodings.latin_1",
    "encodings.utf_8",
    "os",
    "warnings",
    *(("traceback",) if sys.version_info >= (3, 13) else ()),  # prints uncaught exceptions since 3.13
)

ENCODINGS: tuple[str, ...] = (
    # Small codecs, all written in C underneath, that programs and protocols name at run time (in a header, say).
    "encodings.utf_8_sig",
    "encodings.utf_16",
    "encodings.utf_16_be",
    "encodings.utf_16_le",
    "encodings.utf_32",
    "encodings.utf_32_be",
    "encodings.utf_32_le",
    "encodings.unicode_escape",
    "encodings.raw_unicode_escape",
)

LIBRARIES: dict[str, tuple[str, ...]] = {
    # Libraries that are opened by name at run time once the module is in.
    "threading": ("libgcc_s.so.1",),  # glibc's pthread_exit unwinds with it, and aborts without it
    "concurrent.futures": ("libgcc_s.so.1",),
}

PACKAGES: dict[str, tuple[str, ...]] = {
    # Modules and whole packages (`name.*`) that a package imports by names which its sources do not show.
    "socket": ("sarab.wiring.install",),  # sarab.runtime.start imports it behind `socket` and `asyncio`
    "dbm": ("dbm.dumb",),  # what dbm.open() and shelve come to if nothing else is there
    "anyio": ("anyio._backends._asyncio",),
    "asyncpg": ("asyncpg.pgproto.*", "asyncpg.protocol.*"),
    "dns": ("dns.rdtypes.*",),
    "tzdata": ("tzdata.*",),
    "sqlalchemy": ("sqlalchemy.dialects.sqlite",),
    "PIL": ("PIL.*",),
    "cryptography": ("cryptography.hazmat.backends.openssl.backend",),
    "redis": ("redis.asyncio",),
    "rich": ("rich._unicode_data.*",),
    "xmlrpc.server": ("pydoc_data",),  # serves its style sheet
}

DEVELOPMENT_EXTRAS: frozenset[str] = frozenset(
    [
        "test",
        "tests",
        "testing",
        "dev",
        "develop",
        "development",
        "doc",
        "docs",
        "lint",
        "linting",
        "typing",
        "types",
        "mypy",
        "bench",
        "benchmark",
        "coverage",
    ]
)
"""Extras of a distribution that no running program needs: what they name is no declared dependency."""

DATA_PACKAGES: frozenset[str] = frozenset({"tzdata", "certifi", "pydoc_data"})
"""Packages whose data others read, so that their own modules do not show it."""

TEST_MODULES: frozenset[str] = frozenset({"tests", "test", "conftest", "__main__"})
"""Not meant by `package.*` or a computed name."""

PREFIX_CUTS: frozenset[str] = frozenset({"encodings", "test", "idlelib", "lib2to3.fixes"})
"""Packages of which a computed name does not bring every module."""

DATA_SUFFIXES_SKIPPED = frozenset(
    [
        ".py",
        ".pyc",
        ".pyo",
        ".pyi",
        ".pyx",
        ".pxd",
        ".pxi",
        ".c",
        ".cc",
        ".cpp",
        ".cxx",
        ".h",
        ".hpp",
        ".hh",
        ".f",
        ".f90",
        ".rs",
        ".a",
        ".o",
        ".la",
        ".lib",
        ".orig",
        ".map",
    ]
)
"""Files beside modules that no running program reads: sources of other languages, type stubs, objects for linkers."""
DATA_NAMES_SKIPPED = frozenset(
    {"py.typed", "py.typed.txt", "RECORD", "INSTALLER", ".gitignore", ".DS_Store", "conftest.py"}
)
DATA_FOLDERS_SKIPPED = frozenset(
    {"__pycache__", "tests", "test", "testing", ".git", "node_modules", "docs", "doc", "include"}
)

SHARED_OBJECT_FOLDERS = ("{}.libs",)
"""Where auditwheel puts a wheel's own libraries; DT_NEEDED finds them, and this is for those opened by path."""
