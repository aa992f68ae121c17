"""docs/mirageos.md: every name of sarab's in its tables exists, and every combinator of mirage.mli has its line."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import sarab

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "mirageos.md"
CODE = re.compile(r"`([^`]+)`")

COMBINATORS = """
    default_sleep no_sleep default_ptime no_ptime mock_ptime default_mtime no_mtime mock_mtime default_reporter
    no_reporter monitoring default_random no_random block_of_file block_of_xenstore_id ramdisk generic_block crunch
    direct_kv_ro generic_kv_ro direct_kv_rw kv_rw_mem default_network netif ethif arp ipv4_of_dhcp make_dhcp_requests
    dhcp_proj_net
    no_lease create_ipv4 create_ipv6 create_ipv4v6 direct_udp direct_tcp direct_stackv4v6 generic_stackv4v6
    tcpv4v6_of_stackv4v6 resolver_dns resolver_unix_system generic_happy_eyeballs generic_dns_client default_argv
    no_argv runtime_args if_impl match_impl register job noop impl of_device
""".split()
"""Of mirage.mli and DSL.mli of MirageOS 4.11, for devices that exist here."""
OPTIONS = """
    --target --interface --ipv4 --ipv4-gateway --ipv6 --ipv6-gateway --resolver --dns-servers --logs --name --help
    --backtrace --no-dhcp --dry-run
""".split()


def rows() -> Iterator[tuple[str, str]]:
    """Give the first two columns of every row."""
    for line in PAGE.read_text().splitlines():
        cells = re.split(r"(?<!\\)\|", line)
        if line.startswith("| ") and not line.startswith("| MirageOS"):
            yield cells[1], cells[2]


def words(column: int) -> set[str]:
    """Return every piece of code of a column."""
    return {code for row in rows() for code in CODE.findall(row[column])}


@cache
def usage(verb: str) -> str:
    """Return what `sarab VERB --help` prints."""
    command = [sys.executable, "-m", "sarab", verb, "--help"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_every_name_of_sarabs_exists() -> None:
    names = {word for word in words(1) if re.fullmatch(r"sarab(\.\w+)+", word)}
    assert len(names) > 25
    for name in sorted(names):
        module, _, attribute = name.rpartition(".")
        try:
            found: Any = getattr(import_module(module), attribute)
        except AttributeError:
            found = import_module(name)
        assert found is not None, name


def test_every_command_and_option_exists() -> None:
    commands = {word for word in words(1) if word.startswith("sarab ")}
    assert len(commands) > 10
    for command in sorted(commands):
        _, verb, *options = command.split()
        text = usage(verb)
        for option in options:
            if option.startswith("--"):
                assert option in text, command


def test_every_variable_is_read_somewhere() -> None:
    source = "".join(path.read_text() for path in (ROOT / "src/sarab").rglob("*.py"))
    for variable in sorted(word for word in words(1) if word.startswith("SARAB_")):
        name = variable if not variable.startswith("SARAB_KEY_") else "SARAB_KEY_"
        assert name in source, variable


def test_every_type_of_a_key_can_be_read() -> None:
    from sarab.wiring.signature import kind_of

    for word in sorted(words(1)):
        if word in ("int", "float", "str", "bool", "list[int]", "tuple[str, ...]", "set[int]"):
            assert kind_of(eval(word), sarab.Key("")) is not None, word
        elif re.fullmatch(r"(ipaddress|pathlib)\.\w+", word):
            module, _, name = word.partition(".")
            assert kind_of(getattr(import_module(module), name), sarab.Key("")) is not None, word


def test_every_combinator_has_its_line() -> None:
    told = " ".join(row[0] for row in rows())
    missing = [name for name in COMBINATORS if not re.search(rf"\b{name}\b", told)]
    assert missing == []
    assert [option for option in OPTIONS if f"{option}`" not in told and f"{option} " not in told] == []
