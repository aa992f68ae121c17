"""An image of a wired application on a machine: what it needs is there, or it says what is not; and its keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from sarab.machine.block import BlockOption
from sarab.machine.outcome import Ending
from tests.boot.programs import boot, build_program, text
from tests.cli.command import sarab

pytestmark = pytest.mark.boot

DISK = """
    from typing import Annotated

    from sarab import Block, Console, Key, Secret, unikernel


    @unikernel
    async def main(
        console: Console, data: Block, *, token: Annotated[Secret, Key("a password")], times: Annotated[int, Key()] = 1
    ) -> int:
        console.write("opened\\n")
        await data.write(0, token.reveal().encode().ljust(512))
        await data.flush()
        console.write((await data.read(0, 1)).decode().strip() * times + "\\n")
        return 3
"""
CARD = """
    from sarab import Console, Stack, unikernel


    @unikernel
    async def main(stack: Stack, console: Console) -> None:
        console.write("opened\\n")
"""


def test_machine_without_the_disk_is_refused_in_a_sentence(tmp_path: Path) -> None:
    """QEMU as anybody may start it, with no `sarab run` that would say it first."""
    image = build_program(tmp_path, DISK, types=False)
    outcome = boot(image, arguments=("--token", "x"))
    assert (outcome.ending, outcome.status) == (Ending.EXITED, 2)
    assert text(outcome).startswith("sarab: this application needs the disk data: ")
    assert text(outcome).count("\n") == 1 and "opened" not in text(outcome)


def test_machine_with_another_disk_is_refused_by_its_name(tmp_path: Path) -> None:
    file = tmp_path / "logs.img"
    file.write_bytes(bytes(1 << 16))
    outcome = boot(build_program(tmp_path, DISK, types=False), arguments=("--token", "x"),
                   blocks=(BlockOption("logs", file),))  # fmt: skip
    assert outcome.status == 2
    assert text(outcome).startswith("sarab: this application needs the disk data; it has logs: ")


def test_machine_without_a_card_is_refused_in_a_sentence(tmp_path: Path) -> None:
    outcome = boot(build_program(tmp_path, CARD, types=False))
    assert (outcome.ending, outcome.status) == (Ending.EXITED, 2)
    assert text(outcome).startswith("sarab: this application needs a network card (eth0), and the machine has none: ")


def test_run_says_it_before_the_machine_starts_and_gives_what_is_named(tmp_path: Path) -> None:
    build_program(tmp_path, DISK, "app", types=False)
    (tmp_path / "data.img").write_bytes(bytes(1 << 16))
    status, output, error = sarab("run", "-q", "app.elf", "--", "--token", "x", cwd=tmp_path)
    assert (status, output) == (2, b"")
    assert error == "sarab: app.elf needs a disk called data: add --block data=FILE.\n"
    words = ("run", "-q", "--block", "data=data.img", "app.elf", "--", "--token", "hunter2", "--times", "2")
    assert sarab(*words, cwd=tmp_path) == (3, b"opened\nhunter2hunter2\n", "")
    assert (tmp_path / "data.img").read_bytes()[:8] == b"hunter2 "


def test_keys_at_boot_are_checked_and_explained_inside(tmp_path: Path) -> None:
    image = build_program(tmp_path, DISK, types=False)
    told = text(boot(image, arguments=("--help",)))
    assert "--token SECRET" in told and "a password" in told and "--times INT" in told
    for words, sentence in (
        ((), "sarab: the key token (a password) has no default and is not given: add --token VALUE.\n"),
        (("--token", "x", "--times", "y"), "sarab: the key times wants a whole number, and 'y' is not (--times).\n"),
    ):
        outcome = boot(image, arguments=words)
        assert (outcome.status, text(outcome)) == (2, sentence)
