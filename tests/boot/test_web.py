"""The network examples in booted images, driven by clients nobody here wrote."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from sarab.build.builder import BuildOptions, build
from sarab.machine.options import MachineType
from tests.boot.programs import processor_seconds
from tests.boot.served import client, pump, served

pytestmark = [pytest.mark.boot, pytest.mark.slow]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("images")
    names = ("web", "echo", "dns")
    return {name: build(f"examples/{name}.py", BuildOptions(output=folder / f"{name}.elf")).image for name in names}


def test_curl_and_wrk_get_pages(images: dict[str, Path], tmp_path: Path) -> None:
    pcap = tmp_path / "web.pcap"
    with served(images["web"], tcp=[80], ready=b"serving", pcap=pcap) as (machine, ports):
        url = f"http://127.0.0.1:{ports[80]}"
        assert client("curl", "-s", "-i", url).startswith("HTTP/1.1 200 OK\n")
        assert client("curl", "-s", f"{url}/nothing") == "There is nothing at /nothing.\n"
        assert "405" in client("curl", "-s", "-i", "-X", "DELETE", url)
        measured = client("wrk", "-t1", "-c32", "-d3", url)
        assert "Non-2xx" not in measured
        assert "Socket errors" not in measured
        machine.power_down()
        outcome = machine.wait()
        assert outcome.status == 143, outcome.console
    assert pcap.read_bytes()[:4] == b"\xd4\xc3\xb2\xa1"
    assert b"GET / HTTP/1.1" in pcap.read_bytes()


@pytest.mark.emulated_too
def test_dig_asks_over_udp_and_tcp(images: dict[str, Path]) -> None:
    with served(images["dns"], tcp=[53], udp=[53], ready=b"answering") as (_, ports):
        at = ("@127.0.0.1", "-p", str(ports[53]))
        assert client("dig", *at, "+short", "www.example.org") == "web.example.org.\n192.0.2.80\n"
        assert "ANSWER: 100," in client("dig", *at, "+tcp", "many.example.org")


IDLE_SECONDS = 5


def test_an_idle_server_costs_its_host_nothing(images: dict[str, Path]) -> None:
    """With a connection open, and the services of a network running: timers, not polling."""
    with (
        served(images["echo"], tcp=[7], ready=b"echoing") as (machine, ports),
        socket.create_connection(("127.0.0.1", ports[7]), 60) as peer,
    ):
        peer.sendall(b"hello")
        assert peer.recv(100) == b"hello"
        pump(machine, 2)
        used = processor_seconds(machine.process.pid)
        pump(machine, IDLE_SECONDS)
        used = processor_seconds(machine.process.pid) - used
    assert used < 0.02 * IDLE_SECONDS, f"an idle server used {used:.2f} s of the processor in {IDLE_SECONDS} s"


def test_megabytes_come_back_as_they_went(images: dict[str, Path]) -> None:
    data = bytes(range(256)) * 8192
    with (
        served(images["echo"], tcp=[7], udp=[7], ready=b"echoing") as (_, ports),
        socket.create_connection(("127.0.0.1", ports[7]), 60) as peer,
    ):
        got = bytearray()
        at = 0
        peer.setblocking(False)
        peer.settimeout(60)
        while len(got) < len(data):
            if at < len(data):
                at += peer.send(data[at : at + 65536])
            got += peer.recv(1 << 20)
        assert bytes(got) == data
        peer.shutdown(socket.SHUT_WR)
        assert peer.recv(100) == b""


@pytest.mark.emulated_too
def test_datagrams_come_back(images: dict[str, Path]) -> None:
    with (
        served(images["echo"], udp=[7], ready=b"echoing") as (_, ports),
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer,
    ):
        peer.settimeout(30)
        for size in (0, 1, 1000, 1472, 9000):
            peer.sendto(bytes(size), ("127.0.0.1", ports[7]))
            assert peer.recv(65536) == bytes(size)


@pytest.mark.parametrize("kind", ["q35", "pc"])
def test_a_card_on_pci_serves_too(images: dict[str, Path], kind: MachineType) -> None:
    with served(images["web"], tcp=[80], ready=b"serving", machine=kind) as (_, ports):
        assert client("curl", "-s", f"http://127.0.0.1:{ports[80]}").startswith("Hello from a Python program")
