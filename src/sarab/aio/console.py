"""The console of a machine, or of a process: standard input and output (device.console.Console)."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import deque
from typing import TextIO

LINE_MAX = 65536
"""Bytes of a line; a longer one is given in pieces."""
READ_SIZE = 4096


class StandardConsole:
    """device.console.Console. Reading is for one event loop at a time."""

    def __init__(self, descriptor: int = 0, output: TextIO | None = None) -> None:
        """`descriptor` is what lines are read from; `output` None is sys.stdout, whatever that is by then."""
        self._descriptor, self._output = descriptor, output
        self._lines: deque[bytes] = deque()
        self._rest = bytearray()
        self._is_over = False
        self._turn = asyncio.Lock()

    def write(self, text: str) -> None:
        """See Console; it is flushed."""
        output = self._output or sys.stdout
        if output is not None:
            output.write(text)
            output.flush()

    async def read_line(self) -> str:
        """See Console. What is no UTF-8 is replaced."""
        async with self._turn:
            while not self._lines and not self._is_over:
                await self._readable()
                self._take()
            return self._lines.popleft().decode(errors="replace") if self._lines else ""

    async def _readable(self) -> None:
        """Wait until there is something to read; a file, which cannot be waited for, always has."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        try:
            loop.add_reader(self._descriptor, _wake, future)
        except OSError:
            await asyncio.sleep(0)
            return
        try:
            await future
        finally:
            loop.remove_reader(self._descriptor)

    def _take(self) -> None:
        """Read once, and cut what came into lines."""
        try:
            data = os.read(self._descriptor, READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""  # a terminal that has gone
        rest = self._rest
        rest += data
        while (end := rest.find(b"\n") + 1) or len(rest) >= LINE_MAX:
            end = end or LINE_MAX
            self._lines.append(bytes(rest[:end]))
            del rest[:end]
        if not data:
            self._is_over = True
            if rest:
                self._lines.append(bytes(rest))
                rest.clear()


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
