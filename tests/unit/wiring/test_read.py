"""An application read in a process of its own: its plan, its main module, and what can be wrong with its file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

APPLICATION = '''\
"""A unikernel."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

from sarab import Block, Clock, Key, Name, Secret, Size, unikernel

print("this is printed while it is imported")


class Colour(Enum):
    RED = 1
    BLUE = 2


class Disk:
    sector_size, read_only = 512, False

    def __init__(self, name: Name, *, size: Annotated[Size, Key("bytes")] = Size("1MiB")) -> None:
        self.sectors, self.name = size // 512, name

    async def read(self, sector: int, count: int) -> bytes:
        return b""

    async def write(self, sector: int, data: bytes | bytearray | memoryview) -> None: ...

    async def flush(self) -> None: ...

    async def discard(self, sector: int, count: int) -> None: ...


@unikernel(providers=[Disk], name="shop")
async def main(
    data: Block,
    *,
    port: Annotated[int, Key("TCP port", stage="any")] = 8080,
    colour: Annotated[Colour, Key()] = Colour.RED,
    token: Annotated[Secret | None, Key(stage="boot")] = None,
) -> int:
    """Sell things."""
    print(type(data).__name__, data.sectors, port, colour.name, token)
    return 3
'''


def read(folder: Path, entry: str = "app", target: str = "process", **question: Any) -> Any:
    command = [sys.executable, "-P", "-m", "sarab.wiring.read", str(folder), entry, target]
    done = subprocess.run(command, input=json.dumps(question), capture_output=True, text=True, cwd=folder)
    answer = json.loads(done.stdout)
    assert done.returncode == ("error" in answer), done.stderr
    assert "Traceback" not in done.stderr
    return answer


def error(folder: Path, source: str, entry: str = "app") -> str:
    (folder / "app.py").write_text(source)
    return str(read(folder, entry)["error"]["sentence"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APPLICATION)
    return tmp_path


def start(folder: Path, plan: Any, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    main = folder / "started.py"
    main.write_text(plan["source"])
    environment = {**os.environ, "PYTHONPATH": str(folder), **environ}
    return subprocess.run([sys.executable, main, *words], capture_output=True, text=True, env=environment)


def test_a_plan_says_what_an_application_gets(folder: Path) -> None:
    plan = read(folder)
    assert plan["entry"] == {
        "module": "app", "name": "main", "file": str(folder / "app.py"), "line": 35, "doc": "Sell things.",
        "title": "shop",
    }  # fmt: skip
    assert [(d["id"], d["provider"], d["line"], d["shipped"]) for d in plan["devices"]] == [
        ("data:Block", "app:Disk", 18, False)
    ]
    assert [(k["name"], k["type"], k["default"], k["stage"], k["line"]) for k in plan["keys"]] == [
        ("data-size", "size", "1MiB", "any", 21),
        ("port", "int", "8080", "any", 38),
        ("colour", "red|blue", "red", "any", 39),
        ("token", "secret", None, "boot", 40),
    ]
    assert plan["parameters"] == {"data": "data:Block"}
    assert plan["machine"] == []


def test_the_main_module_starts_the_application(folder: Path) -> None:
    done = start(folder, read(folder), "--port", "80", "--data-size", "2K", "--token", "x", SARAB_KEY_COLOUR="blue")
    assert done.stdout.splitlines()[1:] == ["Disk 4 80 BLUE (secret)"], done.stderr
    assert done.returncode == 3


def test_what_is_baked_in_is_a_constant_of_the_main_module(folder: Path) -> None:
    plan = read(folder, baked={"port": "80", "colour": "blue", "data-size": "1K"})
    assert "port=80," in plan["source"]
    assert "colour=app.Colour.BLUE," in plan["source"]
    assert start(folder, plan).stdout.splitlines()[1:] == ["Disk 2 80 BLUE None"]
    refused = start(folder, plan, "--port", "81")
    assert refused.returncode == 2
    assert refused.stderr == "sarab: the key port is baked into this image as 80: build it again to change it.\n"


def test_the_main_module_prints_help(folder: Path) -> None:
    done = start(folder, read(folder), "--help")
    assert done.returncode == 0
    assert "Usage: shop [--KEY VALUE ...]" in done.stdout
    assert "Sell things." in done.stdout


def test_each_line_of_the_main_module_has_a_meaning_for_who_wrote_the_application(folder: Path) -> None:
    plan = read(folder)
    lines = plan["source"].splitlines()
    by_line = {lines[int(number) - 1].strip(): meaning for number, meaning in plan["lines"].items()}
    assert by_line["data=data_device,"] == (
        "main (app.py:35) needs data: Block (app.py:36), and Disk (app.py:18) makes Disk"
    )
    assert by_line["data_device = life.value(app.Disk("] == "Disk (app.py:18) makes data: Block"


def test_mypy_accepts_the_main_module(folder: Path) -> None:
    (folder / "main.py").write_text(read(folder)["source"])
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(folder / "cache"), "main.py"],
        cwd=folder, capture_output=True, text=True, env={**os.environ, "MYPYPATH": str(folder)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_the_target_is_known_while_the_application_is_imported(folder: Path) -> None:
    source = "from sarab import TARGET\nraise ValueError(TARGET)\n"
    (folder / "app.py").write_text(source)
    for target in ("machine", "process", "test"):
        sentence = read(folder, target=target)["error"]["sentence"]
        assert sentence == f"app.py:2: importing app failed: ValueError: {target}"


HEAD = "from typing import Annotated\nfrom sarab import Block, Key, Name, unikernel\n@unikernel\n"
"""Of a program in which something is wrong on line 4."""


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("x = (", "{folder}/app.py:1: '(' was never closed"),
        ("import nothing_like_this", "app.py:1 imports nothing_like_this, which is not installed"),
        ("1 / 0", "app.py:1: importing app failed: ZeroDivisionError: division by zero"),
        ("import sys; sys.exit(3)",
         "app.py:1: app ends the program when it is imported: keep what runs under `if __name__ == '__main__':`"),
        (HEAD + "async def main(data: Annotated[Block, 'logs']) -> None: ...",
         "app.py:4: main's parameter data is annotated with a text, 'logs': a name is Name('logs')"),
        (HEAD + "async def main(data: Annotated[Block, Name('My Logs')]) -> None: ...",
         "a disk cannot be called My Logs: a machine's disks have names of lower-case letters, digits, _ and -, at "
         "most 20; Annotated[Block, Name('data')] gives it another"),
        (HEAD + "async def main(disks: list[Block]) -> None: ...",
         "app.py:4: main's parameter disks is a list[Block]: each device has a parameter of its own"),
        (HEAD + "async def main(*, port: Annotated[int, Key('')] = '80') -> None: ...",
         "app.py:4: the default of the key port is the text '80', and the key is of type int"),
        ("from sarab import unikernel\nunikernel(providers=len)",
         "app.py:2: importing app failed: TypeError: @unikernel(providers=...) wants a list, and <built-in function"),
        ("from sarab import unikernel\nunikernel(devices=[])(len)",
         "app.py:2: importing app failed: TypeError: @unikernel(devices=...) wants a dict, and [] is none"),
        ("from sarab import unikernel\n@unikernel\nclass Main: ...",
         "app.py:2: importing app failed: TypeError: @unikernel marks an async function, and Main is none"),
        ("x = 1", "app has no application: decorate an async function with @unikernel"),
        ("from sarab import unikernel\n@unikernel\nasync def a() -> None: ...\n@unikernel\nasync def b() -> None: ...",
         "app has the applications a, b: name one, app:a"),
        ("from sarab import unikernel\n@unikernel\nasync def main(data: 'Blok') -> None: ...",
         "app.py:3: an annotation of main cannot be read: name 'Blok' is not defined. If the name is imported only "
         "under TYPE_CHECKING, import it outside"),
        ("from sarab import Stak", "app.py:1 imports Stak from sarab, which has none (is Stack meant?)"),
        ("from sarab.device.block import Blok", "app.py:1: importing app failed: ImportError: cannot"),
    ],
)  # fmt: skip
def test_what_can_be_wrong_with_a_file(tmp_path: Path, source: str, sentence: str) -> None:
    told = error(tmp_path, source)
    assert told.startswith(sentence.format(folder=tmp_path))


def test_a_provider_that_an_image_could_not_import(tmp_path: Path) -> None:
    source = (
        "from sarab import Random, unikernel\n"
        "def make():\n    def inner() -> Random: ...\n    return inner\n"
        "@unikernel(providers=[make()])\nasync def main(random: Random) -> None: ...\n"
    )
    assert error(tmp_path, source) == (
        "inner (app.py:3) is made inside a function: write it at the top level of a module, so that an image can "
        "import it"
    )


def test_an_application_that_is_not_there(folder: Path) -> None:
    assert read(folder, "app:nothing")["error"]["sentence"] == (
        "app has no application nothing: decorate an async function with @unikernel"
    )
    assert read(folder, "nothing")["error"]["sentence"] == f"there is no module nothing in {folder}"
