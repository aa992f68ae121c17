"""A machine between its start and its end: console, input, control channel and monitor, in one loop of one thread.

The console's bytes go to a descriptor as they are, or are kept, or both. Nothing here blocks but `poll`: a reader of
our output that has stopped reading stops the guest's console, and neither the time limit nor a request to stop.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from sarab.machine.control import ControlChannel
from sarab.machine.errors import QemuFailed
from sarab.machine.outcome import STATUS_DIED, STATUS_KILLED, STATUS_TIMED_OUT, Ending, Outcome
from sarab.machine.qmp import Qmp

READ_SIZE = 65536
PENDING_OUTPUT_MAX = 65536
"""Bytes of console that wait for our output; above it, the guest waits."""
PENDING_INPUT_MAX = 65536
CONSOLE_PAUSE_NS = 500_000
"""Between two reads of a console that does not stop talking; what comes after a silence is read at once."""
COMPLAINT_MAX = 65536
"""Bytes of QEMU's own messages that are kept."""
LAST_WORDS_SECONDS = 5.0
"""What QEMU gets to end itself after the program has said its exit status, and our reader to take the last output."""
# A descriptor that poll() calls writable takes this much without blocking (POSIX: PIPE_BUF).
WRITE_SIZE = select.PIPE_BUF

ESCAPE, END = b"\x10", b"\x10\x04"


class Running:
    """A machine that was started. Times are nanoseconds of the monotonic clock. Use it from one thread."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        *,
        console: int,
        control: int,
        serial: socket.socket,
        qmp: socket.socket,
        started_ns: int,
        accelerator: str,
        timeout_s: float | None,
        debugged: bool,
        output: int | None,
        source: int | None,
        keep: bool,
    ) -> None:
        """Take over the descriptors, but for `output` and `source`, which stay the caller's."""
        self.process = process
        self.started_ns = started_ns
        self.accelerator = accelerator
        self.control = ControlChannel()
        self._deadline_ns = None if timeout_s is None else started_ns + int(timeout_s * 1e9)
        self._qemu_deadline_ns: int | None = None
        self._output_deadline_ns: int | None = None
        self._may_stop = debugged
        self._console, self._control = console, control
        self._serial, self._monitor = serial, qmp
        self._output, self._source = output, source
        self._keep = keep
        self._chunks: list[tuple[int, bytes]] = []
        self._complaint = b""
        self._to_output = bytearray()
        self._to_guest = bytearray()
        self._to_monitor = bytearray()
        self._console_read_ns = 0
        self._spoke = False
        self._closed = False
        self._qmp = Qmp()
        self._ending: Ending | None = None
        assert process.stderr is not None
        self._stderr = process.stderr.fileno()
        self._open = {self._console, self._control, self._stderr, serial.fileno(), qmp.fileno()}
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        serial.setblocking(False)
        qmp.setblocking(False)
        self._send("qmp_capabilities")

    # ---- what an owner does --------------------------------------------------------------------------------------

    @property
    def finished(self) -> bool:
        """Whether the machine is gone and everything it said has been passed on."""
        return not {self._console, self._control, self._stderr} & self._open and not self._to_output

    @property
    def console(self) -> bytes:
        """What came out of the console so far, if it is kept."""
        return b"".join(piece for _, piece in self._chunks)

    def wait(self) -> Outcome:
        """Wait for the end of the machine and return what became of it."""
        while not self.finished:
            self.step()
        return self.close()

    def wait_for(self, text: bytes, timeout_s: float) -> bytes:
        """Wait until `text` is on the console, and return all of the console. Raises TimeoutError, also if the machine
        has ended without it."""
        self._wait_until(lambda: text in self.console, timeout_s, repr(text))
        return self.console

    def write(self, data: bytes) -> None:
        """Send `data` to the program's standard input."""
        self._to_guest += data.replace(ESCAPE, 2 * ESCAPE)

    def close_input(self) -> None:
        """Tell the program that its standard input has ended."""
        self._to_guest += END

    def power_down(self) -> None:
        """Press the power button: the program gets SIGTERM. May be called by a signal handler, with wake()."""
        self._send("system_powerdown")

    def kill(self) -> None:
        """End the machine at once; what waits for our output is dropped."""
        self._end(Ending.KILLED)
        self._drop_output()

    def monitor(self, command: str, timeout_s: float = 10, **arguments: Any) -> Any:
        """Give QEMU's monitor a QMP command and return its answer. Raises QemuFailed if it is refused, TimeoutError."""
        self._may_stop = self._may_stop or command == "stop"
        number = self._send(command, arguments)
        self._wait_until(lambda: self._qmp.answered(number), timeout_s, f"an answer to {command}")
        return self._qmp.take(number)

    def wake(self) -> None:
        """Make a step() that waits return. For signal handlers and other threads."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_write, b"!")

    def close(self) -> Outcome:
        """Kill the machine if it still runs, free everything, and return what became of it."""
        if self.process.poll() is None:
            if self._ending is None and self.control.status is None and not self.finished:
                self._ending = Ending.KILLED
            with contextlib.suppress(subprocess.TimeoutExpired):
                # All its descriptors are closed: it is on its way out.
                if self.finished and self._ending is None:
                    self.process.wait(LAST_WORDS_SECONDS)
            self.process.kill()
        self.process.wait()
        elapsed_ns = time.monotonic_ns() - self.started_ns
        # QEMU's word for the end may still lie in the socket.
        while piece := self._receive(self._monitor):
            self._qmp.receive(piece)
        assert self.process.stderr is not None
        self.process.stderr.close()
        self._serial.close()
        self._monitor.close()
        for descriptor in (self._console, self._control, self._wake_read, self._wake_write):
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self._open.clear()
        self._closed = True
        complaint = self._complaint.decode("utf-8", "replace")
        if self.control.status is not None:
            ending, status = Ending.EXITED, self.control.status
        elif self._ending is Ending.TIMED_OUT:
            ending, status = Ending.TIMED_OUT, STATUS_TIMED_OUT
        elif self._ending is Ending.KILLED:
            ending, status = Ending.KILLED, STATUS_KILLED
        else:
            ending, status = Ending.DIED, STATUS_DIED
            if self.process.returncode == 1 and complaint and not self._spoke:
                raise QemuFailed(f"QEMU could not start the machine: {_last_line(complaint)}")
        died_of = self._qmp.shutdown_reason
        if not died_of and self.process.returncode == 0:
            died_of = "guest-early"
        return Outcome(
            ending=ending,
            status=status,
            accelerator=self.accelerator,
            elapsed_ns=elapsed_ns,
            marks=tuple(self.control.marks),
            chunks=tuple(self._chunks),
            complaint=complaint,
            died_of=died_of,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._closed:
            with contextlib.suppress(QemuFailed):
                self.close()

    # ---- the loop ------------------------------------------------------------------------------------------------

    def step(self, until_ns: int | None = None) -> None:
        """Wait for something to happen, at most until `until_ns`, and deal with it.

        Raises BrokenPipeError when nobody reads our output any more; the machine has been killed then.
        """
        now = time.monotonic_ns()
        limits = (self._deadline_ns, self._qemu_deadline_ns, self._output_deadline_ns, until_ns)
        deadline_ns = min((limit for limit in limits if limit is not None), default=None)
        wait_ms = None if deadline_ns is None else max(0, (deadline_ns - now + 999_999) // 1_000_000)
        ready = dict(self._poll_set().poll(wait_ms))
        if self._wake_read in ready:
            os.read(self._wake_read, 4096)
        # The control channel first: what it says of a moment was said before what the console shows after it.
        if self._control in ready:
            self._control_ready()
        if self._console in ready:
            self._console_ready()
        if self._stderr in ready:
            self._complaint = (self._complaint + self._read(self._stderr))[:COMPLAINT_MAX]
        if self._monitor.fileno() in ready:
            self._monitor_ready(ready[self._monitor.fileno()])
        if self._serial.fileno() in ready:
            self._serial_ready(ready[self._serial.fileno()])
        if self._source is not None and self._source in ready:
            self._source_ready(self._source)
        if self._output is not None and self._output in ready:
            self._output_ready(self._output)
        now = time.monotonic_ns()
        if self._deadline_ns is not None and now >= self._deadline_ns:
            self._end(Ending.TIMED_OUT)
        if self._qemu_deadline_ns is not None and now >= self._qemu_deadline_ns:
            self._qemu_deadline_ns = None
            self.process.kill()
        if self._output_deadline_ns is not None and now >= self._output_deadline_ns:
            self._drop_output()

    def _poll_set(self) -> select.poll:
        wanted = dict.fromkeys((self._control, self._stderr, self._wake_read), select.POLLIN)
        if len(self._to_output) < PENDING_OUTPUT_MAX:
            wanted[self._console] = select.POLLIN
        wanted[self._monitor.fileno()] = select.POLLIN | (select.POLLOUT if self._to_monitor else 0)
        sends = self._to_guest and self.control.input_open
        wanted[self._serial.fileno()] = select.POLLIN | (select.POLLOUT if sends else 0)
        poll = select.poll()
        for descriptor, events in wanted.items():
            if descriptor in self._open or descriptor == self._wake_read:
                poll.register(descriptor, events)
        if self._source is not None and self.control.input_open and len(self._to_guest) < PENDING_INPUT_MAX:
            poll.register(self._source, select.POLLIN)
        if self._output is not None and (self._to_output or self._console in self._open):
            # Without POLLOUT poll still tells of an error: that nobody reads our output any more.
            poll.register(self._output, select.POLLOUT if self._to_output else 0)
        return poll

    def _read(self, descriptor: int) -> bytes:
        piece = os.read(descriptor, READ_SIZE)
        if not piece:
            self._open.discard(descriptor)
        return piece

    def _control_ready(self) -> None:
        self.control.receive(time.monotonic_ns() - self.started_ns, self._read(self._control))
        if self.control.status is not None and self._qemu_deadline_ns is None:
            self._qemu_deadline_ns = time.monotonic_ns() + int(LAST_WORDS_SECONDS * 1e9)

    def _console_ready(self) -> None:
        # QEMU writes bytes or lines. Who reads them as they come takes the guest's processor time for it.
        if time.monotonic_ns() - self._console_read_ns < CONSOLE_PAUSE_NS:
            time.sleep(CONSOLE_PAUSE_NS / 1e9)
        piece = self._read(self._console)
        self._console_read_ns = time.monotonic_ns()
        self._spoke = self._spoke or bool(piece)
        if piece and self._keep:
            self._chunks.append((time.monotonic_ns() - self.started_ns, piece))
        if piece and self._output is not None:
            self._to_output += piece

    def _output_ready(self, output: int) -> None:
        if not self._to_output:
            self._reader_gone()  # poll told of an error: nothing else was asked for
        try:
            written = os.write(output, self._to_output[:WRITE_SIZE])
        except BrokenPipeError:
            self._reader_gone()
        except BlockingIOError:
            return
        del self._to_output[:written]

    def _reader_gone(self) -> None:
        self.kill()
        raise BrokenPipeError

    def _source_ready(self, source: int) -> None:
        try:
            piece = os.read(source, READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            piece = b""  # a terminal that is gone, or a job in the background
        if piece:
            self.write(piece)
        else:
            self._source = None
            self.close_input()

    def _serial_ready(self, events: int) -> None:
        if events & select.POLLOUT and self.control.input_open:
            with contextlib.suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
                del self._to_guest[: self._serial.send(self._to_guest[:READ_SIZE])]
        if events & ~select.POLLOUT:
            # The console speaks through port 0xe9 or virtio; what comes here would be a firmware's chatter.
            self._receive(self._serial)

    def _monitor_ready(self, events: int) -> None:
        if events & select.POLLOUT and self._to_monitor:
            with contextlib.suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
                del self._to_monitor[: self._monitor.send(self._to_monitor)]
        if events & ~select.POLLOUT:
            self._qmp.receive(self._receive(self._monitor))
            if self._qmp.stopped and not self._may_stop:
                # KVM could not go on: QEMU stops the machine and would keep it for ever.
                self.process.kill()

    def _receive(self, peer: socket.socket) -> bytes:
        try:
            piece = peer.recv(READ_SIZE)
        except BlockingIOError:
            return b""
        except OSError:
            piece = b""
        if not piece:
            self._open.discard(peer.fileno())
        return piece

    def _send(self, command: str, arguments: dict[str, Any] | None = None) -> int:
        number, message = self._qmp.execute(command, arguments)
        self._to_monitor += message
        return number

    def _end(self, ending: Ending) -> None:
        if self._ending is None:
            self._ending = ending
        self._deadline_ns = None
        self._output_deadline_ns = time.monotonic_ns() + int(LAST_WORDS_SECONDS * 1e9)
        self.process.kill()

    def _drop_output(self) -> None:
        self._output_deadline_ns = None
        self._to_output.clear()
        self._output = None

    def _wait_until(self, there: Callable[[], bool], timeout_s: float, what: str) -> None:
        deadline_ns = time.monotonic_ns() + int(timeout_s * 1e9)
        while not there():
            if self.finished:
                raise TimeoutError(f"the machine has ended, and {what} never came")
            if time.monotonic_ns() >= deadline_ns:
                raise TimeoutError(f"{what} did not come within {timeout_s:g} s")
            self.step(deadline_ns)


def _last_line(complaint: str) -> str:
    line = complaint.strip().splitlines()[-1]
    return line.removeprefix("qemu-system-x86_64: ")
