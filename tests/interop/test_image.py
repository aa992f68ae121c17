"""A booted image on taps, driven by Linux: ping, nmap, dig, bulk; two cards; what it counts and captures."""

from __future__ import annotations

import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from bench.network.lab import SERVER_ADDRESS, Lab
from sarab.build.builder import BuildOptions, build
from tests.boot.programs import build_program
from tests.interop.programs import BULK_CLIENT, SARAB, TAKE_AND_GIVE, given

pytestmark = [pytest.mark.slow, pytest.mark.boot]

HOST6, OURS6 = "fd77::1", "fd77::2"
OTHER_HOST, OTHER_OURS = "10.78.0.1", "10.78.0.2"
MACHINE = (SARAB, "run", "-q", "--accel", "tcg", "--tap", "tap0", "--ip", f"{SERVER_ADDRESS}/24", "--ip", f"{OURS6}/64")
DNS_EXAMPLE = Path(__file__).parents[2] / "examples" / "dns.py"
BLOCKS = 40


def said(lab: Lab, *words: str) -> str:
    if shutil.which(words[0]) is None:
        pytest.skip(f"{words[0]} is not installed: 'make clients' installs it")
    return lab.run(words).stdout


def ip(lab: Lab, *words: str) -> bool:
    return subprocess.run(("ip", "-n", lab.client, *words), capture_output=True).returncode == 0


def test_a_dns_server_answers_dig_and_its_host_answers_ping_and_nmap(lab: Lab, tmp_path: Path) -> None:
    six = ip(lab, "address", "add", f"{HOST6}/64", "dev", "tap0", "nodad")
    image = build(str(DNS_EXAMPLE), BuildOptions(output=tmp_path / "dns.elf")).image
    lab.serve(lab.client, (*MACHINE, str(image)), 53, tmp_path / "log")
    for at in (SERVER_ADDRESS, *([OURS6] if six else [])):
        assert said(lab, "dig", "+short", f"@{at}", "www.example.org") == "web.example.org.\n192.0.2.80\n"
        assert said(lab, "dig", "+short", "+tcp", f"@{at}", "web.example.org", "AAAA") == "2001:db8::80\n"
        long = said(lab, "dig", f"@{at}", "many.example.org")  # cut off, and asked again by TCP
        assert "ANSWER: 100," in long and "(TCP)" in long
        assert "status: NXDOMAIN" in said(lab, "dig", f"@{at}", "nosuch.example.org")
        assert "status: REFUSED" in said(lab, "dig", f"@{at}", "example.com")
        assert "10 received, 0% packet loss" in said(lab, "ping", "-c", "10", "-i", "0.05", at)
        assert "3 received, 0% packet loss" in said(lab, "ping", "-c", "3", "-i", "0.05", "-s", "9000", at), "fragments"
        scan = said(lab, "nmap", *(["-6"] if ":" in at else []), "-n", "-Pn", "-sS", "-p", "50-59", at)
        assert "53/tcp open" in scan
        assert scan.count(" closed ") == 9
    scan = said(lab, "nmap", "-n", "-Pn", "-sU", "-p", "53-54", SERVER_ADDRESS)
    assert "53/udp open" in scan
    assert "54/udp closed" in scan


PROGRAM = (
    TAKE_AND_GIVE
    + """
    from sarab import network

    async def show(reader, writer):
        with network.capture("/tmp/out.pcap", "eth1"):
            writer.write(b"the first line\\n")
            await reader.readline()
        data = open("/tmp/out.pcap", "rb").read()
        for name in ("eth0_packets_in", "eth1_packets_in", "tcp_flows", "tcp_malformed"):
            writer.write(f"{{name}} {{network.counters()[name]}}\\n".encode())
        writer.write(f"captured {{b'the first line' in data and b'the answer' in data}}\\n".encode())
        writer.close()

    async def main():
        servers = [await asyncio.start_server(f, None, 9000 + n) for n, f in enumerate((take, give, show))]
        print("ready", flush=True)
        await asyncio.Event().wait()

    asyncio.run(main())
    """
)

SHOWN = """
    import socket, sys
    peer = socket.create_connection((sys.argv[1], 9002), 30)
    print(peer.recv(100))
    peer.sendall(b"the answer\\n")
    print(peer.makefile().read())
    """


def test_two_cards_carry_bulk_each_and_the_program_counts_and_captures(lab: Lab, tmp_path: Path) -> None:
    lab.tap("tap1", OTHER_HOST)
    image = build_program(tmp_path, PROGRAM.format(blocks=BLOCKS))
    pcap = tmp_path / "out.pcap"
    cards = ("--tap", "tap1", "--ip", f"eth1={OTHER_OURS}/24", "--mac", "eth1=02:00:00:00:00:78", "--pcap", str(pcap))
    lab.serve(lab.client, (*MACHINE, *cards, str(image)), 9000, tmp_path / "log")
    for address in (SERVER_ADDRESS, OTHER_OURS):
        whole, digest = lab.run((sys.executable, "-c", textwrap.dedent(BULK_CLIENT), address, "30")).stdout.split()
        assert (whole, digest) == ("True", given(BLOCKS))
    shown = lab.run((sys.executable, "-c", textwrap.dedent(SHOWN), OTHER_OURS)).stdout
    counts = dict(line.split() for line in shown.splitlines()[1:] if line)
    assert counts["captured"] == "True"
    assert int(counts["eth0_packets_in"]) > 100
    assert int(counts["eth1_packets_in"]) > 100
    assert counts["tcp_malformed"] == "0"
    neighbours = subprocess.run(
        ("ip", "-n", lab.client, "neigh", "show", "dev", "tap1"), capture_output=True, text=True
    )
    assert "02:00:00:00:00:78" in neighbours.stdout
    assert pcap.read_bytes()[:4] == (tmp_path / "out-eth1.pcap").read_bytes()[:4]
    assert b"the answer" in (tmp_path / "out-eth1.pcap").read_bytes()
