"""QEMU's machine protocol: one JSON object a line, over a socket that somebody else reads and writes for us."""

from __future__ import annotations

import json
from typing import Any

from sarab.machine.errors import QemuFailed

LINE_MAX = 1 << 20
"""Bytes of one answer; `query-*` answers are some KiB."""


class Qmp:
    """Bytes in by `receive`, bytes out by `execute`; answers are kept by their number until they are taken."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self._answers: dict[int, dict[str, Any]] = {}
        self._pending = b""
        self._number = 0

    def execute(self, command: str, arguments: dict[str, Any] | None = None) -> tuple[int, bytes]:
        """Return the number of this command and the bytes to send."""
        self._number += 1
        message: dict[str, Any] = {"execute": command, "id": self._number}
        if arguments:
            message["arguments"] = arguments
        return self._number, json.dumps(message).encode() + b"\n"

    def receive(self, piece: bytes) -> None:
        """Take what came. Raises QemuFailed if it is no QMP."""
        *lines, self._pending = (self._pending + piece).split(b"\n")
        if len(self._pending) > LINE_MAX:
            raise QemuFailed("QEMU's monitor sent a line without an end")
        for line in filter(None, map(bytes.strip, lines)):
            try:
                message = json.loads(line)
            except ValueError as error:
                raise QemuFailed(f"QEMU's monitor sent something that is no JSON: {line[:80]!r}") from error
            if "event" in message:
                self.events.append(message)
            elif isinstance(message.get("id"), int):
                self._answers[message["id"]] = message

    def answered(self, number: int) -> bool:
        """Whether the answer to command `number` is there."""
        return number in self._answers

    def take(self, number: int) -> Any:
        """Return what command `number` returned. Raises QemuFailed if it was refused."""
        answer = self._answers.pop(number)
        if "error" in answer:
            raise QemuFailed(f"QEMU's monitor refused a command: {answer['error'].get('desc', 'no reason given')}")
        return answer["return"]

    @property
    def stopped(self) -> bool:
        """Whether QEMU has stopped the machine without ending it."""
        changes = [event["event"] for event in self.events if event["event"] in ("STOP", "RESUME", "SHUTDOWN")]
        return "SHUTDOWN" not in changes and changes[-1:] == ["STOP"]

    @property
    def shutdown_reason(self) -> str:
        """Why the machine stopped, in QEMU's word, or nothing."""
        for event in self.events:
            if event["event"] == "SHUTDOWN":
                return str(event.get("data", {}).get("reason", ""))
        return ""
