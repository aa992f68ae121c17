"""Claim: how long `sarab describe` and `sarab check` (without mypy) take for the wired examples."""

import os
import subprocess
import time
from pathlib import Path

from bench.pair import ROOT, sarab_command
from bench.result import Failed, Row, Setting, median

AIM_S = 0.5
EXAMPLES = ROOT / "examples" / "wired"
VERBS = {"sarab describe": ("describe",), "sarab check --no-types": ("check", "--no-types")}


def measure(setting: Setting) -> list[Row]:
    """Return the seconds of the whole command, of the example for which it takes longest."""
    rows = []
    for what, words in VERBS.items():
        slowest: list[float] = []
        for example in sorted(EXAMPLES.glob("*.py")):
            _seconds(words, example, setting.folder)  # what the first time alone costs is kept in the cache
            seconds = [_seconds(words, example, setting.folder) for _ in range(setting.runs)]
            if median(seconds) > (median(slowest) if slowest else 0):
                slowest = seconds
        rows.append(Row(f"{what}, slowest example", "s", slowest, (), f"under {AIM_S} s", median(slowest) < AIM_S))
    return rows


def _seconds(words: tuple[str, ...], example: Path, bytecode: Path) -> float:
    """sarab's own bytecode is kept, as it is where sarab is installed, whatever this machine says of a checkout."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(bytecode)}
    command = [sarab_command(), *words, str(example)]
    started = time.monotonic()
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise Failed(f"sarab {' '.join(words)} {example} said: {done.stderr}")
    return time.monotonic() - started
