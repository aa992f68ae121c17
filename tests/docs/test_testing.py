"""docs/testing.md: every name and option in its tables exists, and none is left out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sarab.testing.host import Host
from sarab.testing.link import Link
from sarab.testing.world import World

PAGE = (Path(__file__).parents[2] / "docs" / "testing.md").read_text()
OWN = {
    "World": {"hosts", "links", "loop"},
    "Host": {"failure", "keep", "run", "is_test", "link", "world", "start"},
    "Link": {"deadline", "deliver", "leave", "mtu", "name", "offloads", "send", "weather"},
}
"""What is not for tests, or said otherwise."""


@pytest.mark.parametrize("kind", [World, Host, Link])
def test_every_name_of_a_class_is_told_and_is_there(kind: type) -> None:
    world = World()
    made = {"World": world, "Host": world.host("x"), "Link": world.link}[kind.__name__]
    there = {name for name in dir(made) if not name.startswith("_")} - OWN[kind.__name__]
    told = set(re.findall(rf"`{kind.__name__}\.(\w+)`", PAGE))
    assert told == there


def test_every_option_is_told_and_is_there() -> None:
    source = (Path(__file__).parents[2] / "src/sarab/testing/plugin.py").read_text()
    there = set(re.findall(r'add\("(--sarab[\w-]*)"', source))
    assert set(re.findall(r"`(--sarab[\w-]*)`", PAGE)) == there
