"""Who provides what: resolution, lifetimes, and what is said when it does not fit."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

import pytest

from sarab import Block, Clock, KeyValue, Random, choose, named, unikernel
from sarab.wiring.errors import WiringError
from sarab.wiring.graph import Configuration, Graph, resolve
from sarab.wiring.live import call
from sarab.wiring.run import Lifetimes
from sarab.wiring.unikernel import Provider
from tests.unit.wiring import applications as apps

NONE = Configuration(shipped={})


def graph(application: Any, **words: Any) -> Graph:
    return resolve(application, "process", Configuration(**{"shipped": {}, **words}))


def with_providers(*providers: Provider, devices: Mapping[str, Provider] | None = None) -> Any:
    return unikernel(providers=providers, devices=devices)(apps.plain.function)


def told(application: Any, **words: Any) -> tuple[str, list[str]]:
    with pytest.raises(WiringError) as caught:
        graph(application, **words)
    without_lines = re.compile(r"(?:[\w.]*/)*(\w+\.py):\d+")
    return without_lines.sub(r"\1", str(caught.value)), [without_lines.sub(r"\1", line) for line in caught.value.chain]


def makers(found: Graph) -> dict[str, str]:
    return {d.identity: d.signature.function.__name__ if d.signature else "given" for d in found.devices}


# ---- who is chosen -----------------------------------------------------------------------------------------------


def test_a_provider_is_found_by_what_it_returns() -> None:
    assert makers(graph(with_providers(apps.dice))) == {"random:Random": "dice"}


def test_any_class_with_the_right_methods_is_a_device() -> None:
    assert makers(graph(apps.disks)) == {"data:Block": "Disk", "log-disk:Block": "Disk"}


def test_each_name_of_a_block_is_another_and_has_keys_of_its_own() -> None:
    found = graph(apps.disks)
    assert [node.setting.name for node in found.keys] == ["data-size", "log-disk-size"]
    assert found.parameters["data"] is not found.parameters["logs"]


def test_a_type_that_has_no_names_is_shared() -> None:
    @unikernel(providers=[apps.dice])
    async def twice(first: Random, second: Random) -> None: ...

    found = graph(twice)
    assert found.parameters["first"] is found.parameters["second"]
    assert len(found.devices) == 1


def test_a_wrapper_finds_what_it_wraps() -> None:
    @unikernel(providers=[apps.Disk], devices={"data": apps.Mirror})
    async def wrapped(data: Block) -> None: ...

    found = graph(wrapped)
    assert makers(found) == {"data:Block#2": "Disk", "data:Block": "Mirror"}
    assert found.parameters["data"].needs["below"] is found.devices[0]


def test_a_named_provider_comes_before_those_by_type() -> None:
    assert makers(graph(apps.two_ways)) == {"data:Block": "Disk"}


def test_the_applications_providers_come_before_sarabs() -> None:
    shipped = {"sarab.device.random:Random": apps.awaited_dice}
    assert makers(graph(with_providers(apps.dice), shipped=shipped)) == {"random:Random": "dice"}
    assert makers(graph(apps.plain, shipped=shipped)) == {"random:Random": "awaited_dice"}


def test_pyprojects_devices_come_between() -> None:
    devices = {"random": "tests.unit.wiring.applications:awaited_dice"}
    assert makers(graph(with_providers(apps.dice), devices=devices)) == {"random:Random": "awaited_dice"}
    by_hand = with_providers(devices={"random": apps.dice})
    assert makers(graph(by_hand, devices=devices)) == {"random:Random": "dice"}


def test_a_key_of_the_build_chooses_and_the_other_is_not_in_the_graph() -> None:
    application = with_providers(devices={"random": choose("dice", {"one": apps.dice, "two": apps.awaited_dice})})
    assert makers(graph(application)) == {"random:Random": "dice"}
    assert makers(graph(application, baked={"dice": "two"})) == {"random:Random": "awaited_dice"}
    assert makers(graph(application, keys={"dice": "two"})) == {"random:Random": "awaited_dice"}
    assert told(application, baked={"dice": "three"})[0] == "the key dice wants one of one, two, and 'three' is not"


def test_named_says_which_device_a_provider_needs() -> None:
    application = unikernel(providers=[apps.Disk], devices={"data": named(apps.Mirror, below="sda")})(
        apps.disks.function
    )
    found = graph(application)
    assert found.parameters["data"].needs["below"].name == "sda"


def test_a_device_with_a_default_is_optional() -> None:
    shipped = {"sarab.device.clock:Clock": ready_clock}
    found = graph(apps.optional, shipped=shipped)
    assert list(found.parameters) == ["clock"]


def ready_clock() -> Clock:
    raise NotImplementedError


def test_a_test_gives_devices_ready_made() -> None:
    dice = apps.Dice()
    found = graph(apps.plain, given={"random": dice})
    assert found.parameters["random"].instance is dice


# ---- lifetimes ---------------------------------------------------------------------------------------------------


def run(application: Any, keys: Mapping[str, Any] | None = None) -> tuple[int | None, list[str]]:
    apps.EVENTS.clear()

    async def all_of_it() -> int | None:
        async with AsyncExitStack() as exits:
            return await call(graph(application), Lifetimes(exits), {"": dict(keys or {})})

    return asyncio.run(all_of_it()), list(apps.EVENTS)


@pytest.mark.parametrize(
    ("provider", "before", "after"),
    [
        (apps.dice, [], []),
        (apps.awaited_dice, [], []),
        (apps.generated_dice, ["generator begins"], ["generator ends"]),
        (apps.yielded_dice, ["iterator begins"], ["iterator ends"]),
        (apps.managed_dice, ["manager begins"], ["manager ends"]),
        (apps.opened_dice, ["opened"], ["closed"]),
        (apps.Opened, ["opened"], ["closed"]),
    ],
)
def test_a_device_lives_as_its_provider_says(provider: Any, before: list[str], after: list[str]) -> None:
    kind = "Opened" if provider in (apps.opened_dice, apps.Opened) else "Dice"
    assert run(with_providers(provider)) == (8080, [*before, f"main {kind} 8080", *after])


def test_a_key_replaces_the_default() -> None:
    assert run(with_providers(apps.dice), {"port": 80})[0] == 80


# ---- what is said ------------------------------------------------------------------------------------------------


def test_nobody_provides_it() -> None:
    sentence, chain = told(apps.plain)
    assert sentence == (
        "nobody provides Random for plain's random: sarab has none for the target process; write a function that "
        "returns one, and name it in @unikernel(providers=[...])"
    )
    assert chain == ["plain (applications.py) needs random: Random"]


def test_who_nearly_provides_it_is_named_with_what_is_missing() -> None:
    @unikernel(providers=[apps.Slow])
    async def late(clock: Clock) -> None: ...

    assert told(late)[0] == (
        "nobody provides Clock for late's clock; Slow (applications.py) nearly does, but sleep() is not async"
    )


def test_two_provide_it() -> None:
    assert told(with_providers(apps.dice, apps.awaited_dice))[0] == (
        "dice (applications.py) and awaited_dice (applications.py) each provide Random, which random needs: take one "
        "out, or say which with devices={'random': dice}"
    )


def test_a_cycle_shows_the_chain() -> None:
    sentence, chain = told(with_providers(apps.first, apps.second))
    assert sentence == (
        "second's below is to be Random, which only first (applications.py) provides, and that is what needs it: "
        "they wait for each other"
    )
    assert chain == [
        "plain (applications.py) needs random: Random",
        "first (applications.py) needs below: KeyValue",
        "second (applications.py) needs below: Random",
    ]


def test_an_application_that_is_not_async_is_refused() -> None:
    def plain() -> None: ...

    function: Any = plain
    assert told(unikernel(function))[0].endswith("plain is no async function: write `async def`")


def test_a_cycle_through_a_shared_device_is_one() -> None:
    shipped = {"sarab.device.random:Random": apps.first, "sarab.device.key_value:KeyValue": apps.second}
    assert told(apps.plain, shipped=shipped)[0] == "first (applications.py) needs, in the end, itself"


@pytest.mark.parametrize(
    ("devices", "sentence"),
    [
        ({"random": apps.Slow},
         "devices={...} gives random Slow (applications.py), which provides Slow, and Random is needed: "
         "it has no below(), it has no bytes()"),
        ({"randm": apps.dice},
         "devices={...} of plain (applications.py) names randm, and no device is called so (is random meant?)"),
        ({"random": apps.untyped},
         "applications.py: untyped does not say what it provides: annotate what it returns (`-> Block`)"),
        ({"random": named(apps.first, blow="x")},
         "named(first, blow=...): it needs no device blow, but below"),
    ],
)  # fmt: skip
def test_a_device_by_name_that_does_not_fit(devices: Mapping[str, Provider], sentence: str) -> None:
    assert told(with_providers(apps.dice, devices=devices))[0] == sentence


def test_a_thing_that_is_no_provider() -> None:
    application: Any = with_providers(devices={"random": apps.Dice()})  # type: ignore[dict-item]
    sentence = told(application)[0]
    assert sentence.startswith("devices={...} of plain (applications.py) has <")
    assert sentence.endswith("which is no provider: give a function or a class that makes the device")


@pytest.mark.parametrize(
    ("configuration", "sentence"),
    [
        ({"baked": {"prt": "1"}}, "the build sets the key prt, and there is none (is port meant?)"),
        ({"keys": {"prt": "1"}}, "[tool.sarab.keys] sets the key prt, and there is none (is port meant?)"),
        ({"keys": {"port": "x"}}, "the key port wants a whole number, and 'x' is not ([tool.sarab.keys])"),
        ({"devices": {"random": "nowhere:x"}},
         "[tool.sarab.devices] random names nowhere:x, and that cannot be imported: No module named 'nowhere'"),
        ({"devices": {"random": "sarab.errors:x"}},
         "[tool.sarab.devices] random names sarab.errors:x, and sarab.errors has no x"),
        ({"devices": {"random": "sarab"}},
         "[tool.sarab.devices] random names 'sarab', and a provider is named as package.module:function"),
    ],
)  # fmt: skip
def test_pyproject_and_the_build_are_checked(configuration: Mapping[str, Any], sentence: str) -> None:
    assert told(with_providers(apps.dice), **configuration)[0] == sentence


def test_parameters_that_nobody_can_understand() -> None:
    async def setting(port: int) -> None: ...
    async def bare(port) -> None: ...  # type: ignore[no-untyped-def]
    async def many(*disks: Block) -> None: ...

    where = "test_graph.py"
    assert told(unikernel(setting))[0] == (
        f"{where}: setting's parameter port is an int, which is no device: a setting is written "
        "`port: Annotated[int, Key(...)]`"
    )
    assert told(unikernel(bare))[0] == (
        f"{where}: bare's parameter port has no annotation: write the device's type, or Annotated[TYPE, Key(...)]"
    )
    assert told(unikernel(many))[0] == (
        f"{where}: many takes any number of arguments (*disks): nobody can know which devices these are"
    )


def test_a_name_that_is_near_one_of_sarabs() -> None:
    class Blok: ...

    @unikernel
    async def near(data: Blok) -> None: ...

    near.function.__annotations__["data"] = Blok
    sentence = told(near, shipped={"sarab.device.block:Block": apps.Disk})[0]
    assert sentence == "nobody provides Blok for near's data (is Block meant?)"


def test_choose_wants_something_to_choose() -> None:
    with pytest.raises(ValueError, match="has no providers"):
        choose("x", {})
    with pytest.raises(ValueError, match="'c' is none of a"):
        choose("x", {"a": apps.dice}, default="c")


def test_a_provider_may_need_what_only_sarab_has() -> None:
    shipped = {"sarab.device.key_value:KeyValue": stored}
    assert makers(graph(with_providers(apps.first), shipped=shipped)) == {
        "random:KeyValue": "stored",
        "random:Random": "first",
    }


def stored() -> KeyValue:
    raise NotImplementedError
