"""Executes a page of docs/tutorial, block by block, in a folder of its own.

A block of python (or toml, or text) with a name behind that word is written into the file of that name. A block of
console has commands, which begin with `$ `, and what each prints, both streams in one. `...` in it stands for anything,
on a line of its own for any lines. A command that ends in ` &` goes on in the background; `kill %1` ends it. The line
that says which accelerator a machine has is left out of the pages: it is another on every computer.
"""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.boot.served import free_port

SECONDS_MAX = 100
PORT = "8080"
"""What the pages call a port of this host; each run has another, a free one."""
ACCELERATOR = re.compile(r"sarab: .*(KVM|emulat).*")


class Block(NamedTuple):
    """A fenced block."""

    line: int
    kind: str
    name: str
    text: str


class Mismatch(AssertionError):
    """A command did not print what the page says."""


def blocks(page: Path) -> Iterator[Block]:
    """Give the fenced blocks of a page."""
    lines = page.read_text(encoding="utf-8").splitlines()
    start: int | None = None
    for number, line in enumerate(lines):
        if line.startswith("```") and start is None:
            start = number
        elif line == "```" and start is not None:
            kind, _, name = lines[start][3:].partition(" ")
            yield Block(start + 1, kind, name, "\n".join(lines[start + 1 : number]) + "\n")
            start = None


def commands(block: Block) -> Iterator[tuple[str, list[str]]]:
    """Give the commands of a console block, and the lines that each prints."""
    command, told = "", list[str]()
    for line in block.text.splitlines():
        if line.startswith("$ "):
            if command:
                yield command, told
            command, told = line[2:], []
        else:
            told.append(line)
    yield command, told


def matches(told: list[str], printed: list[str]) -> bool:
    """Say whether the lines printed are those of the page."""
    pattern = ""
    for line in told:
        if line == "...":
            pattern += r"(?:[^\n]*\n)*?"
        else:
            pattern += ".*".join(map(re.escape, line.split("..."))) + r"\n"
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in printed)) is not None


class Session:
    """A folder, and what runs in it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = str(free_port())
        self._background: subprocess.Popen[str] | None = None
        path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
        self._environment = {**os.environ, "PATH": path, "COLUMNS": "80"}
        # Of the plugins that happen to be installed beside it, sarab's alone.
        self._environment["PYTEST_ADDOPTS"] = "-p no:cacheprovider -p sarab.testing.plugin"
        self._environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        self._environment.pop("FORCE_COLOR", None)

    def execute(self, block: Block) -> None:
        """Write a file, or run commands. Raises Mismatch."""
        if block.kind == "console":
            for command, told in commands(block):
                self._command(block, command.replace(PORT, self._port), told)
        elif block.name:
            path = self._folder / block.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)
        elif block.kind != "mermaid":
            raise Mismatch(f"line {block.line}: a block with neither a file's name nor commands: nobody executes it")

    def _command(self, block: Block, command: str, told: list[str]) -> None:
        if command == "kill %1":
            self.close()
            return
        child = subprocess.Popen(
            ["bash", "-c", command.removesuffix(" &")], cwd=self._folder, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=self._environment, start_new_session=True,
        )  # fmt: skip
        if command.endswith(" &"):
            self._background = child
            printed = self._until(child, told)
        else:
            try:
                text, _ = child.communicate(timeout=SECONDS_MAX)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                text = f"{child.communicate()[0]}(it did not end within {SECONDS_MAX} s)"
            printed = self._clean(text)
        if not matches([line.replace(self._port, PORT) for line in told], printed):
            raise Mismatch(
                f"line {block.line}: $ {command}\n--- the page says\n" + "\n".join(told) + "\n--- it printed\n"
                + "\n".join(printed)
            )  # fmt: skip

    def _until(self, child: subprocess.Popen[str], told: list[str]) -> list[str]:
        """Return what a command in the background has printed when it is all there."""
        assert child.stdout is not None
        text = b""
        end = time.monotonic() + SECONDS_MAX
        while time.monotonic() < end:
            printed = self._clean(text.decode("utf-8", "replace"))
            if matches(told, printed):
                break
            if select.select([child.stdout], [], [], 0.2)[0]:
                piece = os.read(child.stdout.fileno(), 65536)
                if not piece:
                    break
                text += piece
        return printed

    def _clean(self, text: str) -> list[str]:
        lines = text.replace(self._port, PORT).replace(str(self._folder), "~").splitlines()
        return [line.rstrip() for line in lines if not ACCELERATOR.fullmatch(line)]

    def close(self) -> None:
        """End what runs in the background."""
        child, self._background = self._background, None
        if child is not None:
            os.killpg(child.pid, signal.SIGTERM)
            try:
                child.communicate(timeout=10)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.communicate()


def execute(page: Path, folder: Path) -> None:
    """Execute a page. Raises Mismatch."""
    session = Session(folder)
    try:
        for block in blocks(page):
            session.execute(block)
    finally:
        session.close()
