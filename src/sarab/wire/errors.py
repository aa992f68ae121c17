"""The one error of this room."""

from __future__ import annotations


class Malformed(ValueError):
    """The bytes are not what their protocol allows. The text says which rule they break."""
