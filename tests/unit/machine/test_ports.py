"""Who has a port."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from sarab.errors import UsageError
from sarab.machine import ports


def bound(form: socket.SocketKind, host: str = "127.0.0.1") -> tuple[socket.socket, int]:
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, form)
    made.bind((host, 0))
    if form == socket.SOCK_STREAM:
        made.listen()
    return made, made.getsockname()[1]


def test_a_free_port_is_free() -> None:
    made, port = bound(socket.SOCK_STREAM)
    made.close()
    ports.check_free("tcp", "127.0.0.1", port, 80)
    assert ports.holder("tcp", port) == ""


@pytest.mark.parametrize(("kind", "form"), [("tcp", socket.SOCK_STREAM), ("udp", socket.SOCK_DGRAM)])
def test_the_program_that_has_it_is_named(kind: ports.Kind, form: socket.SocketKind) -> None:
    made, port = bound(form)
    with made:
        assert ports.holder(kind, port).endswith(f"(process {os.getpid()})")
        with pytest.raises(UsageError, match=f"port {port}/{kind} of 127.0.0.1 cannot be forwarded: .* has it; stop"):
            ports.check_free(kind, "127.0.0.1", port, 80)


def test_a_client_of_a_port_is_not_who_has_it() -> None:
    made, port = bound(socket.SOCK_STREAM)
    with socket.create_connection(("127.0.0.1", port)) as client:
        made.close()
        assert ports.holder("tcp", client.getsockname()[1]) == ""


def test_without_rights_nobody_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, port = bound(socket.SOCK_STREAM)
    monkeypatch.setattr(ports, "PROC", tmp_path)
    with made, pytest.raises(UsageError, match="cannot be forwarded: another program has it; stop that, or"):
        ports.check_free("tcp", "127.0.0.1", port, 80)


def test_a_privileged_port_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refuses(socket.socket):
        def bind(self, address: object) -> None:
            raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket, "socket", Refuses)
    with pytest.raises(UsageError, match=r"port 80 of this host needs root: .* such as -p 8080:80"):
        ports.check_free("tcp", "127.0.0.1", 80, 80)
