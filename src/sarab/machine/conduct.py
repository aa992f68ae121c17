"""See a machine to its end on behalf of a person at a terminal, or of whatever started `sarab run`.

Ctrl-C and SIGTERM press the machine's power button, which is SIGTERM for the program in it: it may clean up, and its
exit status is ours. If it is still there a second later we say so. The second Ctrl-C (or SIGTERM) kills the machine.
The terminal stays in the mode it is in: the program's console is none, so lines are edited and echoed by the host.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import FrameType

from sarab.machine.outcome import Ending, Outcome
from sarab.machine.running import Running

PATIENCE_NS = 1_000_000_000
REQUESTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Conductor:
    """What the signals of this process mean for one machine."""

    def __init__(self, running: Running, say: Callable[[str], None]) -> None:
        self._running = running
        self._say = say
        self._requests: list[int] = []

    def wait(self) -> Outcome:
        """Wait for the machine's end, and obey signals. Call it in the main thread."""
        handled, say_at_ns = 0, None
        with self._signals():
            while not self._running.finished:
                if len(self._requests) > handled:
                    handled = len(self._requests)
                    if handled == 1:
                        self._running.power_down()
                        say_at_ns = time.monotonic_ns() + PATIENCE_NS
                    else:
                        self._running.kill()
                        say_at_ns = None
                if say_at_ns is not None and time.monotonic_ns() >= say_at_ns:
                    say_at_ns = None
                    self._say("the program was asked to stop and still runs; Ctrl-C again kills its machine")
                self._running.step(say_at_ns)
            outcome = self._running.close()
        if outcome.ending is Ending.KILLED and self._requests:
            outcome = replace(outcome, status=128 + self._requests[-1])
        return outcome

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        before = {number: signal.getsignal(number) for number in (*REQUESTS, signal.SIGTTIN)}
        for number in REQUESTS:
            if before[number] is not signal.SIG_IGN:  # nohup, and background jobs of a shell without job control
                signal.signal(number, self._on_signal)
        # In the background, reading the terminal must fail and not stop us: the machine would stop with us.
        signal.signal(signal.SIGTTIN, signal.SIG_IGN)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._requests.append(number)
        self._running.wake()
