"""Wired applications on the command line: keys as options, check, describe, and what run says is missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sarab.build import image
from sarab.build.plan import load
from sarab.cli.main import main
from sarab.cli.wired import needs
from sarab.errors import UsageError
from tests.cli.command import sarab
from tests.unit.build.conftest import make_kernel
from tests.unit.build.test_describe import device, plan

APPLICATION = '''\
from typing import Annotated, Literal

from sarab import Key, Secret, choose, unikernel


class Store: ...


def near() -> Store:
    return Store()


def far(*, size: Annotated[int, Key("100 % of it", stage="build")]) -> Store:
    return Store()


@unikernel(devices={"store": choose("place", {"near": near, "far": far})})
async def main(
    store: Store,
    *,
    port: Annotated[int, Key("TCP port")] = 8080,
    peers: Annotated[list[str], Key("others")] = [],
    loud: Annotated[bool, Key("shout")] = False,
    token: Annotated[Secret, Key("a password")] = Secret("none"),
    late: Annotated[str, Key("said at boot", stage="boot")] = "never",
) -> None:
    """Show what it was given."""
    print(port, peers, loud, late)
'''


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SARAB_CACHE", str(tmp_path_factory.getbasetemp() / "cache of wired applications"))
    (tmp_path / "kernel.elf").write_bytes(make_kernel())
    (tmp_path / "app.py").write_text(APPLICATION)
    (tmp_path / "plain.py").write_text("print(1)\n")
    return tmp_path


def baked(*words: str) -> dict[str, str]:
    """What an image has as constants, of those words of `sarab build`."""
    assert main(["build", "--kernel", "kernel.elf", "--no-types", "-q", "-o", "x.elf", *words]) == 0
    keys = image.read(Path("x.elf").read_bytes()).manifest["wiring"]["keys"]
    return {key["name"]: key["baked"] for key in keys if key["baked"] is not None}


def failed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    status = main([*words])
    out, err = capsys.readouterr()
    assert status in (1, 2) and out == "", out
    assert err.startswith("sarab: ")
    return err


def test_keys_are_options_before_and_behind_the_application(here: Path) -> None:
    assert baked("--port", "80", "--loud", "app.py", "--peers=a", "--peers", "b") == {
        "place": "near", "port": "80", "loud": "yes", "peers": "a,b",
    }  # fmt: skip


def test_flags_have_both_forms(here: Path) -> None:
    for words, value in ((("--no-loud",), "no"), (("--loud=no",), "no"), (("--loud=yes",), "yes")):
        assert baked("app.py", *words)["loud"] == value


def test_keys_that_others_bring_are_options_too(here: Path) -> None:
    """Only with `far` is there a size, and it has to be given: neither is known before the words are read."""
    assert baked("--place", "far", "--store-size", "5", "app.py") == {"place": "far", "store-size": "5"}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--prot", "1"), "there is no option --prot (did you mean --port?)"),
        (("--outptu", "1"), "there is no option --outptu (did you mean --output?)"),
        (("--port", "x"), "the key port wants a whole number, and 'x' is not (--port)"),
        (("--port", "1", "--port", "2"), "--port is given twice"),
        (("--port",), "expected one argument"),
        (("--loud=perhaps",), "the key loud wants yes or no, and 'perhaps' is not"),
        (("--late", "x"), "the key late is for the boot only"),
        (("--token", "hunter2"), "The key token is a secret, and its value on the command line would be in the image"),
        (("--place", "far"), "the key store-size is decided when an image is built, and has no default"),
    ],
)
def test_wrong_key_is_a_sentence(
    here: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], sentence: str
) -> None:
    told = failed(capsys, "build", "app.py", *words)
    assert sentence in told and told.count("\n") == 1 and "hunter2" not in told


def test_option_of_a_plain_program_is_unknown(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "there is no option --xyzzy. Try" in failed(capsys, "build", "plain.py", "--xyzzy", "1")


def test_help_lists_the_keys(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["build", "app.py", "--help"])
    told = capsys.readouterr().out
    assert ended.value.code == 0
    assert "keys of app.py:" in told and "--output FILE" in told
    for line in ("--port INT TCP port (8080)", "--loud shout (no)", "--late TEXT said at boot (at boot only)"):
        assert line in " ".join(told.split())


def test_key_that_hides_an_option_is_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "app.py").write_text(APPLICATION.replace("port:", "output:"))
    told = failed(capsys, "build", "app.py")
    assert "a key cannot be called output, for sarab has an option --output of its own" in told
    assert "app.py:21: " in told


def test_run_says_where_keys_stand(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = failed(capsys, "run", "app.py", "--port", "80")
    assert "--port is a key of the application, and those stand behind --: sarab run app.py -- --port VALUE" in told
    told = failed(capsys, "run", "app.py", "--place", "far")
    assert "--place is decided when an image is built: sarab build APPLICATION --place VALUE, and run the image" in told
    told = failed(capsys, "run", "app.py", "--lodu")
    assert "there is no option --lodu (did you mean --loud?); keys of the application stand behind --" in told
    assert "did you mean --publish?" in failed(capsys, "run", "app.py", "--pubish", "1")


def test_secrets_are_seen_nowhere(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert baked("app.py", "--token", "hunter2", "--bake-secrets")["token"] == "(secret)"
    for words in (
        ["inspect", "x.elf"],
        ["inspect", "--json", "x.elf"],
        ["describe", "x.elf"],
        ["describe", "--svg", "x.elf"],
    ):
        assert main(words) == 0
        told = capsys.readouterr().out
        assert "token" in told and "hunter2" not in told


def test_inspect_shows_keys_and_target(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    baked("app.py", "--port", "80")
    assert main(["inspect", "x.elf"]) == 0
    told = capsys.readouterr().out
    assert "keys         --place near (baked in), --port 80 (baked in), --peers, --loud, --token, --late\n" in told
    assert "target       machine\n" in told


def test_check_says_that_all_is_well(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "app.py", "--no-types"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("app.py: 1 device, 6 keys, ")
    assert told.endswith(" modules, types not checked: nothing is wrong on the target machine\n")
    assert main(["check", "app.py", "--no-types", "--target", "process", "-q"]) == 0
    assert main(["check", "plain.py"]) == 0
    assert capsys.readouterr().out.startswith("plain.py: ")


def test_check_finds_what_a_build_would(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "pyproject.toml").write_text("[tool.sarab.keys]\nport = 'x'\n")
    assert "the key port wants a whole number" in failed(capsys, "check", "app.py", "--no-types")
    (here / "pyproject.toml").unlink()
    (here / "missing.py").write_text("import no_such\n")
    assert "There is no module no_such" in failed(capsys, "check", "missing.py")


def test_check_shows_who_needs_what_nobody_makes(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "app.py").write_text(
        "from sarab import unikernel\nclass A: ...\nclass B: ...\ndef b(a: A) -> B: return B()\n"
        "@unikernel(providers=[b])\nasync def main(b: B) -> None: ...\n"
    )
    lines = failed(capsys, "check", "app.py").splitlines()
    assert "A" in lines[0] and lines[1].startswith("  main (app.py:") and len(lines) == 3


def test_describe_has_four_forms(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["describe", "app.py"]) == 0
    told = capsys.readouterr().out
    assert "    store: Store   near (app.py:9)\n" in told and "run it\n    sarab run app.py\n" in told
    assert main(["describe", "app.py", "--json", "--place", "far", "--store-size", "1"]) == 0
    assert load(capsys.readouterr().out).devices[0].provider == "app:far"
    for form, begin in (("--dot", "digraph"), ("--svg", "<svg")):
        assert main(["describe", form, "app.py"]) == 0
        assert capsys.readouterr().out.startswith(begin)


def test_describe_of_an_image_is_that_of_its_application(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    baked("app.py")
    forms = []
    for spec in ("app.py", "x.elf"):
        assert main(["describe", spec]) == 0
        forms.append(capsys.readouterr().out.replace(f"run {spec}", "run it"))
    assert forms[1] == forms[0]
    assert "is an image, for which the target" in failed(capsys, "describe", "x.elf", "--target", "process")


def test_plain_program_has_nothing_to_describe(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["describe", "plain.py"]) == 0
    assert "plain.py is a plain program" in capsys.readouterr().out
    assert main(["describe", "--json", "plain.py"]) == 0
    assert json.loads(capsys.readouterr().out) is None
    assert "There is no module none in" in failed(capsys, "describe", "none:main")
    assert "There is nothing to draw" in failed(capsys, "describe", "--svg", "plain.py")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ([], "app.py needs a disk called data: add --block data=FILE"),
        (["dta"], "--block dta: app.py has no disk of that name (did you mean data?); its disks are data"),
        (["data", "logs"], "--block logs: app.py has no disk of that name; its disks are data"),
    ],
)
def test_disk_that_is_missing_or_not_needed_is_a_sentence(given: list[str], sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        needs.check_disks(plan(), "app.py", given)
    assert str(caught.value) == sentence
    needs.check_disks(plan(), "app.py", ["data"])


def cards(*names: str, stack: bool = True) -> Any:
    devices = [device("stack:Stack")] if stack else []
    machine = [{"kind": "network", "name": name} for name in names]
    return plan(devices=devices, parameters={}, machine=machine)


def test_cards_that_are_missing_or_not_needed_are_a_sentence() -> None:
    needs.check_cards(cards("eth0"), "x", [], True)
    needs.check_cards(cards("eth0", "eth1"), "x", ["t0", "t1"], True)
    needs.check_cards(cards("eth0"), "x", ["t0", "t1"], True)  # the stack drives both
    needs.check_cards(cards(stack=False), "x", [], False)
    for made, taps, has_network, sentence in (
        (cards("eth0"), [], False, "x needs a network card, eth0: leave out --net none, or add --tap NAME"),
        (cards("eth0", "eth1"), [], True, "x needs 2 network cards, eth0, eth1: add --tap NAME --tap NAME"),
        (cards("eth0", stack=False), ["t0", "t1"], True, "--tap t1: x has no use for another network card than eth0"),
    ):
        with pytest.raises(UsageError) as caught:
            needs.check_cards(made, "x", taps, has_network)
        assert str(caught.value) == sentence


def test_process_has_the_hosts_network_and_no_other_card() -> None:
    needs.check_taps_of_process(cards("eth0"), "x", [])
    needs.check_taps_of_process(cards("eth0", "eth1"), "x", ["t0", "t1"])
    for made in (cards("eth0", "eth1"), cards("eth0", stack=False)):
        with pytest.raises(UsageError, match=r"network cards? of its own on a process: add --tap NAME"):
            needs.check_taps_of_process(made, "x", [])


def test_process_runs_what_an_image_would(here: Path) -> None:
    command = ("run", "--on", "process", "app.py", "--")
    assert sarab(*command, "--port", "1", "--peers", "a,b", "--loud", "--late", "x", cwd=here) == (
        0, b"1 ['a', 'b'] True x\n", "",
    )  # fmt: skip
    status, output, error = sarab(*command, "--prot", "1", cwd=here)
    assert (status, output) == (2, b"") and "there is no key prot" in error


def test_secret_of_pyproject_is_no_secret_to_a_process(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "pyproject.toml").write_text("[tool.sarab.keys]\ntoken = 'hunter2'\n")
    assert sarab("run", "--on", "process", "app.py", cwd=here)[0] == 0
    assert "or say --bake-secrets" in failed(capsys, "run", "app.py")


def test_process_of_another_folder_finds_its_modules(here: Path) -> None:
    (here / "project").mkdir()
    (here / "project" / "near.py").write_text("VALUE = 3\n")
    (here / "project" / "web.py").write_text(
        "from sarab import TARGET, unikernel\n@unikernel\nasync def main() -> int:\n"
        "    import near\n    print(near.VALUE, TARGET)\n    return 4\n"
    )
    assert sarab("run", "--on", "process", "project/web.py", cwd=here) == (4, b"3 process\n", "")
    assert sarab("run", "--on", "process", "web:main", cwd=here / "project")[:2] == (4, b"3 process\n")
