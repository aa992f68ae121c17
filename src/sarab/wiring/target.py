"""For what this program is built.

The builder decides `if TARGET == "machine"` when it makes an image, and leaves out what the other branch needs. Where
a program runs that was not built (in pytest, by `python app.py`), it is decided when it runs.
"""

from __future__ import annotations

import posix

TARGETS = ("machine", "process", "test")
"""An image on a machine; a Linux process; a test, in virtual time."""


def _here() -> str:
    try:
        posix.stat("/boot/start.pyc")
    except OSError:
        return "process"
    return "machine"


TARGET: str = _here()
