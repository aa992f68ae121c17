"""The root of every error that sarab raises for a person to act on.

SarabError
├── UsageError           the command line (or a call) does not make sense; exit status 2
├── BuildError           sarab.build.errors
└── MachineError         sarab.machine.errors
"""

from __future__ import annotations


class SarabError(Exception):
    """The message is one sentence that a person can act on: the command line prints it, and no traceback."""

    exit_status = 1
    """What `sarab` exits with when this ends it."""
    details: tuple[str, ...] = ()
    """Lines that follow the sentence, if one is not enough: who needs what, or what mypy says."""


class UsageError(SarabError):
    """The command line, or the call, does not make sense."""

    exit_status = 2
