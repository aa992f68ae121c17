"""Start an image under QEMU.

    outcome = Qemu(Path("hello.elf"), MachineOptions(accel="tcg")).run()
    outcome.status, outcome.console

or, to talk to it while it runs:

    with Qemu(image).start() as machine:
        machine.wait_for(b"ready", timeout_s=10)
        machine.power_down()
        outcome = machine.wait()
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from sarab.folders import cache_folder
from sarab.machine.accelerator import Choice, choose
from sarab.machine.block import check as check_blocks
from sarab.machine.errors import NotBootable, QemuFailed, QemuMissing
from sarab.machine.image import memory_end
from sarab.machine.network import check as check_network
from sarab.machine.options import MachineOptions
from sarab.machine.outcome import Outcome
from sarab.machine.running import Running
from sarab.machine.vector import Channels, qemu_vector

PROGRAM = "qemu-system-x86_64"
INSTALL = "apt-get install qemu-system-x86"
PR_SET_PDEATHSIG = 1


def find_qemu(named: str | None = None) -> str:
    """Return the path of QEMU's program. Raises QemuMissing."""
    path = shutil.which(named or PROGRAM)
    if path is None:
        raise QemuMissing(f"{named or PROGRAM} is not installed: 'sudo {INSTALL}' installs it on Debian and Ubuntu")
    return path


class Qemu:
    """An image and how to start it. Nothing is looked at before start()."""

    def __init__(self, image: Path, options: MachineOptions | None = None, *, cache: Path | None = None) -> None:
        """`cache` is the folder where what was found out of KVM is kept; None is sarab's own."""
        self.image = image
        self.options = options or MachineOptions()
        self._cache = cache or cache_folder()

    def choose_accelerator(self) -> Choice:
        """Say what start() would use, and why. Raises KvmUnusable."""
        debugged = self.options.gdb_port is not None
        return choose(self.options.accel, self._cache, self.options.machine, debugged=debugged)

    def run(self, stdin: bytes | None = b"") -> Outcome:
        """Start the machine, wait for its end, and return its outcome with everything the console said.

        `stdin` is what the program can read before the end of its input; None leaves the input open and silent.
        Raises MachineError, UsageError.
        """
        with self.start() as machine:
            if stdin is not None:
                machine.write(stdin)
                machine.close_input()
            return machine.wait()

    def start(
        self,
        *,
        output: int | None = None,
        source: int | None = None,
        keep: bool = True,
        choice: Choice | None = None,
    ) -> Running:
        """Start the machine. Raises MachineError, UsageError.

        The console's bytes go to the descriptor `output`, and are kept for the outcome with `keep`. The program's
        standard input is read from the descriptor `source`; without one, it is what Running.write() is given.
        The machine is killed when the calling thread ends.
        """
        qemu = find_qemu(self.options.qemu)
        end = memory_end(self.image)
        if end > self.options.memory_mib << 20:
            raise NotBootable(
                f"{self.image} does not fit into {self.options.memory_mib} MiB of memory: it needs more than "
                f"{(end + (1 << 20) - 1) >> 20} MiB (--memory)"
            )
        if self.options.network is not None:
            check_network(self.options.network)
        check_blocks(self.options.blocks, 0 if self.options.network is None else self.options.network.cards)
        choice = choice or self.choose_accelerator()
        console_read, console_write = os.pipe2(os.O_CLOEXEC)
        control_read, control_write = os.pipe2(os.O_CLOEXEC)
        serial, serial_end = socket.socketpair()
        qmp, qmp_end = socket.socketpair()
        theirs = Channels(console_write, control_write, serial_end.fileno(), qmp_end.fileno())
        try:
            vector = qemu_vector(qemu, self.image, self.options, choice.processor, theirs)
            started_ns = time.monotonic_ns()
            process = subprocess.Popen(
                vector,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=theirs,
                # Ctrl-C is for us: we ask the program to stop before we kill its machine.
                start_new_session=True,
                preexec_fn=_die_with_parent(),
            )
        except BaseException as error:
            for descriptor in (console_read, control_read):
                os.close(descriptor)
            serial.close()
            qmp.close()
            if isinstance(error, OSError):
                raise QemuFailed(f"{qemu} cannot be started: {error.strerror}") from error
            raise
        finally:
            os.close(console_write)
            os.close(control_write)
            serial_end.close()
            qmp_end.close()
        return Running(
            process,
            console=console_read,
            control=control_read,
            serial=serial,
            qmp=qmp,
            started_ns=started_ns,
            accelerator=choice.name,
            timeout_s=self.options.timeout_s,
            debugged=self.options.gdb_port is not None,
            output=output,
            source=source,
            keep=keep,
        )


def _die_with_parent() -> Callable[[], None]:
    """Return what a child calls so that it does not outlive us, however we end."""
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def arrange() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return arrange
