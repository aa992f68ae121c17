"""The machine that is none: the application as a Linux process, with the interpreter and the first code of an image."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

from sarab.machine.outcome import STATUS_TIMED_OUT

START = Path(__file__).parents[1] / "runtime" / "start.py"


def run_process(
    kind: str,
    target: str,
    root: Path,
    arguments: Sequence[str],
    environment: Sequence[tuple[str, str]],
    timeout_s: float | None,
    say: Callable[[str], None],
) -> int:
    """Run the application and return its exit status: 128 + N if signal N ended it, 124 after `timeout_s`.

    `kind` and `target` are what start.py takes; modules are imported from `root` first.
    """
    variables = {**os.environ, **dict(environment)}
    if kind != "script" or Path(target).parent != root:
        variables["PYTHONPATH"] = os.pathsep.join(filter(None, [str(root), variables.get("PYTHONPATH")]))
    # -P: the folder of start.py is no place to import from. No -S, as an image has it: `site` finds the wheels.
    command = [sys.executable, "-P", str(START), kind, target, *arguments]
    child = subprocess.Popen(command, env=variables)

    def pass_on(number: int, _frame: FrameType | None) -> None:
        child.send_signal(number)

    # A terminal's Ctrl-C goes to the child too, and what it means is the child's to say.
    before = {signal.SIGINT: signal.signal(signal.SIGINT, signal.SIG_IGN)}
    for number in (signal.SIGTERM, signal.SIGHUP):
        before[number] = signal.signal(number, pass_on)
    try:
        status = child.wait(timeout_s)
    except subprocess.TimeoutExpired:
        say(f"the program was killed after {timeout_s:g} s, the time it was given")
        return STATUS_TIMED_OUT
    finally:
        child.kill()
        child.wait()
        for number, handler in before.items():
            signal.signal(number, handler)
    return status if status >= 0 else 128 - status
