"""Whether the machine has what an application was built for, here as a Linux process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sarab.wiring.needs import missing

CARD = ("network", "eth0")
TWO = [CARD, ("network", "eth1")]
DISK = ("block", "data")


@pytest.mark.skipif(os.path.exists("/dev/dma"), reason="this is an image")
@pytest.mark.parametrize(
    ("needs", "raw", "environ", "sentence"),
    [
        ([CARD], [], {}, ""),
        ([CARD], [], {"SARAB_TAP": "tap0"}, ""),
        (TWO, ["eth1"], {"SARAB_TAP": "tap0,tap1"}, ""),
        (TWO, ["eth1"], {"SARAB_TAP": "tap0"},
         "this application needs 2 network cards (eth0, eth1), and the process has 1: 'sarab run' gives it one for "
         "each --tap NAME"),
        ([CARD], ["eth0"], {},
         "this application needs a network card (eth0), and the process has none: 'sarab run' gives it one for each "
         "--tap NAME"),
        ([DISK], [], {"SARAB_BLOCK": "data=/x,logs=/y"}, ""),
        ([DISK], [], {}, "this application needs the disk data: 'sarab run' gives it one by --block data=FILE"),
        ([DISK], [], {"SARAB_BLOCK": "logs=/y"},
         "this application needs the disk data; it has logs: 'sarab run' gives it one by --block data=FILE"),
    ],
)  # fmt: skip
def test_what_is_missing_is_one_sentence(
    needs: list[tuple[str, str]], raw: list[str], environ: dict[str, str], sentence: str
) -> None:
    assert missing(needs, environ, raw) == sentence


ENDS = """
import asyncio
from sarab import Random, unikernel
from collections.abc import AsyncIterator

async def dice() -> AsyncIterator[Random]:
    class Dice:
        def bytes(self, count: int) -> bytes: return b""
        def below(self, bound: int) -> int: return 0
    print("opened", flush=True)
    yield Dice()
    await asyncio.sleep(0.01)
    print("closed", flush=True)

@unikernel(providers=[dice])
async def main(random: Random) -> None:
    {body}

if __name__ == "__main__":
    main.run()
"""


def start(tmp_path: Path, body: str) -> subprocess.Popen[str]:
    (tmp_path / "app.py").write_text(ENDS.format(body=body))
    return subprocess.Popen(
        [sys.executable, "app.py"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_sigterm_closes_the_devices_and_gives_143(tmp_path: Path) -> None:
    process = start(tmp_path, "print('up', flush=True); await asyncio.sleep(60)")
    assert process.stdout is not None
    assert [process.stdout.readline(), process.stdout.readline()] == ["opened\n", "up\n"]
    process.send_signal(signal.SIGTERM)
    out, error = process.communicate(timeout=20)
    assert (out, error, process.returncode) == ("closed\n", "", 143)


def test_an_exception_closes_the_devices_and_is_shown(tmp_path: Path) -> None:
    out, error = (process := start(tmp_path, "raise ValueError('x')")).communicate(timeout=20)
    assert out == "opened\nclosed\n"
    assert error.endswith("ValueError: x\n")
    assert process.returncode == 1


def test_an_application_that_cancels_itself_is_no_end_by_sigterm(tmp_path: Path) -> None:
    _, error = (process := start(tmp_path, "raise asyncio.CancelledError")).communicate(timeout=20)
    assert "CancelledError" in error
    assert process.returncode == 1
