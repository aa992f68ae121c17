"""Sizes, durations, secrets, and how texts become values."""

from __future__ import annotations

import enum
import ipaddress
import pickle
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sarab.wiring import values
from sarab.wiring.keys import Duration, Key, Secret, Size
from sarab.wiring.signature import kind_of


class Colour(enum.Enum):
    RED = "r"
    DARK_BLUE = 2


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("512", 512), ("1K", 1024), ("1KiB", 1024), ("1Ki", 1024), ("1kB", 1000), ("1.5 M", 3 << 19),
     ("2GB", 2 * 10**9), ("1TiB", 1 << 40)],
)  # fmt: skip
def test_a_size_has_units(text: str, size: int) -> None:
    assert Size(text) == size


@pytest.mark.parametrize("text", ["", "x", "1q", "-1", "1.5", "1 K K", "0.1K", "1e3"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a size in bytes"):
        Size(text)


@given(st.integers(0, 1 << 60))
def test_a_size_reads_back_from_what_it_prints(number: int) -> None:
    assert Size(str(Size(number))) == number
    assert f"{Size(number):d}" == str(number)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0.0), ("2", 2.0), ("1.5", 1.5), ("500ms", 0.5), ("1h30m", 5400.0), ("1d 2h", 93600.0), ("90s", 90.0)],
)
def test_a_duration_has_units(text: str, seconds: float) -> None:
    assert Duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "x", "h", "1 2", "1x", "-1s", "1h x"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a duration"):
        Duration(text)


@given(st.integers(0, 10**9))
def test_a_duration_reads_back_from_what_it_prints(milliseconds: int) -> None:
    duration = Duration(milliseconds / 1000)
    assert Duration(str(duration)) == pytest.approx(duration)


def test_a_secret_is_in_no_text() -> None:
    secret = Secret("xyzzy")
    assert "xyzzy" not in f"{secret} {secret!r} {[secret]}"
    assert secret.reveal() == "xyzzy"
    assert secret == Secret("xyzzy")
    assert secret != Secret("plugh")
    assert secret != "xyzzy"
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(secret)


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        (int, "-12", -12),
        (int, "0x10", 16),
        (float, "1.5", 1.5),
        (str, "", ""),
        (bytes, "ä", "ä".encode()),
        (bool, "yes", True),
        (bool, "off", False),
        (Size, "1K", Size(1024)),
        (Duration, "1m", Duration(60)),
        (timedelta, "1m", timedelta(minutes=1)),
        (Path, "/a/b", Path("/a/b")),
        (Colour, "dark-blue", Colour.DARK_BLUE),
        (Colour, "DARK_BLUE", Colour.DARK_BLUE),
        (Colour, "r", Colour.RED),
        (Colour, "2", Colour.DARK_BLUE),
        (Literal["a", 3], "3", 3),
        (Secret, "s", Secret("s")),
        (ipaddress.IPv4Address, "10.0.0.2", ipaddress.IPv4Address("10.0.0.2")),
        (ipaddress.IPv4Address | ipaddress.IPv6Address, "::1", ipaddress.IPv6Address("::1")),
        (ipaddress.IPv4Network, "10.0.0.0/8", ipaddress.IPv4Network("10.0.0.0/8")),
        (ipaddress.IPv6Interface, "fd00::2/64", ipaddress.IPv6Interface("fd00::2/64")),
        (list[int], "1, 2,3", [1, 2, 3]),
        (tuple[int, ...], "1", (1,)),
        (set[str], "a,a", {"a"}),
        (frozenset[Colour], "red", frozenset({Colour.RED})),
        (list[int], "", []),
    ],
)
def test_a_key_of_every_type_is_read_and_shown(annotation: Any, text: str, value: object) -> None:
    kind = kind_of(annotation, Key())
    assert kind is not None
    assert kind.read(text) == value
    assert type(kind.read(text)) is type(value)
    if not kind.secret:
        assert kind.read(values.show(value)) == value


@pytest.mark.parametrize(
    ("annotation", "text", "expected"),
    [
        (int, "1.5", "a whole number"),
        (int, "9" * 5000, "a whole number"),
        (float, "nan", "a number that is finite"),
        (float, "x", "a number"),
        (bool, "maybe", "yes or no"),
        (Path, "", "a path"),
        (Colour, "green", "one of red, dark-blue"),
        (Literal["a", "b"], "c", "one of a, b"),
        (ipaddress.IPv4Address, "10.0.0", "an IPv4 address"),
        (ipaddress.IPv4Network, "10.0.0.1/8", r"is 10\.0\.0\.0/8 meant\?"),
        (list[int], "1,x", "a list with commas, each a whole number"),
    ],
)
def test_a_wrong_text_says_what_is_expected(annotation: Any, text: str, expected: str) -> None:
    kind = kind_of(annotation, Key())
    assert kind is not None
    with pytest.raises(ValueError, match=expected):
        kind.read(text)


def test_a_type_that_sarab_does_not_know_needs_a_function() -> None:
    assert kind_of(complex, Key()) is None
    assert kind_of(dict[str, int], Key()) is None
    kind = kind_of(complex, Key(parse=complex))
    assert kind is not None
    assert kind.read("1+2j") == 1 + 2j
