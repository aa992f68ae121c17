"""Paths with narrow places, peers that fall silent, and windows that close: sarab's stack against Linux's."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from bench.network.lab import CLIENT_ADDRESS, SERVER_ADDRESS, Lab
from tests.interop.programs import ON_TAP, write
from tests.interop.test_bad_link import on_a_bad_cable

pytestmark = pytest.mark.slow

FAR, FAR_ROUTER = "10.78.0.2", "10.78.0.1"
FAR6, FAR_ROUTER6, OURS6, ROUTER6 = "fd78::2", "fd78::1", "fd77::2", "fd77::1"
NARROW = 1300

SEND = """
    import asyncio, hashlib
    from sarab import network

    async def main():
        data = hashlib.sha256(b"seed").digest() * 40_000
        for address in {addresses}:
            reader, writer = await asyncio.open_connection(address, 9000)
            writer.write(data)
            writer.write_eof()
            print(await reader.read() == hashlib.sha256(data).hexdigest().encode(), flush=True)
            writer.close()
        found = network.counters()
        print(found["icmp_errors_in"] > 0, found["tcp_black_holes"], found["tcp_timeouts"], flush=True)

    asyncio.run(main())
    """

TAKE = """
    import hashlib, socket
    with socket.create_server(("::", 9000), family=socket.AF_INET6, dualstack_ipv6=True) as server:
        print("ready", flush=True)
        while True:
            peer, _ = server.accept()
            with peer:
                digest = hashlib.sha256()
                while data := peer.recv(1 << 16):
                    digest.update(data)
                peer.sendall(digest.hexdigest().encode())
    """


def within(namespace: str, *words: str) -> list[str]:
    return ["ip", "netns", "exec", namespace, *words]


def taking(namespace: str) -> subprocess.Popen[str]:
    words = within(namespace, sys.executable, "-c", textwrap.dedent(TAKE))
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def ip(namespace: str, *words: str) -> None:
    subprocess.run(("ip", "-n", namespace, *words), check=True, capture_output=True)


@pytest.fixture
def routed(lab: Lab) -> Lab:
    """Behind tap0 a Linux that routes, and behind that over a narrow link FAR: it says when a packet is too big."""
    try:
        ip(lab.client, "link", "add", "narrow", "type", "veth", "peer", "name", "eth0", "netns", lab.server)
        ip(lab.client, "address", "add", f"{FAR_ROUTER}/24", "dev", "narrow")
        ip(lab.client, "address", "add", f"{FAR_ROUTER6}/64", "dev", "narrow", "nodad")
        ip(lab.client, "address", "add", f"{ROUTER6}/64", "dev", "tap0", "nodad")
        ip(lab.client, "link", "set", "narrow", "mtu", str(NARROW), "up")
        ip(lab.server, "address", "add", f"{FAR}/24", "dev", "eth0")
        ip(lab.server, "address", "add", f"{FAR6}/64", "dev", "eth0", "nodad")
        ip(lab.server, "link", "set", "eth0", "up")
        ip(lab.server, "route", "add", "default", "via", FAR_ROUTER)
        ip(lab.server, "-6", "route", "add", "default", "via", FAR_ROUTER6)
        for name in ("net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"):
            subprocess.run(within(lab.client, "sysctl", "-qw", name), check=True, capture_output=True)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no router can be made here: {error.stderr.decode().strip()}")
    return lab


def test_a_router_that_says_too_big_is_believed_in_both_families(routed: Lab, tmp_path: Path) -> None:
    program = write(tmp_path, SEND.format(addresses=(FAR, FAR6)))
    addresses = (
        "--ip",
        f"{SERVER_ADDRESS}/24",
        "--ip",
        f"{OURS6}/64",
        "--gateway",
        CLIENT_ADDRESS,
        "--gateway",
        ROUTER6,
    )
    peer = taking(routed.server)
    try:
        said = routed.run((*ON_TAP, *addresses, program)).stdout.split()
    finally:
        peer.kill()
        peer.communicate()
    assert said[:3] == ["True", "True", "True"]
    assert said[3:] == ["0", "0"], "the router's word was enough: nobody waited for a time-out"


def test_a_path_that_swallows_long_packets_is_found_out(lab: Lab, tmp_path: Path) -> None:
    peer = taking(lab.client)
    try:
        command = on_a_bad_cable(tmp_path, "frame_max=1300", SEND.format(addresses=(CLIENT_ADDRESS,)))
        said = lab.run(command).stdout.split()
    finally:
        peer.kill()
        peer.communicate()
    assert said[:3] == ["True", "False", "1"]


ALIVE = """
    import asyncio, socket, sys

    async def serve(reader, writer):
        made = writer.get_extra_info("socket")
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, seconds in ((socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1), (socket.TCP_KEEPCNT, 3)):
            made.setsockopt(socket.IPPROTO_TCP, option, seconds)
        try:
            print("read", await reader.read(), flush=True)
        except OSError as error:
            print(type(error).__name__, flush=True)
        writer.close()

    async def main():
        async with await asyncio.start_server(serve, None, 9000):
            await asyncio.Event().wait()

    asyncio.run(main())
    """
SILENT = """
    import socket, sys, time
    peer = socket.create_connection((sys.argv[1], 9000))
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT):
        peer.setsockopt(socket.IPPROTO_TCP, option, 1)
    print("connected", flush=True)
    time.sleep(4)
    peer.setblocking(False)
    try:
        peer.recv(1)
    except BlockingIOError:
        print("alive", flush=True)
    time.sleep(60)
    """


def test_keepalives_of_both_sides_keep_a_silent_connection_and_end_a_dead_one(lab: Lab, tmp_path: Path) -> None:
    command = (*ON_TAP, "--ip", f"{SERVER_ADDRESS}/24", write(tmp_path, ALIVE))
    lab.serve(lab.client, command, 9000, tmp_path / "log")
    words = within(lab.client, sys.executable, "-c", textwrap.dedent(SILENT), SERVER_ADDRESS)
    peer = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        assert peer.stdout is not None
        assert peer.stdout.readline() == "connected\n"
        assert peer.stdout.readline() == "alive\n", "our stack answers Linux's probes, and Linux ours"
        log = tmp_path / "log"
        assert "TimeoutError" not in log.read_text()
        ip(lab.client, "address", "flush", "dev", "tap0")  # Linux hears nothing for that address any more
        lab.run((sys.executable, "-c", WAIT, str(log)))
        assert "TimeoutError" in log.read_text()
    finally:
        peer.kill()
        peer.communicate()


WAIT = """
import sys, time
end = time.monotonic() + 30
while "TimeoutError" not in open(sys.argv[1]).read() and time.monotonic() < end:
    time.sleep(0.1)
"""
