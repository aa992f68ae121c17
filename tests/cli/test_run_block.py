"""`sarab run --block`: what is said before anything is built, and disks of a Linux process."""

from __future__ import annotations

from pathlib import Path

from tests.cli.command import sarab

PROGRAM = """
from sarab import Block, unikernel


@unikernel
async def main(data: Block, logs: Block) -> None:
    await data.write(1, b"new".ljust(512))
    print((await data.read(1, 1))[:3], data.sectors, logs.read_only, (await logs.read(0, 1))[:3])
"""


def program(folder: Path) -> Path:
    path = folder / "disks.py"
    path.write_text(PROGRAM)
    for name in ("data", "logs"):
        (folder / f"{name}.img").write_bytes(name.encode().ljust(4096))
    return path


def test_a_disk_that_cannot_be_used_is_refused_before_anything_is_built(tmp_path: Path) -> None:
    script = program(tmp_path)
    script.write_text("this is no Python")
    for word, why in (
        (f"data={tmp_path}/none", "--block data: there is no file"),
        (f"data={tmp_path}", "is a directory"),
        ("Data=x", "'Data' is no name of a disk"),
        ("data", "give NAME=FILE"),
    ):
        for more in ((), ("--on", "process")):
            status, output, told = sarab("run", *more, "--block", word, script)
            assert (status, output) == (2, b"")
            assert why in told
            assert told.count("\n") == 1


def test_a_process_has_its_disks_by_name(tmp_path: Path) -> None:
    words = ("--block", f"logs={tmp_path}/logs.img:ro", "--block", f"data={tmp_path}/data.img")
    status, output, told = sarab("run", "--on", "process", *words, program(tmp_path))
    assert (status, output) == (0, b"b'new' 8 True b'log'\n"), told
    assert (tmp_path / "data.img").read_bytes()[512:515] == b"new"
    status, _, told = sarab("run", "--on", "process", *words[:2], program(tmp_path))
    assert status == 2
    assert "--block data=FILE" in told
