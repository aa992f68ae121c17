"""A plan for people: a tree of devices, a table of keys, what the machine must offer; and for graphviz and programs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence

from sarab.build.plan import Device, Plan, PlannedKey, shown


def text(plan: Plan, application: str) -> list[str]:
    """Lines that say all of it; `application` is what `sarab run` takes."""
    entry = plan.entry
    lines = [f"{entry.title} ({shown(entry.file)}:{entry.line}), on the target {plan.target}"]
    first = entry.doc.partition("\n\n")[0].split()
    if first:
        lines.append(f"    {' '.join(first)}")
    lines += ["", "devices"]
    lines += _aligned(list(_tree(plan))) or ["    none"]
    lines += ["", "keys"]
    lines += _aligned([_key_row(key) for key in plan.keys]) or ["    none"]
    if plan.target != "test":
        where = "machine" if plan.target == "machine" else "process"
        lines += ["", where]
        many = len(plan.of_machine("network")) > 1
        lines += _aligned([_machine_row(kind, name, many) for kind, name in plan.machine]) or ["    nothing"]
        lines += ["", "run it", f"    {command(plan, application)}"]
    return [line.rstrip() for line in lines]


def command(plan: Plan, application: str) -> str:
    """The command line that runs it, with all that it cannot do without."""
    words = ["sarab run", *(["--on process"] if plan.target == "process" else [])]
    words += [f"--block {name}=FILE" for name in plan.of_machine("block")]
    cards = len(plan.of_machine("network"))
    words += ["--tap NAME"] * (cards if cards > 1 else 0)
    words.append(application)
    needed = [key for key in plan.keys if key.required and key.value is None]
    if needed:
        words += ["--", *(f"--{key.name} {_wanted(key)}" for key in needed)]
    return " ".join(words)


def dot(plan: Plan) -> str:
    """The graph for graphviz."""
    lines = [f"digraph {_quoted(plan.entry.title)} {{", "    rankdir=LR;", "    node [shape=box, style=rounded];"]
    lines.append(f"    {_quoted('')} [label={_quoted(title(plan))}, style=bold];")
    for device in plan.devices:
        style = "" if device.shipped else ", style=filled"
        label = f"{plan.label(device)}\n{device.short_maker}"
        lines.append(f"    {_quoted(device.id)} [label={_quoted(label)}{style}];")
    for kind, name in plan.machine:
        lines.append(f"    {_quoted(f'machine {kind} {name}')} [label={_quoted(f'{kind} {name}')}, shape=component];")
    for start, end, label in edges(plan):
        lines.append(f"    {_quoted(start)} -> {_quoted(end)} [label={_quoted(label)}];")
    return "\n".join([*lines, "}"]) + "\n"


def as_json(plan: Plan | None) -> str:
    """What an image's manifest says too, with this machine's paths; `null` for a plain program."""
    if plan is None:
        return "null"
    values = {
        "target": plan.target,
        "entry": vars(plan.entry),
        "devices": [{**vars(device), "needs": dict(device.needs)} for device in plan.devices],
        "parameters": dict(plan.parameters),
        "keys": [{**vars(key), "choices": list(key.choices)} for key in plan.keys],
        "machine": [{"kind": kind, "name": name} for kind, name in plan.machine],
    }
    return json.dumps(values, indent=2)


def title(plan: Plan) -> str:
    """Of a picture: the name, and the file without its folder."""
    return f"{plan.entry.title}\n{os.path.basename(plan.entry.file)}:{plan.entry.line}"


def edges(plan: Plan) -> list[tuple[str, str, str]]:
    """(who needs, what is needed, the parameter); the application is the empty text."""
    found = [("", identity, parameter) for parameter, identity in plan.parameters.items()]
    for device in plan.devices:
        found += [(device.id, identity, parameter) for parameter, identity in device.needs.items()]
        machine = plan.machine_of(device)
        if machine is not None:
            found.append((device.id, f"machine {machine[0]} {machine[1]}", ""))
    return found


def _tree(plan: Plan) -> Iterable[Sequence[str]]:
    devices = {device.id: device for device in plan.devices}
    told: set[str] = set()

    def below(needs: Iterable[tuple[str, str]], depth: int) -> Iterable[Sequence[str]]:
        for parameter, identity in needs:
            device = devices.get(identity)
            if device is None:
                continue
            name = f"{'  ' * depth}{parameter}: {device.type}"
            again = identity in told and bool(device.needs)
            told.add(identity)
            yield name, device.maker, "as above" if again else _stands_on(plan, device)
            if not again:
                yield from below(device.needs.items(), depth + 1)

    yield from below(plan.parameters.items(), 0)


def _stands_on(plan: Plan, device: Device) -> str:
    machine = plan.machine_of(device)
    return "" if machine is None else f"on the {'card' if machine[0] == 'network' else 'disk'} {machine[1]}"


def _key_row(key: PlannedKey) -> Sequence[str]:
    value = key.value if key.value is not None else "required" if key.required else ""
    notes = [key.doc]
    if key.baked is not None:
        notes.append("(baked in)")
    elif key.configured is not None:
        notes.append("([tool.sarab.keys])")
    elif key.stage == "boot":
        notes.append("(at boot only)")
    elif key.stage == "build":
        notes.append("(at build only)")
    return key.word + ("" if key.flag else f" {_wanted(key)}"), value, " ".join(filter(None, notes))


def _wanted(key: PlannedKey) -> str:
    return key.type.upper().replace(" ", "-")


def _machine_row(kind: str, name: str, is_one_of_many: bool) -> Sequence[str]:
    if kind == "block":
        return f"block {name}", f"--block {name}=FILE"
    return f"{kind} {name}", "--tap NAME" if is_one_of_many else "--tap NAME, or behind this host's network"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max((len(row[column]) for row in rows if column < len(row)), default=0) for column in range(3)]
    return ["    " + "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)) for row in rows]


def _quoted(word: str) -> str:
    """A text as graphviz reads it."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
