"""The network bench's own parts, without a machine: what is chosen, who runs it, and what is printed."""

import pytest

from bench.network import table
from bench.network.__main__ import Contestant, contestants
from bench.network.measure import MEASUREMENTS, UNITS, chosen
from bench.result import Failed


def test_word_chooses_every_measurement_that_begins_with_it() -> None:
    assert [each.name for each in chosen(["http", "tcp in"])] == ["http 1", "http 64", "http 1000", "tcp in"]
    assert chosen([]) == list(MEASUREMENTS)
    assert chosen(["htt"]) == []


def test_linux_runs_no_program_on_flows_and_pings_once() -> None:
    named = {each.name: each for each in MEASUREMENTS}
    linux, uvloop, sarab = Contestant(table.LINUX), Contestant("uvloop", uvloop=True), Contestant("sarab")
    assert [who.runs(named["flow 64"]) for who in (linux, uvloop, sarab)] == [False, False, True]
    assert [who.runs(named["ping"]) for who in (linux, uvloop, sarab)] == [True, False, True]


def test_table_has_ratios_to_linux_and_leaves_empty_what_was_not_measured() -> None:
    results = {"Linux": {"http 1": [100.0, 300.0, 200.0]}, "sarab": {"http 1": [100.0], "flow 1": [5.0]}}
    rows = [line.split(" | ") for line in table.markdown(results).splitlines() if line.startswith("| ")]
    assert rows[0] == ["| what", "Linux", "sarab", "sarab / Linux", "MirageOS (not of this run) |"]
    assert rows[2] == ["| http 1, requests/s", "200 (100-300)", "100", "0.50", " |"]
    assert rows[3] == ["| flow 1, requests/s", "", "5.0", "", "14,900 |"]


def test_every_value_has_a_unit() -> None:
    assert len(UNITS) == len(MEASUREMENTS) + sum(len(each.more) for each in MEASUREMENTS)


def test_contestants_are_those_named_and_another_tree_is_one() -> None:
    named = contestants(["before", "Linux"], ["before=/tmp/tree"])
    assert [(each.name, each.path, each.linux) for each in named] == [
        ("Linux", "", True), ("before", "/tmp/tree", False),
    ]  # fmt: skip


def test_contestant_whom_nobody_knows_and_tree_without_a_folder_are_refused() -> None:
    with pytest.raises(Failed, match="nobody is called freebsd"):
        contestants(["freebsd"], [])
    with pytest.raises(Failed, match="NAME=FOLDER"):
        contestants([], ["before"])
