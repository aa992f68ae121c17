"""The control channel: the lines that the kernel writes to port 0xea (docs/decisions/0002)."""

from __future__ import annotations

from sarab.machine.outcome import Mark

LINE_MAX = 4096
"""Bytes; the kernel's are below 256, and a guest gone mad must not fill the host's memory."""
MARKS_MAX = 10_000
"""What a program that writes to /dev/mark in a loop can make us keep."""


class ControlChannel:
    """Reads the channel piece by piece. What it does not know, it ignores: a newer kernel may say more."""

    def __init__(self) -> None:
        self.marks: list[Mark] = []
        self.status: int | None = None
        self.input_open = False
        """The kernel reads its input from now on."""
        self._pending = b""
        self._began_ns = 0
        """When the first byte of the line that comes came."""
        self._boot_ns: int | None = None
        """When the kernel was entered, since QEMU was started: what the line before the marks tells."""

    def receive(self, now_ns: int, piece: bytes) -> None:
        """Take what came at `now_ns` (since QEMU was started)."""
        if not self._pending:
            self._began_ns = now_ns
        *lines, self._pending = (self._pending + piece).split(b"\n")
        self._pending = self._pending[:LINE_MAX]
        for line in lines:
            self._line(self._began_ns, line.decode("utf-8", "replace").split(" "))
            self._began_ns = now_ns

    def _line(self, now_ns: int, words: list[str]) -> None:
        match words:
            case ["mark", *name, moment] if name and moment.isdecimal() and len(self.marks) < MARKS_MAX:
                came_ns = now_ns if self._boot_ns is None else self._boot_ns + int(moment)
                self.marks.append(Mark(" ".join(name), int(moment), came_ns))
            case ["marks", moment] if moment.isdecimal():
                self._boot_ns = now_ns - int(moment)
            case ["exit", status] if status.isdecimal() and self.status is None:
                self.status = int(status) & 0xFF
            case ["input"]:
                self.input_open = True
