"""The gallery of mistakes: each is made, and what sarab says is what docs/mistakes.md shows."""

from __future__ import annotations

import difflib
import re

import pytest

from tests.docs.mistakes import MISTAKES, PAGE, everything, page

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def results() -> list[tuple[int, str]]:
    """Status and output of every mistake."""
    return everything()


def test_there_are_thirty() -> None:
    assert len(MISTAKES) >= 30
    assert len({mistake.title for mistake in MISTAKES}) == len(MISTAKES)


def test_the_page_shows_what_sarab_says(results: list[tuple[int, str]]) -> None:
    wanted, found = page(results).splitlines(), PAGE.read_text().splitlines()
    told = "\n".join(difflib.unified_diff(found, wanted, "docs/mistakes.md", "sarab", lineterm=""))
    assert not told, f"python -m tests.docs.mistakes writes the page anew:\n{told}"


def test_none_is_a_traceback_and_each_has_a_status(results: list[tuple[int, str]]) -> None:
    for mistake, (status, text) in zip(MISTAKES, results, strict=True):
        assert "Traceback" not in text, mistake.title
        assert status in (1, 2), f"{mistake.title}: {status}"
        assert text.startswith("sarab: "), mistake.title


def test_who_wrote_it_is_told_by_file_and_line(results: list[tuple[int, str]]) -> None:
    """Of what is wrong in the program, that is; a command line has no lines."""
    for mistake, (_, text) in zip(MISTAKES, results, strict=True):
        if mistake.command.startswith("sarab check") and not mistake.files:
            assert re.search(r"app\.py(:\d+|:\w+| )", text), mistake.title
