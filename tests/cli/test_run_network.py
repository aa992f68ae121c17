"""`sarab run`'s network options: every mistake ends in one sentence, before anything is built."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tests.cli.command import sarab

WEB = "examples/web.py"


def refusal(*words: str) -> str:
    status, output, said = sarab("run", *words, WEB)
    assert status == 2, said
    assert output == b""
    return said


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["-p", "80x"], "'80x' forwards no port: give HOST-PORT:PORT (8080:80, 0.0.0.0:8080:80, 5353:53/udp)."),
        (["-p", "8080:70000"], "'8080:70000' forwards no port: 70000 is none (1 to 65535)."),
        (["-p", "1.2.3.4.5:8080:80"], "'1.2.3.4.5:8080:80' forwards no port: '1.2.3.4.5' is no IPv4 address."),
        (["-p", "9080:80", "-p", "9080:81"], "port 9080/tcp of this host is forwarded twice."),
        (["-p", "9080:80", "--tap", "tap0", "--ip", "10.0.0.2/24"], "-p forwards ports of the user-mode network;"),
        (["--tap", "nosuch0", "--ip", "10.0.0.2/24"], "there is no network device 'nosuch0': 'ip tuntap add nosuch0"),
        (["--tap", "lo", "--ip", "10.0.0.2/24"], "'lo' is no tap device:"),
        (["--ip", "10.0.0.2"], "--ip: '10.0.0.2' is no address with a prefix length, such as 10.0.0.2/24."),
        (["--ip", "10.0.0.0/24"], "names a network or its broadcast address, and no host in it."),
        (["--ip", "10.0.0.2/24", "--gateway", "10.0.1.1"], "the gateway 10.0.1.1 is in none of the networks of --ip"),
        (["--ip", "10.0.0.2/24", "--gateway", "router"], "--gateway: 'router' is no IPv4 address."),
        (["--ip", "10.0.0.2/24"], "--ip needs --tap: the user-mode network has its own"),
        (["--gateway", "10.0.2.9"], "--gateway needs --tap: the user-mode network has its own addresses"),
        (["--tap", "tap0", "--ip", "10.0.0.2/24", "--net", "user"], "--net user and --tap are two networks"),
        (["--dns", "8.8.8"], "--dns: '8.8.8' is no IPv4 address."),
        (["--mac", "01:00:00:00:00:01"], "--mac: 01:00:00:00:00:01 is a multicast address"),
        (["--mac", "zz"], "--mac: 'zz' is no Ethernet address"),
        (["--hostname", "web_1"], "--hostname: 'web_1' is no name of a host"),
        (["--tap", "tap0", "--tap", "tap0"], "--tap tap0 is given twice: each card needs a tap device of its own."),
        (["--tap", "tap0", "--ip", "eth1=10.0.0.2/24"], "there is no such card; eth0 is the only card"),
        (["--tap", "a", "--tap", "b", "--dns", "eth2=10.0.0.2"], "the cards are eth0 to eth1 (one for each --tap)."),
        ([f"--tap=tap{n}" for n in range(9)], "a machine has 8 network cards at most, and --tap is given 9 times."),
        (["--tap", "tap0", "--mac", "02::"], "--mac: '02::' is no Ethernet address"),
        (["--mac", "02:00:00:00:00:01", "--mac", "02:00:00:00:00:02"], "--mac gives eth0 two addresses"),
        (["--tap=a", "--tap=b", "--mac=02:00:00:00:00:01", "--mac=eth1=02:00:00:00:00:01"], "is given to two cards"),
        (["--pcap", "/nosuch/x.pcap"], "--pcap: /nosuch/x.pcap cannot be written: No such file or directory."),
        (["--net", "none", "-p", "9080:80"], "--publish means nothing without a network card (--net none)."),
        (["--on", "process", "-p", "9080:80"], "--publish means nothing to a Linux process (--on process)."),
        (["--on", "process", "--ip", "10.0.0.2/24"], "--ip needs --tap"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_sentence(words: list[str], sentence: str) -> None:
    said = refusal(*words)
    assert sentence in said
    assert said.count("\n") <= 2
    assert "Traceback" not in said


def test_a_port_in_use_is_said_before_anything_is_built_and_by_whom() -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        said = refusal("-p", f"{port}:80")
    assert f"port {port}/tcp of 127.0.0.1 cannot be forwarded: " in said
    assert f"(process {os.getpid()}) has it; stop that, or give another port." in said


def test_an_address_of_another_host_cannot_be_listened_on() -> None:
    said = refusal("-p", "192.0.2.1:9080:80")
    assert "port 9080/tcp of 192.0.2.1 cannot be forwarded: 192.0.2.1 is no address of this host." in said


def test_examples_exist() -> None:
    assert Path(WEB).exists()
