"""Claim: the time until examples/web.py answers its first request, from the start of the machine and from kernel entry.

The client connects as soon as the program says that it serves; so the first answer also holds what the network still
has to do then (neighbours; its addresses are given). There is no Linux guest beside it: Debian's cloud kernel has the
drivers of QEMU's cards as modules and configures no network by itself, so that it would need more files than the image
has.
"""

import socket
import time
from pathlib import Path
from typing import cast

from bench.guest import warm_memory
from bench.pair import ROOT, build_image
from bench.result import Failed, Row, Setting, median
from sarab.machine.network import Forward, NetworkOptions
from sarab.machine.options import Accelerator, MachineOptions
from sarab.machine.qemu import Qemu

WEB = ROOT / "examples" / "web.py"
READY = b"serving"
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
AIM_MS = 60
PATIENCE_S = 60.0
SIZE_MAX = 65536


def measure(setting: Setting) -> list[Row]:
    """Boot the web server again and again; return a row for each starting point."""
    image = setting.folder / "web.elf"
    build_image(WEB, image)
    samples: dict[str, list[float]] = {}
    for run in range(setting.runs + 1):
        warm_memory()
        found = _first_answer(image, cast(Accelerator, setting.accelerator))
        if run == 0:
            continue  # The first boot reads the image from disk.
        for name, milliseconds in found.items():
            samples.setdefault(name, []).append(milliseconds)
    answered = Row("kernel entry to the first answer of web.py", "ms", samples["answer"])
    if setting.accelerator == "kvm":
        reached = median(samples["answer"]) <= AIM_MS
        answered = Row(answered.what, "ms", samples["answer"], aim=f"{AIM_MS} ms under KVM", reached=reached)
    return [
        Row("machine start to the first answer of web.py", "ms", samples["from start"]),
        answered,
        Row("  kernel entry to the line 'serving'", "ms", samples["serving"]),
    ]


def _first_answer(image: Path, accelerator: Accelerator) -> dict[str, float]:
    """Return milliseconds: from the machine's start, and from kernel entry to the line, and to the answer."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    network = NetworkOptions(forwards=(Forward("tcp", "127.0.0.1", port, 80),))
    options = MachineOptions(memory_mib=128, accel=accelerator, marks=True, timeout_s=2 * PATIENCE_S, network=network)
    with Qemu(image, options).start() as machine:
        machine.wait_for(READY, PATIENCE_S)
        serving_ns = time.monotonic_ns() - machine.started_ns
        answer = _ask(port)
        answer_ns = time.monotonic_ns() - machine.started_ns
        machine.power_down()
        outcome = machine.wait()
    if not answer.startswith(b"HTTP/1.1 200 OK\r\n") or not outcome.marks:
        raise Failed(f"web.py answered {answer[:200]!r}; {outcome.sentence}\n{outcome.console.decode()[-2000:]}")
    entry_ns = outcome.marks[0].host_ns - outcome.marks[0].guest_ns
    times = {"from start": answer_ns, "serving": serving_ns - entry_ns, "answer": answer_ns - entry_ns}
    return {name: nanoseconds / 1e6 for name, nanoseconds in times.items()}


def _ask(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as connection:
        connection.sendall(REQUEST)
        return connection.recv(SIZE_MAX)
