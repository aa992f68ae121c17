"""What is wrong with an application's wiring, in the terms of its own code."""

from __future__ import annotations

from collections.abc import Sequence


class WiringError(Exception):
    """The text is a sentence; `chain` says who needs what, from the application on, a line each."""

    def __init__(self, sentence: str, chain: Sequence[str] = ()) -> None:
        super().__init__(sentence)
        self.chain = tuple(chain)


class KeyProblem(Exception):
    """A setting that was given wrongly, or not at all. The text is a sentence."""
