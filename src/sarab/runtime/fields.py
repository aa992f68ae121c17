"""What a NamedTuple of the network is in an image, where `sarab build` writes it out (sarab.build.lean).

    class Header(Fields):
        __slots__ = ()
        _fields = __match_args__ = ("source", "destination")
        source = field(0, None)
        destination = field(1, None)
        def __new__(_cls, source, destination): return new(_cls, (source, destination))

It does what typing.NamedTuple's would, and is made in a tenth of the time.
"""

from collections import _tuplegetter as field  # type: ignore[attr-defined]  # what namedtuple() uses

__all__ = ("Fields", "field", "new")

TYPE_CHECKING = False  # not typing's: nothing of an image's start needs that
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Self

new = tuple.__new__


class Fields(tuple):  # type: ignore[type-arg]
    """The methods of a named tuple."""

    __slots__ = ()
    _fields: "tuple[str, ...]" = ()

    @classmethod
    def _make(cls, iterable: "Iterable[Any]") -> "Self":
        """Make one of a sequence that has just so many values."""
        made = new(cls, iterable)
        if len(made) != len(cls._fields):
            raise TypeError(f"Expected {len(cls._fields)} arguments, got {len(made)}")
        return made

    def _replace(self, /, **values: "Any") -> "Self":
        """Return one with other values of these fields."""
        made = self._make(map(values.pop, self._fields, self))
        if values:
            raise ValueError(f"Got unexpected field names: {list(values)!r}")
        return made

    def _asdict(self) -> "dict[str, Any]":
        """Return its values by name."""
        return dict(zip(self._fields, self, strict=True))

    def __repr__(self) -> str:
        """Return `Header(source=..., destination=...)`."""
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._asdict().items())})"

    def __getnewargs__(self) -> "tuple[Any, ...]":
        """Of copy and pickle."""
        return tuple(self)
