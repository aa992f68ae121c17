"""The network bench's own parts, without a machine: what is chosen, who runs it, and what is printed."""

from itertools import pairwise
from unittest.mock import MagicMock

import pytest

from bench.network import __main__ as main
from bench.network import table
from bench.network.__main__ import Contestant, contestants
from bench.network.measure import MEASUREMENTS, UNITS, chosen
from bench.network.programs import udp_client
from bench.result import Failed, Unavailable


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


def test_image_boots_on_kvm_and_a_process_does_not() -> None:
    image, process = Contestant("image", image=True), Contestant("sarab")
    assert ("--accel", "kvm") in pairwise(image.command("http_server.py"))
    assert ("--on", "process") in pairwise(process.command("http_server.py"))
    assert image.runs(next(each for each in MEASUREMENTS if each.name == "flow 64"))


def test_host_without_kvm_has_no_column_of_an_image_and_says_why(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing() -> None:
        raise Unavailable("there is no /dev/kvm")

    monkeypatch.setattr(main, "check_kvm", missing)
    for maker in ("_uvloop", "compiled_tree"):
        monkeypatch.setattr(main, maker, lambda: "/tmp/tree")
    assert [each.name for each in contestants([], [])] == ["Linux", "uvloop", "sarab", "compiled"]
    assert "no column 'image': there is no /dev/kvm" in capsys.readouterr().err
    with pytest.raises(Unavailable):
        contestants(["image"], [])


def search(monkeypatch: pytest.MonkeyPatch, takes: float, sends: float) -> tuple[float, float]:
    def offer(peer: object, rate: float, seconds: float) -> tuple[float, float]:
        left = min(rate, sends)
        return left, max(1 - takes / left, 0.0)

    monkeypatch.setattr(udp_client, "offer", offer)
    monkeypatch.setattr(udp_client, "connected", lambda address, port: MagicMock())
    return udp_client.find_rate("10.0.0.1", 1)


def test_rate_of_datagrams_is_the_greatest_without_loss_and_loss_is_at_twice_that(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rate, lost = search(monkeypatch, takes=50_000, sends=1_000_000)
    assert 50_000 * (1 - udp_client.PRECISION) < rate < 50_000 * 1.02
    assert 48 < lost < 53


def test_sender_at_its_own_end_tells_no_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    rate, lost = search(monkeypatch, takes=500_000, sends=100_000)
    assert rate == 100_000 and lost != lost
    with pytest.raises(SystemExit, match="the machine is busy"):
        search(monkeypatch, takes=500_000, sends=5_000)


def test_server_that_takes_next_to_nothing_fails_the_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match="loses 1% even of 1000"):
        search(monkeypatch, takes=10, sends=100_000)


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
