"""What a run of runner.py said, read back from its output: one report a module, and where it died if it did."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.regrtest.telling import MARK

PASSED, SKIPPED, FAILED, DIED, MISSING = "passed", "skipped", "failed", "died", "missing"
"""DIED: the process or the machine ended, or the time was over, in this test. MISSING: never reported."""


@dataclass(slots=True)
class Report:
    """The outcome of each test of one module."""

    module: str
    outcomes: dict[str, str] = field(default_factory=dict)
    details: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(slots=True)
class Transcript:
    """The reports of one process or boot, and what it was doing when it ended early."""

    reports: dict[str, Report] = field(default_factory=dict)
    done: bool = False
    module: str = ""
    """The module that was begun last."""
    test: str = ""
    """The test of `module` that was begun last; empty if none was."""


def read(lines: Iterable[str]) -> Transcript:
    """Read a runner's output; lines that are not the runner's are passed over.

    A module as a whole has an outcome too, under its own name, so that one that cannot be imported is a difference.
    """
    transcript = Transcript()
    for line in lines:
        if not line.startswith(MARK):
            continue
        try:
            values = json.loads(line[len(MARK) :])
        except json.JSONDecodeError:
            continue  # The machine died in the middle of a line.
        if "start" in values:
            transcript.module, transcript.test = values["start"], ""
        elif "test" in values:
            transcript.test = values["test"]
        elif "module" in values:
            name = values["module"]
            report = Report(name, values["outcomes"], values["details"], values["seconds"])
            if values["skipped"]:
                report.outcomes[name], report.details[name] = SKIPPED, values["skipped"]
            elif values["failed"]:
                report.outcomes[name], report.details[name] = FAILED, values["failed"]
            else:
                report.outcomes[name] = PASSED
            transcript.reports[name] = report
            transcript.module = transcript.test = ""
        elif "done" in values:
            transcript.done = True
    return transcript
