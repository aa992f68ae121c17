"""A graph opened where it was resolved, with no main module between: `python app.py`, and tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from sarab.wiring.errors import WiringError
from sarab.wiring.graph import APPLICATION, Configuration, Device, Graph, resolve
from sarab.wiring.keys import Name
from sarab.wiring.run import Lifetimes, refuse
from sarab.wiring.run import run as run_start
from sarab.wiring.settings import Values
from sarab.wiring.unikernel import Unikernel


def run(application: Unikernel[Any], arguments: Sequence[str]) -> NoReturn:
    """Run an application as this Linux process, and exit."""
    try:
        graph = resolve(application, "process", Configuration())
    except WiringError as error:
        refuse("\n       ".join([str(error), *error.chain]))

    async def start(life: Lifetimes, keys: Values) -> int | None:
        return await call(graph, life, keys)

    run_start(
        start,
        name=application.name,
        doc=" ".join((application.__doc__ or "").strip().partition("\n\n")[0].split()),
        settings=[node.setting for node in graph.keys],
        needs=graph.machine,
        raw=graph.raw,
        arguments=arguments,
    )


async def call(graph: Graph, life: Lifetimes, keys: Values) -> int | None:
    """Open the devices of a graph and call its application with them and with `keys`; return its status."""
    opened: dict[int, Any] = {}
    for device in graph.devices:
        opened[id(device)] = await _open(device, opened, life, keys.get(device.identity, {}))
    words: dict[str, Any] = {name: opened[id(device)] for name, device in graph.parameters.items()}
    words |= keys.get(APPLICATION, {})
    first, rest = _split(graph.signature.parameters, words)
    status: int | None = await graph.application.function(*first, **rest)
    return status


async def _open(device: Device, opened: Mapping[int, Any], life: Lifetimes, keys: Mapping[str, Any]) -> Any:
    signature = device.signature
    if signature is None:
        return device.instance
    words = {name: opened[id(needed)] for name, needed in device.needs.items()} | dict(keys)
    for parameter in signature.parameters:
        if parameter.is_name:
            words[parameter.name] = Name(device.called)
    first, rest = _split(signature.parameters, words)
    made = signature.function(*first, **rest)
    if signature.making == "awaited":
        made = await life.awaited(made)
    elif signature.making == "generator":
        made = await life.generator(made)
    elif signature.making == "iterator":
        made = await life.iterator(made)
    return await life.context(made) if signature.entered else made


def _split(parameters: Sequence[Any], words: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    positional = [parameter.name for parameter in parameters if parameter.positional and parameter.name in words]
    return [words[name] for name in positional], {n: v for n, v in words.items() if n not in positional}
