"""Whether a port of this host can be forwarded, and if not, who has it (proc(5), /proc/net/tcp)."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from pathlib import Path
from typing import Literal

from sarab.errors import UsageError

Kind = Literal["tcp", "udp"]
PROC = Path("/proc")
LISTEN = "0A"
UNPRIVILEGED_SHIFT = 8000
"""What we add to a privileged port to suggest another: 80 becomes 8080."""


def check_free(kind: Kind, host: str, port: int, guest_port: int) -> None:
    """Raise UsageError, with the reason, if nobody could listen on this port now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    form = socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM
    with contextlib.closing(socket.socket(family, form)) as probe:
        if kind == "tcp":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port in TIME_WAIT is free, to QEMU too
        try:
            probe.bind((host, port))
        except PermissionError:
            raise UsageError(
                f"port {port} of this host needs root: take one of 1024 and above, such as "
                f"-p {port + UNPRIVILEGED_SHIFT}:{guest_port}"
            ) from None
        except OSError as error:
            why = error.strerror
            if error.errno == errno.EADDRINUSE:
                why = f"{holder(kind, port) or 'another program'} has it; stop that, or give another port"
            elif error.errno == errno.EADDRNOTAVAIL:
                why = f"{host} is no address of this host"
            raise UsageError(f"port {port}/{kind} of {host} cannot be forwarded: {why}") from None


def holder(kind: Kind, port: int) -> str:
    """Return who listens on a port, as `nginx (process 812)`; nothing if we may not know."""
    inodes = set()
    for table in (kind, f"{kind}6"):
        try:
            lines = (PROC / "net" / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            words = line.split()
            if int(words[1].rpartition(":")[2], 16) == port and (kind == "udp" or words[3] == LISTEN):
                inodes.add(f"socket:[{words[9]}]")
    if not inodes:
        return ""
    for process in sorted(PROC.glob("[0-9]*"), key=lambda path: int(path.name)):
        try:
            if any(os.readlink(link) in inodes for link in (process / "fd").iterdir()):
                return f"{(process / 'comm').read_text().strip()} (process {process.name})"
        except OSError:
            continue  # another user's, or it has just ended
    return ""
