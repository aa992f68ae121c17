"""Every requirement of RFC 9293 has an answer: a test that is there, or a sentence; and docs/tcp.md says the same."""

from __future__ import annotations

from tests.unit.proto.tcp.requirements import KINDS, PAGE, SCRIPTS, exists, load, page, title


def test_every_requirement_is_there_once() -> None:
    wanted = [f"{kind}-{number}" for kind, count in KINDS.items() for number in range(1, count + 1)]
    assert [requirement.name for requirement in load()] == wanted


def test_each_has_a_test_or_a_sentence_and_what_is_not_met_has_a_sentence() -> None:
    for requirement in load():
        assert requirement.by or requirement.why, requirement.name
        assert requirement.met or requirement.why, requirement.name


def test_each_test_that_is_named_is_there_and_passes() -> None:
    missing = [(requirement.name, test) for requirement in load() for test in requirement.by if not exists(test)]
    assert not missing


def test_a_test_that_is_not_there_is_noticed() -> None:
    assert exists("open/active")
    assert not exists("open/nothing")
    assert exists("tests/unit/proto/tcp/test_requirements.py::test_a_test_that_is_not_there_is_noticed")
    assert not exists("tests/unit/proto/tcp/test_requirements.py::test_nothing")
    assert not exists("tests/unit/proto/nothing.py::test_nothing")


def test_every_script_says_what_it_tells() -> None:
    assert [path.name for path in SCRIPTS.rglob("*.pkt") if not title(path)] == []


def test_the_page_is_up_to_date() -> None:
    text = PAGE.read_text()
    assert text == page(text), "run: python -m tests.unit.proto.tcp.requirements"
