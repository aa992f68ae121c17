"""Texts of the command line, of pyproject.toml and of the environment to the values of keys, and back.

Each reader takes a text and returns a value, or raises ValueError whose text says what is expected: `a whole number`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from sarab.wiring.keys import Duration, Secret, Size

Reader = Callable[[str], Any]

_TRUE, _FALSE = ("yes", "true", "on", "1"), ("no", "false", "off", "0")
NUMBER_DIGITS_MAX = 40
"""Of a whole number: more is a slip, and takes Python long to read."""


def whole(text: str) -> int:
    """A whole number, with an optional sign; 0x and _ as in Python."""
    if len(text) <= NUMBER_DIGITS_MAX:
        try:
            return int(text, 0 if text.lower().lstrip("+-").startswith(("0x", "0o", "0b")) else 10)
        except ValueError:
            pass
    raise ValueError("a whole number")


def number(text: str) -> float:
    """A number; neither nan nor inf."""
    try:
        value = float(text)
    except ValueError:
        raise ValueError("a number") from None
    if value - value != 0:
        raise ValueError("a number that is finite")
    return value


def boolean(text: str) -> bool:
    """Yes or no."""
    word = text.lower()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise ValueError("yes or no")


def text(text: str) -> str:
    """The text itself."""
    return text


def data(text: str) -> bytes:
    """The text in UTF-8."""
    return text.encode()


def secret(text: str) -> Secret:
    """A text that is not printed."""
    return Secret(text)


def size(text: str) -> Size:
    """Bytes, with a unit."""
    return Size(text)


def duration(text: str) -> Duration:
    """Seconds, with a unit."""
    return Duration(text)


def delta(text: str) -> Any:
    """Return a timedelta, of a duration."""
    from datetime import timedelta

    return timedelta(seconds=Duration(text))


def path(text: str) -> Any:
    """Return a pathlib.Path."""
    if not text or "\0" in text:
        raise ValueError("a path")
    from pathlib import Path

    return Path(text)


def _internet(kind: str, expected: str) -> Reader:
    def read(text: str) -> Any:
        import ipaddress

        try:
            return getattr(ipaddress, kind)(text)
        except ValueError as error:
            hint = ""
            if "has host bits set" in str(error):
                hint = f" (is {getattr(ipaddress, kind)(text, strict=False)} meant?)"
            raise ValueError(expected + hint) from None

    return read


ipv4 = _internet("IPv4Address", "an IPv4 address, such as 10.0.0.2")
ipv6 = _internet("IPv6Address", "an IPv6 address, such as fd00::2")
address = _internet("ip_address", "an IP address, such as 10.0.0.2 or fd00::2")
ipv4_network = _internet("IPv4Network", "an IPv4 network, such as 10.0.0.0/24")
ipv6_network = _internet("IPv6Network", "an IPv6 network, such as fd00::/64")
ip_network = _internet("ip_network", "an IP network, such as 10.0.0.0/24 or fd00::/64")
ipv4_interface = _internet("IPv4Interface", "an IPv4 address with its prefix, such as 10.0.0.2/24")
ipv6_interface = _internet("IPv6Interface", "an IPv6 address with its prefix, such as fd00::2/64")
ip_interface = _internet("ip_interface", "an IP address with its prefix, such as 10.0.0.2/24")


def one_of(*words: Any) -> Reader:
    """Read one of a few values, by its text."""
    known = {str(word): word for word in words}

    def read(text: str) -> Any:
        if text not in known:
            raise ValueError(f"one of {', '.join(known)}")
        return known[text]

    return read


def member(kind: Any) -> Reader:
    """Read a member of an enum: by its name, in any case and with - for _, or by its value's text."""
    known = {name.lower().replace("_", "-"): value for name, value in kind.__members__.items()}
    by_value = {str(value.value): value for value in kind.__members__.values()}

    def read(text: str) -> Any:
        found = known.get(text.lower().replace("_", "-"), by_value.get(text))
        if found is None:
            raise ValueError(f"one of {', '.join(known)}")
        return found

    return read


def many(reader: Reader, make: Callable[[Sequence[Any]], Any] = list) -> Reader:
    """Read several values with commas between them; the empty text is none of them."""

    def read(text: str) -> Any:
        items = []
        for word in text.split(",") if text else ():
            try:
                items.append(reader(word.strip()))
            except ValueError as error:
                raise ValueError(f"a list with commas, each {error}") from None
        return make(items)

    return read


def show(value: Any) -> str:
    """Return the text that reads as `value`, for --help and descriptions. A secret's is not told."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, (list, tuple, set, frozenset)):
        return ",".join(map(show, sorted(value, key=str) if isinstance(value, (set, frozenset)) else value))
    name = getattr(value, "name", None)
    if isinstance(name, str) and hasattr(type(value), "__members__"):
        return name.lower().replace("_", "-")
    if type(value).__name__ == "timedelta":
        return str(Duration(value.total_seconds()))
    return str(value)


KEY_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
"""How a key is written: its parameter's name in lower case with - for _."""
