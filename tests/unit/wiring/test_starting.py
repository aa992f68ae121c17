"""What the network of an image does not do before somebody needs it: each would be time until the first answer."""

from __future__ import annotations

import subprocess
import sys

NETWORK = """
import asyncio, os, sys, typing
import sarab.wiring.install, sarab.wiring.network, sarab.aio.loop
import sarab.driver.virtio.discovery, sarab.driver.virtio.net
from sarab.aio.network import NetworkDriver
from sarab.net.interface import Configuration
from sarab.net.stack import Stack

stack = Stack(os.urandom)
stack.add_interface("eth0", bytes(6), 1500, sarab.device.network.Offload.NONE, Configuration())
stack.poll(0)
"""


def _in_a_process(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", NETWORK + program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_resolver_is_imported_for_the_first_name() -> None:
    program = """
stack.names.servers = (bytes((10, 0, 2, 3)),)
print("sarab.proto.dns.resolver" in sys.modules)
stack.resolve(0, "example.org", 4)
print("sarab.proto.dns.resolver" in sys.modules, stack.names._resolver.statistics()["lookups"])
"""
    assert _in_a_process(program).splitlines() == ["False", "True 1"]


def test_dhcp_is_imported_for_the_first_card_that_leases() -> None:
    program = """
print(sorted(name for name in sys.modules if "dhcp" in name or name in ("sarab.net.leases", "sarab.wire.dns")))
stack.add_interface("eth1", bytes(6), 1500, sarab.device.network.Offload.NONE, Configuration(dhcp=True))
print(stack.interfaces[1].leases.client.deadline())
"""
    assert _in_a_process(program).splitlines() == ["[]", "0"]


def test_what_seldom_happens_imports_what_it_needs_then() -> None:
    """Shared objects of which a start has no need: each is mapped, relocated, and looked up."""
    program = """
print({"bisect", "_bisect", "hashlib", "_hashlib", "_random"} & sys.modules.keys())
"""
    assert _in_a_process(program).split() == ["set()"]


def test_tuples_have_no_annotation_that_typing_must_compile() -> None:
    """typing compiles each deferred annotation of a NamedTuple when its class is made: 255 of them were 2 ms.

    So a module that defines tuples does without `from __future__ import annotations` where it can.
    """
    program = """
for name, module in sorted(sys.modules.items()):
    if not name.startswith("sarab."):
        continue
    for value in vars(module).values():
        if isinstance(value, type) and hasattr(value, "_fields") and value.__module__ == name:
            if any(isinstance(kind, typing.ForwardRef) for kind in value.__annotations__.values()):
                print(f"{name}.{value.__name__}")
"""
    names_others_first = [
        "sarab.driver.virtio.discovery.Found",
        "sarab.net.endpoints.Arrived",
        "sarab.net.endpoints.Path",
    ]
    assert [name for name in _in_a_process(program).split() if name not in names_others_first] == []
