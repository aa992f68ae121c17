"""Thirty mistakes that a new user makes, each a tiny program and a command; docs/mistakes.md shows what sarab says.

`python -m tests.docs.mistakes` writes the page anew; tests/docs/test_mistakes.py says when it must be.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "mistakes.md"
SECONDS_MAX = 120


@dataclass(frozen=True)
class Mistake:
    """One of them."""

    title: str
    """What was done, in a few words."""
    command: str
    """Of the shell; the last one's output is shown."""
    program: str = ""
    """app.py; only the lines that matter, the imports come before them."""
    files: Mapping[str, str] = field(default_factory=dict)
    """More files, or, without a program, all of them."""
    imports: str = (
        "from typing import Annotated\nfrom sarab import Block, Clock, Console, Key, Name, Stack, unikernel\n"
    )


DISK = """
class Disk:
    sector_size, sectors, read_only = 512, 8, False
    async def read(self, sector: int, count: int) -> bytes:
        return bytes(512 * count)
    async def write(self, sector: int, data: bytes | bytearray | memoryview) -> None: ...
    async def flush(self) -> None: ...
    async def discard(self, sector: int, count: int) -> None: ...
"""
"""A Block in a few lines."""
PORT = """
@unikernel
async def main(*, port: Annotated[int, Key("TCP port")] = 80) -> None: ...
"""
CHECK = "sarab check --no-types app.py"

MISTAKES = (
    Mistake("A parameter has no type", CHECK, '''
@unikernel
async def main(stack) -> None: ...
'''),
    Mistake("A setting is not marked as a key", CHECK, '''
@unikernel
async def main(*, port: int = 80) -> None: ...
'''),
    Mistake("Key is named and not called", CHECK, '''
@unikernel
async def main(*, port: Annotated[int, Key] = 80) -> None: ...
'''),
    Mistake("A device's name is misspelt", CHECK, '''
from sarab import Stak

@unikernel
async def main(stack: Stak) -> None: ...
'''),
    Mistake("A type that sarab does not know has no provider", CHECK, '''
class Database:
    ...

@unikernel
async def main(data: Database) -> None: ...
'''),
    Mistake("A provider does not say what it provides", CHECK, DISK + '''
def disk():
    return Disk()

@unikernel(providers=[disk])
async def main(data: Block) -> None: ...
'''),
    Mistake("A class lacks a method of the device", CHECK, '''
class Half:
    sector_size, sectors, read_only = 512, 8, False
    async def read(self, sector: int, count: int) -> bytes:
        return bytes(512 * count)
    async def write(self, sector: int, data: bytes) -> None: ...

@unikernel(devices={"data": Half})
async def main(data: Block) -> None: ...
'''),
    Mistake("A device's name is a text and no Name", CHECK, '''
@unikernel
async def main(data: Annotated[Block, "logs"]) -> None: ...
'''),
    Mistake("A disk is called as no disk of a machine can be", CHECK, '''
@unikernel
async def main(Data: Block) -> None: ...
'''),
    Mistake("The devices are one list", CHECK, '''
@unikernel
async def main(disks: list[Block]) -> None: ...
'''),
    Mistake("A key's default is of another type", CHECK, '''
@unikernel
async def main(*, port: Annotated[int, Key("TCP port")] = "80") -> None: ...
'''),
    Mistake("Two providers make the same device", CHECK, DISK + '''
def one() -> Block:
    return Disk()

def two() -> Block:
    return Disk()

@unikernel(providers=[one, two])
async def main(data: Block) -> None: ...
'''),
    Mistake("Two providers need each other", CHECK, '''
class Egg: ...
class Hen: ...

def hen(egg: Egg) -> Hen:
    return Hen()

def egg(hen: Hen) -> Egg:
    return Egg()

@unikernel(providers=[hen, egg])
async def main(hen: Hen) -> None: ...
'''),
    Mistake("A device that is given has another name", CHECK, DISK + '''
@unikernel(devices={"date": Disk})
async def main(data: Block) -> None: ...
'''),
    Mistake("A device that is given is of another type", CHECK, '''
class Tape: ...

@unikernel(devices={"data": Tape})
async def main(data: Block) -> None: ...
'''),
    Mistake("The project's settings name a provider that is not there", "sarab check --no-types app.py", '''
@unikernel
async def main(data: Block) -> None: ...
''', {"pyproject.toml": '[tool.sarab.devices]\ndata = "app:my_disk"\n'}),
    Mistake("The project's settings have a key that the application has not", "sarab check --no-types app.py", PORT,
            {"pyproject.toml": "[tool.sarab.keys]\nprot = 8080\n"}),
    Mistake("A build is given a wrong value", "sarab build app.py --port eighty", PORT),
    Mistake("A boot is given a wrong value", "sarab run --on process app.py -- --port eighty", PORT),
    Mistake("A key is misspelt when the program starts", "sarab run --on process app.py -- --prot 81", PORT),
    Mistake("A key is misspelt when an image is built", "sarab build app.py --prot 81", PORT),
    Mistake("A key without a default is not given", "sarab run --on process app.py", '''
@unikernel
async def main(*, token: Annotated[str, Key("what the service asks for")]) -> None: ...
'''),
    Mistake("A key is given twice", "sarab run --on process app.py -- --port 1 --port 2", PORT),
    Mistake("A value is none of those to choose from", "sarab build app.py --mode fast", '''
import enum

class Mode(enum.Enum):
    QUICK = 1
    CAREFUL = 2

@unikernel
async def main(*, mode: Annotated[Mode, Key("how it works")] = Mode.QUICK) -> None: ...
'''),
    Mistake("A key is called as an option of sarab", "sarab build app.py", '''
@unikernel
async def main(*, output: Annotated[str, Key("where it writes")] = "x") -> None: ...
'''),
    Mistake("A key for the boot is given to the build", "sarab build app.py --token abc", '''
@unikernel
async def main(*, token: Annotated[str, Key("what is asked for", stage="boot")] = "") -> None: ...
'''),
    Mistake("A file has two applications", CHECK, '''
@unikernel
async def front() -> None: ...

@unikernel
async def back() -> None: ...
'''),
    Mistake("The application is no async function", CHECK, '''
@unikernel
def main(clock: Clock) -> None: ...
'''),
    Mistake("A provider is a lambda", CHECK, DISK + '''
@unikernel(devices={"data": lambda: Disk()})
async def main(data: Block) -> None: ...
'''),
    Mistake("A module that the application imports is not installed", CHECK, '''
import flask

@unikernel
async def main(clock: Clock) -> None: ...
'''),
    Mistake("The file's name is no name of a module", "sarab check --no-types my-app.py",
            files={"my-app.py": "from sarab import unikernel\n\n@unikernel\nasync def main() -> None: ...\n"}),
    Mistake("The file hides a module of Python", "sarab check --no-types random.py",
            files={"random.py": "from sarab import unikernel\n\n@unikernel\nasync def main() -> None: ...\n"}),
    Mistake("A type is imported for the type checker alone", CHECK, '''
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sarab import Random

@unikernel
async def main(random: "Random") -> None: ...
'''),
    Mistake("The program ends itself when it is imported", CHECK, '''
import sys

@unikernel
async def main(clock: Clock) -> None: ...

sys.exit(main)
'''),
    Mistake("A provider's class does not fit, as mypy sees it", "sarab check app.py", '''
class Wrong:
    sector_size, sectors, read_only = 512, 8, False
    async def read(self, sector: str, count: int) -> bytes:
        return bytes(512)
    async def write(self, sector: int, data: bytes | bytearray | memoryview) -> None: ...
    async def flush(self) -> None: ...
    async def discard(self, sector: int, count: int) -> None: ...

@unikernel(devices={"data": Wrong})
async def main(data: Block) -> None: ...
'''),
    Mistake("A device is used wrongly, as mypy sees it", "sarab check app.py", '''
@unikernel
async def main(console: Console) -> None:
    console.write(5)
'''),
    Mistake("The machine has no disk for the image", "sarab run app.py", '''
@unikernel
async def main(data: Block) -> None: ...
'''),
    Mistake("The machine has a disk that the image has no use for",
            "truncate -s 1M disk.img; sarab run --block logs=disk.img app.py", '''
@unikernel
async def main(console: Console) -> None: ...
'''),
)  # fmt: skip


def shown(mistake: Mistake) -> dict[str, str]:
    """Return the files of a mistake."""
    files = dict(mistake.files)
    if mistake.program:
        files["app.py"] = mistake.imports + "\n" + mistake.program.strip("\n") + "\n"
    return files


def said(mistake: Mistake) -> tuple[int, str]:
    """Make the mistake; return the exit status and what was printed."""
    with tempfile.TemporaryDirectory(prefix="mistake-") as folder:
        for name, text in shown(mistake).items():
            (Path(folder) / name).write_text(text)
        path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
        done = subprocess.run(
            ["bash", "-c", mistake.command], cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=SECONDS_MAX,
            env={**os.environ, "PATH": path, "COLUMNS": "120"},
        )  # fmt: skip
        return done.returncode, done.stdout.replace(folder, "~")


def page(results: list[tuple[int, str]]) -> str:
    """Return the page docs/mistakes.md."""
    lines = [
        "# Mistakes, and what sarab says",
        "",
        "Each of these was made, and the text below it is what was printed: `python -m tests.docs.mistakes` writes",
        "this page, and a test compares it. `app.py` begins with the imports of what it names.",
    ]
    for number, (mistake, (status, text)) in enumerate(zip(MISTAKES, results, strict=True), 1):
        lines += ["", f"## {number}. {mistake.title}", ""]
        for name, content in mistake.files.items():
            kind = "toml" if name.endswith(".toml") else "python"
            lines += [f"`{name}`:", "", f"```{kind}", content.strip("\n"), "```", ""]
        if mistake.program:
            lines += ["```python", mistake.program.strip("\n"), "```", ""]
        lines += ["```console", f"$ {mistake.command}", *text.rstrip("\n").splitlines(), "```", "", f"Status {status}."]
    return "\n".join(lines) + "\n"


def everything() -> list[tuple[int, str]]:
    """Make every mistake."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(said, MISTAKES))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        for chosen in MISTAKES:
            if any(word in chosen.title for word in sys.argv[1:]):
                print(f"--- {chosen.title}\n$ {shlex.join([chosen.command])}\n{said(chosen)[1]}")
    else:
        PAGE.write_text(page(everything()))
