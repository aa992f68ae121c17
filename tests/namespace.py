"""A network namespace with a tap device in it, for tests that need Linux's own stack at the other end."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TAP, HOST_ADDRESS = "tap0", "10.9.0.1/24"
SETUP = f"""
set -e
mount -t sysfs sysfs /sys
ip link set lo up
ip tuntap add dev {TAP} mode tap
sysctl -qw net.ipv6.conf.{TAP}.disable_ipv6=1
ip addr add {HOST_ADDRESS} dev {TAP}
ip link set {TAP} up
exec "$@"
"""
ROOT = Path(__file__).parents[1]


@functools.cache
def missing() -> str:
    """Return why there can be no namespace here, or nothing."""
    if os.geteuid() != 0:
        return "a network namespace with a tap device needs root"
    for program in ("unshare", "ip", "sysctl"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    done = inside_command("true")
    try:
        subprocess.run(done, check=True, capture_output=True, timeout=30)
    except subprocess.CalledProcessError as error:
        return f"a network namespace with a tap device cannot be made here: {error.stderr.decode().strip()}"
    return ""


def inside_command(*words: str | Path) -> list[str]:
    """Return the command that runs `words` in a namespace of its own, which ends with it."""
    return ["unshare", "--net", "--mount", "sh", "-c", SETUP, "sh", *map(str, words)]


def run_inside(script: str, *words: str, timeout_s: float = 60) -> str:
    """Run Python code of the tests in a namespace and return what it printed."""
    if why := missing():
        pytest.skip(why)
    command = inside_command(sys.executable, "-W", "error", "-c", script, *words)
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
