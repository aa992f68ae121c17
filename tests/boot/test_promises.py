"""What every device promises, checked inside images: the kernel's clock and randomness, sarab's stack, QEMU's disks."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from sarab.machine.block import make
from sarab.machine.network import NetworkOptions
from sarab.machine.options import Accelerator, MachineType
from sarab.machine.outcome import Ending
from tests.boot.programs import ACCELERATOR, boot, build_program, text

pytestmark = [pytest.mark.boot, pytest.mark.slow]

ALL = ("block", "read-only block", "clock", "random", "console", "log", "metrics", "stack", "file system", "key value")
MACHINES: list[tuple[MachineType, Accelerator, tuple[str, ...]]] = [
    ("microvm", ACCELERATOR, ALL),
    ("q35", "tcg", ("block", "read-only block", "clock", "random")),
]

PROGRAM = """
    import asyncio
    import io
    import os
    import sys
    from sarab.aio.clock import SystemClock
    from sarab.aio.console import StandardConsole
    from sarab.aio.log import ConsoleLog, Thresholds
    from sarab.aio.metrics import StoredMetrics
    from sarab.aio.packets import StackIP
    from sarab.aio.random import SystemRandom
    from sarab.aio.stack import AsyncioStack
    from sarab.driver.virtio.disks import blocks
    from sarab.storage.folder import FolderFileSystem
    from sarab.storage.keyed import FileKeyValue
    from sarab.testing.checks.block import check_block
    from sarab.testing.checks.clock import check_clock
    from sarab.testing.checks.console import check_console
    from sarab.testing.checks.file_system import check_file_system
    from sarab.testing.checks.key_value import check_key_value
    from sarab.testing.checks.log import check_log
    from sarab.testing.checks.metrics import check_metrics
    from sarab.testing.checks.random import check_random
    from sarab.testing.checks.stack import check_stack

    class Kept:
        # A disk that stays open from check to check: a machine has it once.
        def __init__(self, disk):
            self.disk = disk

        def __getattr__(self, name):
            if name == "close":
                raise AttributeError(name)
            return getattr(self.disk, name)

    def stack():
        return AsyncioStack(StackIP(asyncio.get_running_loop().driver))

    def log():
        lines = []
        return ConsoleLog(lines.append, Thresholds("debug")), lambda: lines

    def console():
        reading, writing = os.pipe()
        output = io.StringIO()
        typed = lambda text: os.write(writing, text.encode()) if text else os.close(writing)
        return StandardConsole(reading, output), typed, output.getvalue

    def folder():
        path = f"/tmp/{len(os.listdir('/tmp'))}"
        os.mkdir(path)
        return FolderFileSystem(path)

    disks = {disk.serial: disk for disk in blocks(print)}
    for name, check, make in (
        ("block", check_block, lambda: Kept(disks["data"])),
        ("read-only block", check_block, lambda: Kept(disks["logs"])),
        ("clock", check_clock, SystemClock),
        ("random", check_random, SystemRandom),
        ("console", check_console, console),
        ("log", check_log, log),
        ("metrics", check_metrics, StoredMetrics),
        ("stack", check_stack, stack),
        ("file system", check_file_system, folder),
        ("key value", check_key_value, lambda: FileKeyValue(folder())),
    ):
        if not sys.argv[1:] or name in sys.argv[1:]:
            check(make)
            print(name, "kept", flush=True)
    """


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_program(tmp_path_factory.mktemp("promises"), PROGRAM, tmp="16M")


@pytest.mark.parametrize(("machine", "accelerator", "names"), MACHINES)
def test_devices_of_an_image_keep_their_promises(
    machine: MachineType, accelerator: Accelerator, names: tuple[str, ...], image: Path, tmp_path: Path
) -> None:
    for name in ("data", "logs"):
        (tmp_path / name).write_bytes(bytes(4 << 20))
    blocks = make([f"data={tmp_path}/data", f"logs={tmp_path}/logs:ro"])
    outcome = boot(
        image, 192, machine=machine, accel=accelerator, blocks=blocks, network=NetworkOptions(), arguments=names
    )
    assert outcome.ending is Ending.EXITED, text(outcome)
    kept = [line.removesuffix(" kept") for line in text(outcome).splitlines() if line.endswith(" kept")]
    assert outcome.status == 0, text(outcome)
    assert kept == list(names)


PACKAGE = """
    import importlib.resources
    from sarab.storage.packed import PackedFileSystem

    def static():
        return PackedFileSystem(importlib.resources.files("pages") / "static")
    """
READER = """
    import asyncio
    from sarab.aio.console import StandardConsole
    from sarab.storage.keyed import TreeKeyValue
    from pages import static

    async def main():
        pages, console = TreeKeyValue(static()), StandardConsole()
        console.write(" ".join(await pages.list()) + "\\n")
        while line := await console.read_line():
            key = line.rstrip("\\n")
            console.write(f"{key}: {await pages.get(key) if await pages.exists(key) else 'none'}\\n")

    asyncio.run(main())
    """


def test_an_image_has_a_packages_files_and_is_typed_to(tmp_path: Path) -> None:
    folder = tmp_path / "pages" / "static" / "css"
    folder.mkdir(parents=True)
    (tmp_path / "pages" / "__init__.py").write_text(textwrap.dedent(PACKAGE))
    (folder / "site.css").write_bytes(b"p {}")
    (folder.parent / "index.html").write_bytes(b"<p>")
    outcome = boot(build_program(tmp_path, READER), stdin="css/site.css\nnöne\nindex.html".encode())
    assert text(outcome).splitlines() == [
        "css/site.css index.html",
        "css/site.css: b'p {}'",
        "nöne: none",
        "index.html: b'<p>'",
    ]
