"""`sarab run` of images: guests of a few instructions, so that what is tested is the command and not a kernel."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import termios
import time
from pathlib import Path

import pytest

from tests import guest
from tests.cli.command import SARAB, sarab, start

pytestmark = pytest.mark.boot

TCG = ("--accel", "tcg")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return tmp_path / "guest.elf"


def test_status_and_output_are_the_programs(image: Path) -> None:
    guest.write(image, guest.say(b"a\r\nb\x00\xff"), guest.leave(42))
    assert sarab("run", *TCG, image) == (42, b"a\r\nb\x00\xff", "")


def test_arguments_and_options_reach_the_command_line(image: Path) -> None:
    guest.write(image, guest.say_command_line(), guest.leave(0))
    given = ("--trace", "--marks", "--tmp", "1M", "--env", "A=b c")
    status, output, _ = sarab("run", *TCG, *given, image, "--", "--name", "x y", "--")
    assert (status, output) == (
        0,
        b'input=escaped virtio_console=512@0xfeb00e00:23 trace marks tmp=1M "A=b c" -- --name "x y" --',
    )


def test_input_is_the_programs(image: Path) -> None:
    guest.write(image, guest.echo_until(0x04), guest.leave(0))
    assert sarab("run", *TCG, image, stdin=b"typed\n") == (0, b"typed\n\x10\x04", "")


def test_input_that_is_closed_has_ended(image: Path) -> None:
    guest.write(image, guest.echo_until(0x04), guest.leave(0))
    done = subprocess.run(["sh", "-c", f"exec {SARAB} run --accel tcg {image} <&-"], capture_output=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, b"\x10\x04")


def test_timeout_is_124_and_a_sentence(image: Path) -> None:
    guest.write(image, guest.say(b"x"), guest.SPIN)
    status, output, error = sarab("run", *TCG, "--timeout", "0.5", image)
    assert (status, output) == (124, b"x")
    assert re.fullmatch(r"sarab: the machine was killed after 0\.\d s, the time it was given\.\n", error)


def test_death_is_125_and_a_sentence(image: Path) -> None:
    guest.write(image, guest.TRIPLE_FAULT)
    status, _, error = sarab("run", *TCG, image)
    assert status == 125
    assert re.fullmatch(r"sarab: the machine died and gave no exit status: it reset .*\.\n", error)


def test_auto_says_what_it_chose(image: Path) -> None:
    guest.write(image, guest.leave(0))
    status, _, error = sarab("run", image)
    assert status == 0
    assert re.fullmatch(r"sarab: (emulated: |KVM ).*\.\n", error)
    assert sarab("run", "--quiet", image) == (0, b"", "")


def test_marks_are_a_table_on_standard_error(image: Path) -> None:
    guest.write(image, guest.control("mark kernel 1500000"), guest.leave(0))
    _, output, error = sarab("run", *TCG, "--marks", image)
    assert output == b""
    assert re.search(r"^kernel +1\.5 ms +\d+\.\d ms$", error, re.MULTILINE)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_presses_the_power_button(image: Path, number: int) -> None:
    if signal.getsignal(number) is signal.SIG_IGN:
        pytest.skip("these tests run where the signal is ignored (nohup), and so does sarab then")
    guest.write(image, guest.say(b"ready"), guest.wait_for_power_button(), guest.leave(5))
    process = start("run", *TCG, "--timeout", "60", image)
    assert process.stdout is not None
    assert process.stdout.read(5) == b"ready"
    process.send_signal(number)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 5
    assert b"the machine was killed" not in error


@pytest.mark.slow
def test_second_interrupt_kills_a_machine_that_does_not_listen(image: Path) -> None:
    guest.write(image, guest.say(b"ready"), guest.SPIN)
    process = start("run", *TCG, "--timeout", "60", image)
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.read(5) == b"ready"
    process.send_signal(signal.SIGINT)
    warned = process.stderr.readline()
    assert warned == b"sarab: the program was asked to stop and still runs; Ctrl-C again kills its machine.\n"
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (130, b"sarab: the machine was killed.\n")


def test_killed_sarab_leaves_no_machine_behind(image: Path) -> None:
    guest.write(image, guest.say(b"ready"), guest.SPIN)
    process = start("run", *TCG, "--timeout", "60", image)
    assert process.stdout is not None
    assert process.stdout.read(5) == b"ready"
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(children) == 1
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{children[0]}/exe").exists():
        assert time.monotonic() < deadline, "QEMU has outlived 'sarab run'"
        time.sleep(0.01)


def test_reader_that_has_gone_ends_it(image: Path) -> None:
    guest.write(image, guest.forever(guest.say(b"y\n" * 100)))
    process = start("run", *TCG, "--timeout", "60", image)
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.read(2) == b"y\n"
    process.stdout.close()
    assert process.wait(timeout=60) == 141
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.stdin is not None
    process.stdin.close()


def test_terminal_is_left_as_it_was(image: Path) -> None:
    """On a terminal: lines arrive when they are whole, ^D ends the input, and the terminal's mode is never touched."""
    guest.write(image, guest.say(b"ready\n"), guest.echo_until(0x04), guest.leave(6))
    ours, theirs = pty.openpty()
    try:
        before = termios.tcgetattr(theirs)
        process = start("run", *TCG, "--timeout", "60", image, stdin=theirs, stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.read(6) == b"ready\n"
        assert termios.tcgetattr(theirs) == before
        os.write(ours, b"line\n\x04")
        output, error = process.communicate(timeout=60)
        assert (process.returncode, output, error) == (6, b"line\n\x10\x04", b"")
        assert termios.tcgetattr(theirs) == before
    finally:
        os.close(ours)
        os.close(theirs)


def test_debugger_line_can_be_typed(image: Path) -> None:
    guest.write(image, guest.SPIN)
    status, _, error = sarab("run", *TCG, "--timeout", "0.5", image, "--gdb", "45671")
    assert status == 124
    assert re.search(r"gdb /\S+/kernel\.elf -ex 'target remote localhost:45671'", error)


def test_build_option_for_an_image_is_refused(image: Path) -> None:
    guest.write(image, guest.leave(0))
    status, _, error = sarab("run", image, "--include", "json")
    assert status == 2
    assert f"--include belongs to 'sarab build': {image} is an image already" in error


def test_missing_qemu_is_one_sentence_with_the_apt_line(image: Path, tmp_path: Path) -> None:
    guest.write(image, guest.leave(0))
    status, _, error = sarab("run", "--quiet", *TCG, image, PATH=str(tmp_path))
    assert status == 1
    assert "is not installed: 'sudo apt-get install qemu-system-x86' installs it" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"\x7fELF" + bytes(100), "for another processor"), (b"\x7fELF\x02\x01\x01", "is no ELF file")],
)
def test_damaged_image_is_one_sentence(image: Path, content: bytes, sentence: str) -> None:
    image.write_bytes(content)
    status, _, error = sarab("run", *TCG, image)
    assert status == 1
    assert sentence in error
    assert error.count("\n") == 1
