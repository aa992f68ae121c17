"""The wired examples, built, booted and used: keys, the network, a disk, and two cards."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from sarab.build.builder import BuildOptions, build
from sarab.machine.block import BlockOption
from sarab.machine.network import Forward, NetworkOptions
from sarab.machine.options import MachineOptions
from sarab.machine.qemu import Qemu
from tests.boot import programs
from tests.boot.programs import boot, text
from tests.boot.served import client, free_port, served
from tests.namespace import run_inside

pytestmark = [pytest.mark.boot, pytest.mark.slow]


def image(name: str, folder: Path) -> Path:
    """Build one of the examples."""
    return build(f"examples/wired/{name}.py", BuildOptions(output=folder / f"{name}.elf", types=False)).image


def test_greet_reads_its_keys_at_boot(tmp_path: Path) -> None:
    built = image("greet", tmp_path)
    outcome = boot(built, arguments=("--name", "Ada", "--language", "ar", "--times", "2"))
    assert (outcome.status, text(outcome)) == (0, "Marhaban, Ada!\n" * 2)
    outcome = boot(built, arguments=("--language", "la"))
    assert outcome.status == 2
    assert "the key language wants one of en, fr, ar, and 'la' is not" in text(outcome)


def test_pages_serves_curl_and_logs_it(tmp_path: Path) -> None:
    with served(image("pages", tmp_path), tcp=[80], ready=b"serving port=80") as (machine, ports):
        assert client("curl", "-s", f"http://127.0.0.1:{ports[80]}/") == "Hello from a unikernel.\n"
        assert "404 Not Found" in client("curl", "-s", "-i", f"http://127.0.0.1:{ports[80]}/x")
        machine.power_down()
        outcome = machine.wait()
    assert outcome.status == 143
    assert "INFO    answered path=/ peer=" in text(outcome)


def test_store_has_its_values_in_the_next_machine(tmp_path: Path) -> None:
    built, disk = image("store", tmp_path), tmp_path / "data.img"
    disk.write_bytes(bytes(64 * 512))

    def ask(question: bytes) -> bytes:
        port = free_port()
        network = NetworkOptions(forwards=(Forward("tcp", "127.0.0.1", port, 6000),))
        options = MachineOptions(
            accel=programs.ACCELERATOR, timeout_s=120, network=network, blocks=(BlockOption("data", disk),)
        )
        with Qemu(built, options).start() as machine:
            machine.wait_for(b"storing", 60)
            with socket.create_connection(("127.0.0.1", port), timeout=30) as peer:
                peer.sendall(question)
                peer.shutdown(socket.SHUT_WR)
                answer = b""
                while piece := peer.recv(4096):
                    answer += piece
            machine.power_down()
            assert machine.wait().status == 143
            return answer

    assert ask(b"set colour blue\nget colour\n") == b"ok\nblue\n"
    assert ask(b"get colour\nget size\n") == b"blue\n(nothing)\n"


BRIDGE = """
import socket, subprocess, sys, time
from pathlib import Path
from sarab.machine.network import NetworkOptions
from sarab.machine.options import MachineOptions
from sarab.machine.qemu import Qemu

cards = []
for name in ("left", "right"):
    subprocess.run(["ip", "tuntap", "add", "dev", name, "mode", "tap"], check=True)
    subprocess.run(["sysctl", "-qw", f"net.ipv6.conf.{name}.disable_ipv6=1"], check=True)
    subprocess.run(["ip", "link", "set", name, "up"], check=True)
    card = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0xB588)
    card.bind((name, 0x88B5))
    card.settimeout(0.2)
    cards.append(card)
options = MachineOptions(accel=sys.argv[2], timeout_s=60, network=NetworkOptions(taps=("left", "right")))


def cross(sender, receiver, frame):
    for _ in range(200):
        sender.send(frame)
        machine.step(time.monotonic_ns())
        try:
            return receiver.recv(2000) == frame
        except TimeoutError:
            pass
    return False


here, there = b"\\x02\\0\\0\\0\\0\\x51", b"\\x02\\0\\0\\0\\0\\x52"
with Qemu(Path(sys.argv[1]), options).start() as machine:
    print(cross(*cards, b"\\xff" * 6 + here + b"\\x88\\xb5" + b"to all".ljust(46)))
    print(cross(cards[1], cards[0], here + there + b"\\x88\\xb5" + b"to one".ljust(46)))
    machine.kill()
"""


def test_bridge_carries_frames_between_two_cards(tmp_path: Path) -> None:
    assert run_inside(BRIDGE, str(image("bridge", tmp_path)), programs.ACCELERATOR) == "True\nTrue\n"
