"""The real `sarab`, started as a person starts it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SARAB = Path(sys.executable).with_name("sarab")


def sarab(
    *words: str | Path, stdin: bytes = b"", cwd: Path | None = None, **environment: str
) -> tuple[int, bytes, str]:
    """Return the exit status, standard output, and standard error as text."""
    done = subprocess.run(
        [SARAB, *words], input=stdin, capture_output=True, cwd=cwd, env={**os.environ, **environment}, timeout=200
    )
    return done.returncode, done.stdout, done.stderr.decode()


def start(*words: str | Path, **options: object) -> subprocess.Popen[bytes]:
    """Start it and do not wait."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.Popen([SARAB, *words], **pipes)  # type: ignore[call-overload, no-any-return]
