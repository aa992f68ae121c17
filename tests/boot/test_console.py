"""What programs and the kernel print comes out whole and in order: by the ports first, then by the virtio console."""

from __future__ import annotations

import os
import random
import subprocess
import threading
import time
from pathlib import Path

import pytest

from sarab.machine.block import BlockOption, parse_block
from sarab.machine.options import MachineOptions
from sarab.machine.outcome import Ending
from sarab.machine.qemu import Qemu, find_qemu
from tests.boot import programs
from tests.boot.programs import boot, build_program, processor_seconds, text

pytestmark = pytest.mark.boot

THREADS, LINES = 4, 500
LINES_OF = """
    import os, random, sys, threading, time

    def lines(seed, count):
        draw = random.Random(seed)
        return [f"{seed} {n} {'x' * draw.randrange(300)}" for n in range(count)]
    """


def _lines(seed: int, count: int) -> list[str]:
    draw = random.Random(seed)
    return [f"{seed} {n} {'x' * draw.randrange(300)}" for n in range(count)]


def _disk(folder: Path) -> tuple[BlockOption, ...]:
    """A second device: with one, QEMU's console works while the program goes on, and without, while it waits."""
    path = folder / "disk.img"
    path.write_bytes(bytes(4096))
    return (parse_block(f"data={path}"),)


@pytest.mark.emulated_too
@pytest.mark.parametrize("beside", [False, True])
def test_lines_of_threads_and_the_kernels_report_come_in_order_and_whole(tmp_path: Path, beside: bool) -> None:
    program = (
        LINES_OF
        + f"""
    def say(seed):
        for n, line in enumerate(lines(seed, {LINES})):
            os.write(1 + n % 2, line.encode() + b"\\n")
            if n % 100 == 99:
                time.sleep(0)

    threads = [threading.Thread(target=say, args=(seed,)) for seed in range({THREADS})]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.write(1, b"z" * 100_000 + b"\\n")
    os.abort()
    """
    )
    image = build_program(tmp_path, program)
    outcome = boot(image, blocks=_disk(tmp_path) if beside else ())
    said = text(outcome).splitlines()
    count = THREADS * LINES
    for seed in range(THREADS):
        assert [line for line in said[:count] if line.startswith(f"{seed} ")] == _lines(seed, LINES), seed
    assert said[count] == "z" * 100_000
    assert said[count + 1] == "Fatal Python error: Aborted"
    report = said.index("sarab: ended by signal 6 (SIGABRT)")
    assert report > count + 1
    kept = [line.split()[1] for line in said[report + 1 :]]
    assert kept == ["code", "rip", "rax", "rsi", "r9", "r13", *["stack"] * 4], said[report:]
    assert len(said[-1].split()) == 6
    assert outcome.status == 134


@pytest.mark.emulated_too
@pytest.mark.parametrize("beside", [False, True])
def test_a_panic_comes_after_all_lines_before_it(tmp_path: Path, beside: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    image = build_program(tmp_path, "print('it ran')")
    words = [f"x{n}" for n in range(1000)]
    monkeypatch.setattr("sarab.machine.vector.command_line", lambda _, host: " ".join([*host, *words, "tmp=much"]))
    outcome = boot(image, blocks=_disk(tmp_path) if beside else ())
    said = text(outcome).splitlines()
    assert said[:1000] == [f"sarab: the kernel option '{word}' is not known; it is ignored" for word in words]
    assert said[1000] == "sarab: tmp=much is no size: give a number of bytes, or 64K, 16M, 1G"
    assert len(said) > 1001
    assert all(line.startswith("sarab:   at ffffffff8") for line in said[1001:]), said[1000:]
    assert outcome.status == 255


@pytest.mark.parametrize("beside", [False, True])
def test_a_slow_reader_loses_nothing_and_costs_no_processor_time(tmp_path: Path, beside: bool) -> None:
    """The machine waits for its reader, as it does on a port, and the host sleeps meanwhile."""
    program = "import sys\nfor n in range(20000):\n    print(n, 'x' * 60)"
    image = build_program(tmp_path, program)
    options = MachineOptions(
        memory_mib=64, timeout_s=120, accel=programs.ACCELERATOR, blocks=_disk(tmp_path) if beside else ()
    )
    read, write = os.pipe()
    got: list[bytes] = []
    used: list[float] = []

    def reader(pid: int) -> None:
        time.sleep(1)  # by now all buffers are full
        before = processor_seconds(pid)
        time.sleep(1)
        used.append(processor_seconds(pid) - before)
        while piece := os.read(read, 65536):
            got.append(piece)

    with Qemu(image, options).start(output=write, keep=False) as machine:
        machine.close_input()
        thread = threading.Thread(target=reader, args=(machine.process.pid,))
        thread.start()
        outcome = machine.wait()
    os.close(write)
    thread.join()
    os.close(read)
    assert b"".join(got).decode().splitlines() == [f"{n} {'x' * 60}" for n in range(20000)]
    assert outcome.ending is Ending.EXITED, outcome.sentence
    assert used[0] < 0.1, used


@pytest.mark.parametrize(
    "word",
    [
        "virtio_console=512@0xfeb00c00:22",  # a slot without a device
        "virtio_console=512@0xfeb00000:16",  # another kind of device
        "virtio_console=512@0xd0000000:5",  # nothing at all
        "virtio_console=512@0xfeb00e00:23",  # a console of before virtio 1.0
        "virtio_console=512@0x200000:23",  # RAM
        "virtio_console=much",
    ],
)
def test_a_console_that_is_none_leaves_the_ports(tmp_path_factory: pytest.TempPathFactory, word: str) -> None:
    folder = tmp_path_factory.getbasetemp()
    image = folder / "talker.elf"
    if not image.exists():
        build_program(folder, "for n in range(100):\n    print(n, 'x' * 60)", name="talker")
    command = [find_qemu(), "-machine", "microvm,isa-serial=on", "-accel", "tcg", "-cpu", "max", "-m", "64"]
    command += ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
    command += ["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"]
    command += [
        "-chardev",
        "stdio,id=console,signal=off",
        "-device",
        "isa-debugcon,iobase=0xe9,readback=0xe9,chardev=console",
    ]
    command += ["-device", "virtio-rng-device,bus=virtio-mmio-bus.0", "-chardev", "null,id=none"]
    command += ["-device", "virtio-serial-device,bus=virtio-mmio-bus.7", "-device", "virtconsole,chardev=none"]
    done = subprocess.run([*command, "-kernel", str(image), "-append", word], capture_output=True, timeout=60)
    said = done.stdout.decode().splitlines()
    assert said[-100:] == [f"{n} {'x' * 60}" for n in range(100)]
    assert [line for line in said if "sarab" in line] == (
        [f"sarab: '{word}' describes no console: SIZE@ADDRESS:LINE does; it is ignored"]
        if word.endswith(("much", "200000:23"))
        else []
    )
    assert done.returncode == 1
