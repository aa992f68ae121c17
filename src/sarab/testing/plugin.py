"""sarab's plugin of pytest: the fixture `world`, and `pytest --sarab`, which runs a project's tests inside an image.

Neither costs anything before it is used: what they need is imported then.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from sarab.testing.world import World

INSIDE = "SARAB_TESTS_INSIDE"
"""Set in an image: there is no other image in it."""
CONSOLE_CHARACTERS_MAX = 20_000
"""Of each host's console, shown with a failed test."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what begins with --sarab."""
    group = parser.getgroup("sarab", "unikernels")
    add = group.addoption
    add("--sarab", action="store_true", help="run the tests inside an image, on a machine (QEMU)")
    add("--sarab-machine", choices=["microvm", "q35", "pc"], default="microvm", help="QEMU's kind of machine")
    add("--sarab-accel", choices=["auto", "kvm", "tcg"], default="auto", help="auto: KVM if it is fast here")
    add("--sarab-memory", default="512M", metavar="SIZE", help="the machine's memory (512M)")
    add("--sarab-tmp", default="64M", metavar="SIZE", help="of /tmp, where the project's files are (64M)")
    add("--sarab-timeout", type=float, default=60.0, metavar="SECONDS",
        help="the machine is killed when one test takes longer, and the next goes on in another (60)")  # fmt: skip
    add("--sarab-include", action="append", default=[], metavar="MODULE",
        help="a module more for the image; NAME.* for a package with everything in it")  # fmt: skip
    add("--sarab-seed", type=int, default=None, metavar="NUMBER",
        help="the seed of the fixture `world`; without it, each test has its own, always the same")  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    """Have the tests run inside, if that is asked for."""
    config.addinivalue_line("markers", "sarab_seed(number): the seed of the fixture `world` in this test")
    if config.getoption("--sarab") and os.environ.get(INSIDE) != "1":
        from sarab.testing.inside import Inside

        config.pluginmanager.register(Inside(config), "sarab-inside")


@pytest.fixture
def world(request: pytest.FixtureRequest) -> World:
    """A world of virtual time, in which an `async def` test starts unikernels (sarab.testing.world)."""
    from zlib import crc32

    from sarab.testing.world import World

    marker = request.node.get_closest_marker("sarab_seed")
    seed = request.config.getoption("--sarab-seed")
    if marker is not None and marker.args:
        seed = marker.args[0]
    made = World(crc32(request.node.nodeid.encode()) if seed is None else seed)
    request.node.stash[_WORLD] = made
    return made


_WORLD: pytest.StashKey[World] = pytest.StashKey()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> object:
    """Run an `async def` test that takes the fixture `world` in the world's loop."""
    from inspect import iscoroutinefunction

    __tracebackhide__ = True
    made: World | None = pyfuncitem.stash.get(_WORLD, None)
    if made is None or not iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    made.run(lambda _: pyfuncitem.obj(**arguments))
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the consoles of a world with a test that failed in it."""
    report = yield
    made: World | None = item.stash.get(_WORLD, None)
    if made is not None and report.when == "call" and report.failed:
        report.sections.append(("world", f"seed {made.seed}: --sarab-seed {made.seed} does the same again"))
        report.sections += _consoles(made)
    return report


def _consoles(made: World) -> Iterator[tuple[str, str]]:
    for host in made.hosts:
        if host.console.text:
            yield f"console of {host.name}", host.console.text[-CONSOLE_CHARACTERS_MAX:]


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say where the tests run."""
    inside: Any = config.pluginmanager.get_plugin("sarab-inside")
    return [] if inside is None else [inside.header()]
