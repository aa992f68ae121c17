"""`sarab run --tap`, on a process and on a machine, with Linux's own stack at the other end."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cli.command import SARAB
from tests.namespace import inside_command, missing

pytestmark = pytest.mark.slow

SERVE = """
import subprocess, sys
words = sys.argv[1:]
server = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
assert server.stdout.readline() == "serving on port 80\\n"
print(subprocess.run(["curl", "-s", "-m", "20", "10.9.0.2"], capture_output=True, text=True).stdout, end="")
server.terminate()
print(server.wait(30))
"""
PAGE = "Hello from a Python program that is its own operating system.\n"


def inside(*words: str | Path) -> subprocess.CompletedProcess[str]:
    if why := missing():
        pytest.skip(why)
    return subprocess.run(inside_command(*words), capture_output=True, text=True, timeout=200)


def served(*words: str | Path) -> str:
    """Return what curl got from examples/web.py on the tap, and the program's status after SIGTERM."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed: 'make clients' installs it")
    tap = ("--tap", "tap0", "--ip", "10.9.0.2/24", "--gateway", "10.9.0.1")
    python = SARAB.with_name("python")
    done = inside(python, "-c", SERVE, SARAB, "run", "-q", *tap, *words, "examples/web.py")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_process_serves_on_a_tap() -> None:
    assert served("--on", "process") == f"{PAGE}143\n"


@pytest.mark.boot
def test_a_machine_serves_on_a_tap_and_is_captured(tmp_path: Path) -> None:
    pcap = tmp_path / "out.pcap"
    assert served("--accel", "tcg", "--pcap", pcap) == f"{PAGE}143\n"
    assert b"GET / HTTP/1.1" in pcap.read_bytes()


@pytest.mark.parametrize("on", ["machine", "process"])
def test_a_tap_that_is_down_is_said(on: str) -> None:
    down = 'ip link set tap0 down; exec "$0" "$@"'
    done = inside("sh", "-c", down, SARAB, "run", "--on", on, "--tap", "tap0", "--ip", "10.9.0.2/24", "examples/web.py")
    assert done.returncode == 2
    assert done.stderr.endswith("the tap device 'tap0' is down: 'ip link set tap0 up' puts it up, as root.\n")


def test_a_tap_that_another_program_has_is_said() -> None:
    script = """
import subprocess, sys
from sarab.driver.tap import Tap
card = Tap("tap0")
sys.exit(subprocess.run(sys.argv[1:]).returncode)
"""
    python = SARAB.with_name("python")
    done = inside(python, "-c", script, SARAB, "run", "--tap", "tap0", "--ip", "10.9.0.2/24", "examples/web.py")
    assert done.returncode == 2
    assert "--tap: the tap device 'tap0' cannot be attached to: another program uses it." in done.stderr
