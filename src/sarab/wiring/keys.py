"""Settings of an application, and the types that only settings have.

port: Annotated[int, Key("TCP port to listen on")] = 8080
token: Annotated[Secret, Key("the upstream's token", stage="boot")]
cache: Annotated[Size, Key("memory for pages")] = Size("16MiB")
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NoReturn

Stage = Literal["any", "build", "boot"]
"""When a key can be given: `build` is baked into the image, `boot` never is."""

_SIZES = {"": 1, "b": 1}
for _power, _letter in enumerate("kmgt", 1):
    _SIZES |= dict.fromkeys((f"{_letter}ib", f"{_letter}i", _letter), 1 << 10 * _power) | {f"{_letter}b": 1000**_power}
_SECONDS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


class Key:
    """Makes a keyword-only parameter a setting: `Annotated[int, Key("TCP port to listen on")]`.

    `doc` is what --help says. `stage`: see Stage. `environment` is the variable that it is read from, instead of
    SARAB_KEY_ and its name. `parse` makes the value of a text, for types that sarab does not know; it raises
    ValueError with a sentence for what it does not take.
    """

    __slots__ = ("doc", "environment", "parse", "stage")

    def __init__(
        self,
        doc: str = "",
        *,
        stage: Stage = "any",
        environment: str | None = None,
        parse: Callable[[str], Any] | None = None,
    ) -> None:
        self.doc, self.stage, self.environment, self.parse = doc, stage, environment, parse


class Name(str):
    """A device's name.

    In an annotation it names the device that is wanted, `Annotated[Block, Name("logs")]`. A provider with a parameter
    of this type is told for which name it makes a device, and makes one for each.
    """

    __slots__ = ()


class Size(int):
    """Bytes: `Size(65536)`, `Size("64KiB")`, `Size("1.5M")`. K, M, G and T are powers of 1024; kB, MB, ... of 1000."""

    __slots__ = ()

    def __new__(cls, value: int | str = 0) -> Size:
        """Raises ValueError for a text that is no size."""
        if isinstance(value, str):
            number, unit = _split(value)
            whole, _, fraction = number.partition(".")
            # Not by way of a float, which holds 53 bits.
            value, rest = divmod(int(whole + fraction or "0") * _SIZES.get(unit.lower(), 0), 10 ** len(fraction))
            if rest or unit.lower() not in _SIZES or not whole:
                raise ValueError("a size in bytes, such as 65536, 64KiB or 16MiB")
        return super().__new__(cls, value)

    def __str__(self) -> str:
        """Return it in the largest unit that says it whole."""
        for power, letter in ((4, "T"), (3, "G"), (2, "M"), (1, "K")):
            if self and not self % (1 << 10 * power):
                return f"{self // (1 << 10 * power)}{letter}iB"
        return f"{int(self)}"

    def __format__(self, form: str) -> str:
        """As a number where a format for numbers is asked for."""
        return format(int(self), form) if form else str(self)


class Duration(float):
    """Seconds: `Duration(1.5)`, `Duration("1500ms")`, `Duration("1h30m")`."""

    __slots__ = ()

    def __new__(cls, value: float | str = 0.0) -> Duration:
        """Raises ValueError for a text that is no duration."""
        if isinstance(value, str):
            value = _seconds(value.strip())
        return super().__new__(cls, value)

    def __str__(self) -> str:
        """Return it as `1500ms`, `90s`, `2h`."""
        for unit in ("d", "h", "m", "s", "ms", "us", "ns"):
            count = self / _SECONDS[unit]
            if abs(count) >= 1 and round(count, 6) == int(round(count, 6)):
                return f"{round(count)}{unit}"
        return f"{float(self):g}s"

    def __format__(self, form: str) -> str:
        """As a number where a format for numbers is asked for."""
        return format(float(self), form) if form else str(self)


class Secret:
    """A text that is not printed: `secret.reveal()` gives it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text."""
        return self._text

    def __eq__(self, other: object) -> bool:
        """Compare in a time that does not tell where they differ."""
        if not isinstance(other, Secret):
            return NotImplemented
        from _operator import _compare_digest

        return _compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        """As its text."""
        return hash(self._text)

    def __repr__(self) -> str:
        """Say only that it is one."""
        return "Secret(...)"

    def __str__(self) -> str:
        """Say only that it is one."""
        return "(secret)"

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled."""
        raise TypeError("a secret is not pickled")


NUMBER_DIGITS_MAX = 24
"""Of a size or a duration: more is a slip."""


def _split(text: str) -> tuple[str, str]:
    """Return the number and the unit of `16 MiB`; "" if there is no number."""
    text = text.strip()
    end = 0
    while end < len(text) and (text[end] in "0123456789" or (text[end] == "." and "." not in text[:end])):
        end += 1
    if end > NUMBER_DIGITS_MAX or text[:end].strip(".") == "":
        return "", text
    return text[:end], text[end:].strip()


def _seconds(text: str) -> float:
    total = 0.0
    rest = text
    while rest:
        number, behind = _split(rest)
        end = 0
        while end < len(behind) and behind[end].isalpha():
            end += 1
        factor = _SECONDS.get(behind[:end] or ("s" if rest == text and not behind else ""))
        if not number or factor is None:
            break
        total, rest = total + float(number) * factor, behind[end:].strip()
    if rest or not text:
        raise ValueError("a duration, such as 30s, 500ms or 1h30m")
    return total
