"""Lay out what becomes the image's application: the runner, each suite in an archive, and the packages they import.

The suites are in their projects' source distributions, which pip fetches, pinned with their hashes in suites.toml;
what they import is pinned in requirements.txt and lies in a folder of its own, not in .venv: the project's own tests
must not depend on it. Both are kept in the cache.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.regrtest.comparison import Expected, load_expected
from tests.regrtest.staging import lay_runner

HERE = Path(__file__).parent
RUNNER = HERE / "runner.py"
SUITES = HERE / "suites.toml"
REQUIREMENTS = HERE / "requirements.txt"
EXPECTED = HERE / "expected.toml"
PACKED = "suitefiles"
"""The package beside the runner whose data are the suites."""

PIP_SECONDS = 600

COMMON_OPTIONS = ("-q", "--tb=short", "-p", "no:cacheprovider", "-o", "addopts=", "-o", "faulthandler_timeout=0")
"""What a project gives pytest is for its own machines (coverage, eight processes at once); its other settings hold."""


class NoSuites(Exception):
    """The suites cannot be had here; the message is one sentence that says why."""


@dataclass(frozen=True, slots=True)
class Suite:
    """One entry of suites.toml."""

    name: str
    version: str
    sha256: str
    """Of the source distribution."""
    tests: str
    """The folder of the tests in it."""
    pack: tuple[str, ...]
    """What the tests need of it; their project itself is a wheel."""
    options: tuple[str, ...]
    """Of pytest."""
    quick: tuple[str, ...]
    """The files that `make test` runs."""
    excluded: tuple[str, ...]
    """Files that are not run at all; suites.toml says why."""


def load_suites() -> dict[str, Suite]:
    """Read suites.toml."""
    return {
        name: Suite(
            name,
            table["version"],
            table["sha256"],
            table["tests"],
            tuple(table["pack"]),
            tuple(table.get("options", ())),
            tuple(table.get("quick", ())),
            tuple(table.get("excluded", ())),
        )
        for name, table in tomllib.loads(SUITES.read_text()).items()
    }


def cache() -> Path:
    """Return the folder that keeps what was fetched."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sarab" / "suites"


def fetch_source(suite: Suite) -> Path:
    """Return the unpacked source distribution, fetched once; NoSuites without the index."""
    folder = cache() / f"{suite.name}-{suite.version}-{suite.sha256[:16]}"
    source = folder / f"{suite.name}-{suite.version}"
    if (folder / "complete").exists():
        return source
    _empty(folder)
    wanted = folder / "wanted.txt"
    wanted.write_text(f"{suite.name}=={suite.version} --hash=sha256:{suite.sha256}\n")
    pip = ("download", "--no-deps", "--no-binary", suite.name, "-d", str(folder), "-r", str(wanted))
    _pip(pip, f"the tests of {suite.name}")
    with tarfile.open(folder / f"{suite.name}-{suite.version}.tar.gz") as archive:
        # Debian 12's 3.11.2 has no filters yet; the archive is the very one that its hash names.
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(folder)
    (folder / "complete").touch()
    return source


def fetch_packages() -> Path:
    """Return the folder of the packages that the suites import, fetched once; NoSuites without the index."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    digest = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:16]
    folder = cache() / f"packages-{version}-{digest}"
    if (folder / "complete").exists():
        return folder / "site"
    _empty(folder)
    pip = ("install", "--no-deps", "--no-compile", "--only-binary", ":all:", "--require-hashes")
    _pip((*pip, "--target", str(folder / "site"), "-r", str(REQUIREMENTS)), "what the suites import")
    (folder / "complete").touch()
    return folder / "site"


def _empty(folder: Path) -> None:
    """Make `folder` anew: what an interrupted fetch left is of no use."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def _pip(arguments: Sequence[str], what: str) -> None:
    """Run pip; NoSuites, with its last word, if it fails."""
    command = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input", *arguments)
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=PIP_SECONDS)
    except subprocess.TimeoutExpired:
        raise NoSuites(f"pip could not fetch {what} within {PIP_SECONDS} seconds") from None
    if done.returncode != 0:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise NoSuites(f"pip cannot fetch {what}: {(errors or [done.stderr.strip() or 'no reason given'])[-1]}")


def files(suite: Suite) -> list[str]:
    """Return the names of the suite's files, as the runner takes them."""
    tests = fetch_source(suite) / suite.tests
    found = sorted(path.relative_to(tests).as_posix() for path in tests.rglob("test_*.py"))
    return [f"{suite.name}/{name}" for name in found if name not in suite.excluded]


def stage(folder: Path, suites: Sequence[Suite]) -> Path:
    """Copy the runner and the archives of `suites` into `folder`; return the runner's path."""
    packed = folder / PACKED
    packed.mkdir(parents=True)
    (packed / "__init__.py").write_text('"""The suites, as data."""\n')
    ignored = [entry for entry in load_expected(EXPECTED) if not entry.run]
    for suite in suites:
        source = fetch_source(suite)
        with tarfile.open(packed / f"{suite.name}.tar", "w") as archive:
            for name in suite.pack:
                archive.add(source / name, name)
    settings = {suite.name: _settings(suite, ignored) for suite in suites}
    (packed / "suites.json").write_text(json.dumps(settings))
    return lay_runner(RUNNER, folder)


def _settings(suite: Suite, ignored: Sequence[Expected]) -> dict[str, object]:
    """Return what the runner must know of one suite."""
    return {
        "tests": suite.tests,
        "options": [*COMMON_OPTIONS, *suite.options],
        "ignored": [entry.tests for entry in ignored if entry.tests.startswith(f"{suite.name}/")],
    }
