from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sarab.errors import UsageError
from sarab.machine.options import (
    COMMAND_LINE_MAX,
    MachineOptions,
    command_line,
    parse_environment,
    parse_memory,
    parse_tmp,
    quote,
)

WORDS = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=20)


def split(line: str) -> list[str]:
    """Read a command line by the words of decision 0002: spaces, `"..."`, and a backslash inside quotes and outside."""
    words, at = [], 0
    while at < len(line):
        if line[at] == " ":
            at += 1
            continue
        word, quoted = "", False
        while at < len(line) and (quoted or line[at] != " "):
            if line[at] == '"':
                quoted = not quoted
            else:
                at += line[at] == "\\" and at + 1 < len(line)
                word += line[at]
            at += 1
        words.append(word)
    return words


@given(st.lists(WORDS))
def test_quoted_words_come_back_as_they_were(words: list[str]) -> None:
    assert split(" ".join(map(quote, words))) == words


def test_quote_leaves_plain_words_alone() -> None:
    assert quote("--port=80") == "--port=80"


def test_quote_refuses_nul() -> None:
    with pytest.raises(UsageError, match="NUL"):
        quote("a\0b")


def test_command_line_has_kernel_words_before_the_dashes() -> None:
    options = MachineOptions(
        arguments=("--name", "a b"),
        environment=(("X", "1"),),
        tmp="1M",
        trace=True,
        marks=True,
        kernel_options=("seal",),
    )
    assert command_line(options, ["input=escaped"]) == 'input=escaped seal trace marks tmp=1M X=1 -- --name "a b"'


def test_command_line_without_arguments_has_no_dashes() -> None:
    assert command_line(MachineOptions()) == ""


def test_command_line_longer_than_the_kernel_takes_is_refused() -> None:
    fits = MachineOptions(arguments=("x" * (COMMAND_LINE_MAX - 3),))
    assert len(command_line(fits)) == COMMAND_LINE_MAX
    with pytest.raises(UsageError, match=f"{COMMAND_LINE_MAX + 1} bytes"):
        command_line(MachineOptions(arguments=("x" * (COMMAND_LINE_MAX - 2),)))


@pytest.mark.parametrize(
    ("text", "mib"),
    [("64M", 64), ("1G", 1024), ("128", 128), ("2GiB", 2048), ("24m", 24), ("2048K", 2), ("1T", 1 << 20)],
)
def test_memory_is_read(text: str, mib: int) -> None:
    assert parse_memory(text) == mib


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5G", "64X", "512K", "1025K", "2T", "M", "64 M B"])
def test_memory_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no size of memory"):
        parse_memory(text)


@pytest.mark.parametrize("text", ["16M", "64K", "4096", "1G"])
def test_tmp_is_passed_on(text: str) -> None:
    assert parse_tmp(text) == text


@pytest.mark.parametrize("text", ["", "16m", "16MB", "x", "-1", "0", "0M", "1025G", "99999999999999G"])
def test_tmp_that_the_kernel_would_refuse_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no bound of /tmp"):
        parse_tmp(text)


def test_environment_is_read() -> None:
    assert parse_environment("_A1=b=c") == ("_A1", "b=c")


@pytest.mark.parametrize("text", ["", "A", "=x", "a=1", "1A=1", "A B=1", "tmp=1M"])
def test_environment_that_the_kernel_would_take_for_an_option_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="sets no variable"):
        parse_environment(text)
