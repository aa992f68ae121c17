"""The machine room against QEMU, with guests of a few instructions."""

from __future__ import annotations

import os
import select
import socket
import time
from pathlib import Path

import pytest

from sarab.machine.errors import KvmUnusable, NotBootable, QemuFailed, QemuMissing
from sarab.machine.options import MachineOptions
from sarab.machine.outcome import Ending, Outcome
from sarab.machine.qemu import Qemu
from tests import guest

pytestmark = pytest.mark.boot


def boot(path: Path, stdin: bytes | None = b"", **options: object) -> Outcome:
    settings = {"accel": "tcg", "memory_mib": 16, "timeout_s": 60.0, **options}
    return Qemu(path, MachineOptions(**settings)).run(stdin)  # type: ignore[arg-type]


@pytest.mark.parametrize("machine", ["microvm", "q35", "pc"])
def test_each_machine_gives_console_and_status(tmp_path: Path, machine: str) -> None:
    image = guest.write(tmp_path / "guest.elf", guest.say(b"hello\r\n\x00\xff\n"), guest.leave(7))
    outcome = boot(image, machine=machine)
    assert (outcome.ending, outcome.status) == (Ending.EXITED, 7)
    assert outcome.console == b"hello\r\n\x00\xff\n"
    assert outcome.sentence == ""
    assert outcome.accelerator == "tcg"


@pytest.mark.parametrize("status", [0, 1, 255])
def test_exit_status_is_the_programs(tmp_path: Path, status: int) -> None:
    assert boot(guest.write(tmp_path / "guest.elf", guest.leave(status))).status == status


def test_marks_have_both_clocks_in_order(tmp_path: Path) -> None:
    code = guest.control("mark kernel 12"), guest.control("mark user 3456"), guest.leave(0)
    outcome = boot(guest.write(tmp_path / "guest.elf", *code))
    assert [(mark.name, mark.guest_ns) for mark in outcome.marks] == [("kernel", 12), ("user", 3456)]
    assert 0 < outcome.marks[0].host_ns <= outcome.marks[1].host_ns <= outcome.elapsed_ns


def test_command_line_arrives_as_it_was_said(tmp_path: Path) -> None:
    image = guest.write(tmp_path / "guest.elf", guest.say_command_line(), guest.leave(0))
    outcome = boot(image, arguments=("two words", 'a"b', "c\\d", "e,f=g", ""), environment=(("NAME", "ü x"),), tmp="1M")
    console = "virtio_console=512@0xfeb00e00:23"
    said = rf'''input=escaped {console} tmp=1M "NAME=ü x" -- "two words" "a\"b" "c\\d" e,f=g ""'''
    assert outcome.console.decode() == said


def test_input_is_escaped_and_ends(tmp_path: Path) -> None:
    image = guest.write(tmp_path / "guest.elf", guest.echo_until(0x04), guest.leave(0))
    typed = b"a" * 5000 + b"\x00\xff\x10\r\n"
    assert boot(image, typed).console == typed.replace(b"\x10", b"\x10\x10") + b"\x10\x04"


def test_machine_that_dies_says_so(tmp_path: Path) -> None:
    image = guest.write(tmp_path / "guest.elf", guest.echo_until(ord("x")), guest.TRIPLE_FAULT)
    with Qemu(image, MachineOptions(accel="tcg", timeout_s=60)).start() as machine:
        machine.monitor("query-status")
        machine.write(b"x")
        outcome = machine.wait()
    assert (outcome.ending, outcome.status, outcome.console) == (Ending.DIED, 125, b"x")
    assert outcome.sentence == (
        "the machine died and gave no exit status: it reset itself, as a processor does after a triple fault"
    )


def test_machine_that_dies_before_the_monitor_is_ready_says_so(tmp_path: Path) -> None:
    outcome = boot(guest.write(tmp_path / "guest.elf", guest.TRIPLE_FAULT))
    assert (outcome.ending, outcome.status) == (Ending.DIED, 125)
    assert outcome.died_of in ("guest-early", "guest-reset")
    assert outcome.sentence.startswith("the machine died and gave no exit status: it reset ")


def test_timeout_kills_the_machine(tmp_path: Path) -> None:
    started = time.monotonic()
    outcome = boot(guest.write(tmp_path / "guest.elf", guest.say(b"x"), guest.SPIN), timeout_s=0.5)
    assert (outcome.ending, outcome.status, outcome.console) == (Ending.TIMED_OUT, 124, b"x")
    assert time.monotonic() - started < 5
    assert outcome.sentence == f"the machine was killed after {outcome.elapsed_ns / 1e9:.1f} s, the time it was given"


def test_qemu_that_stays_after_the_exit_line_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sarab.machine.running.LAST_WORDS_SECONDS", 0.3)
    outcome = boot(guest.write(tmp_path / "guest.elf", guest.control("exit 9"), guest.SPIN))
    assert (outcome.ending, outcome.status) == (Ending.EXITED, 9)


def test_power_button_reaches_the_guest(tmp_path: Path) -> None:
    image = guest.write(tmp_path / "guest.elf", guest.say(b"ready"), guest.wait_for_power_button(), guest.leave(3))
    with Qemu(image, MachineOptions(accel="tcg", timeout_s=60)).start() as machine:
        machine.wait_for(b"ready", timeout_s=30)
        machine.power_down()
        assert machine.wait().status == 3


def test_monitor_answers_and_refuses(tmp_path: Path) -> None:
    with Qemu(
        guest.write(tmp_path / "guest.elf", guest.SPIN), MachineOptions(accel="tcg", timeout_s=60)
    ).start() as machine:
        assert machine.monitor("query-status")["running"] is True
        with pytest.raises(QemuFailed, match="refused a command"):
            machine.monitor("no-such-command")
        machine.monitor("stop")
        assert machine.monitor("query-status")["status"] == "paused"
        machine.kill()
        assert machine.wait().status == 137


def test_machine_that_qemu_stopped_by_itself_is_dead(tmp_path: Path) -> None:
    """As QEMU does after an internal error of KVM; the event is made by hand."""
    with Qemu(
        guest.write(tmp_path / "guest.elf", guest.SPIN), MachineOptions(accel="tcg", timeout_s=60)
    ).start() as machine:
        machine.monitor("query-status")
        machine._send("stop")
        assert machine.wait().ending is Ending.DIED


def test_wait_for_text_that_never_comes(tmp_path: Path) -> None:
    image = guest.write(tmp_path / "guest.elf", guest.say(b"other"), guest.leave(0))
    with Qemu(image, MachineOptions(accel="tcg", timeout_s=60)).start() as machine:
        with pytest.raises(TimeoutError, match="has ended"):
            machine.wait_for(b"this", timeout_s=30)


def test_leaving_the_block_kills_the_machine(tmp_path: Path) -> None:
    with Qemu(guest.write(tmp_path / "guest.elf", guest.SPIN), MachineOptions(accel="tcg")).start() as machine:
        process = machine.process
        assert process.poll() is None
    assert process.returncode is not None


def test_output_goes_to_a_descriptor_byte_by_byte(tmp_path: Path) -> None:
    text = bytes(range(256)) * 40
    image = guest.write(tmp_path / "guest.elf", guest.say(text), guest.leave(0))
    with (tmp_path / "output").open("w+b") as file:
        with Qemu(image, MachineOptions(accel="tcg", timeout_s=60)).start(output=file.fileno(), keep=False) as machine:
            outcome = machine.wait()
        file.seek(0)
        assert file.read() == text
    assert outcome.console == b""


def test_reader_that_has_gone_ends_the_machine(tmp_path: Path) -> None:
    image = guest.write(tmp_path / "guest.elf", guest.forever(guest.say(b"y\n" * 512)))
    reading, writing = os.pipe()
    try:
        with Qemu(image, MachineOptions(accel="tcg", timeout_s=60)).start(output=writing, keep=False) as machine:
            while not select.select([reading], [], [], 0)[0]:
                machine.step(time.monotonic_ns() + 10**8)
            os.close(reading)
            reading = -1
            with pytest.raises(BrokenPipeError):
                machine.wait()
        assert machine.process.returncode is not None
    finally:
        os.close(writing)
        if reading >= 0:
            os.close(reading)


def test_reader_that_does_not_read_does_not_stop_the_clock(tmp_path: Path) -> None:
    image = guest.write(tmp_path / "guest.elf", guest.forever(guest.say(b"y\n" * 512)))
    reading, writing = os.pipe()
    try:
        options = MachineOptions(accel="tcg", timeout_s=1)
        with Qemu(image, options).start(output=writing, keep=False) as machine:
            machine.step(time.monotonic_ns() + 10**9)
            machine.kill()
            assert machine.wait().ending is Ending.KILLED
    finally:
        os.close(reading)
        os.close(writing)


def test_image_that_does_not_fit_is_refused_before_it_starts(tmp_path: Path) -> None:
    image = guest.write(tmp_path / "guest.elf", guest.leave(0), memory_size=40 << 20)
    with pytest.raises(NotBootable, match=r"does not fit into 16 MiB .* more than 42 MiB"):
        boot(image)


def test_missing_qemu_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(QemuMissing, match="sudo apt-get install qemu-system-x86"):
        boot(guest.write(tmp_path / "guest.elf", guest.leave(0)))


def test_qemu_that_refuses_is_quoted(tmp_path: Path) -> None:
    image = guest.write(tmp_path / "guest.elf", guest.leave(0))
    stubborn = tmp_path / "qemu"
    stubborn.write_text("#!/bin/sh\necho 'qemu-system-x86_64: no such thing' >&2\nexit 1\n")
    stubborn.chmod(0o755)
    with pytest.raises(QemuFailed, match=r"^QEMU could not start the machine: no such thing$"):
        boot(image, qemu=str(stubborn))


def test_kvm_by_name_without_kvm_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sarab.machine.kvm.DEVICE", tmp_path / "kvm")
    with pytest.raises(KvmUnusable, match="there is no"):
        boot(guest.write(tmp_path / "guest.elf", guest.leave(0)), accel="kvm")


def test_debugger_finds_the_machine_before_its_first_instruction(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    image = guest.write(tmp_path / "guest.elf", guest.leave(4))
    with Qemu(image, MachineOptions(accel="tcg", timeout_s=60, gdb_port=port)).start() as machine:
        assert machine.monitor("query-status")["running"] is False
        with socket.create_connection(("127.0.0.1", port), timeout=10) as debugger:
            debugger.sendall(b"+$?#3f")
            said = b""
            while len(said) < 3 and (piece := debugger.recv(100)):
                said += piece
            assert said.startswith(b"+$T")
            debugger.sendall(b"+$c#63")
            assert machine.wait().status == 4
