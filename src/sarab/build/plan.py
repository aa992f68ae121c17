"""How a wired application is put together on one target, as `python -m sarab.wiring.read` answers (decision 0060)."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sarab.build.errors import WiringError

FORMAT = 1
CARD = "eth0"
OVER_THE_CARD = frozenset({"Stack", "TCP", "UDP", "IP", "Resolver", "Ethernet"})
"""What sarab makes of these stands on the machine's first card."""
NAMED = frozenset({"Block", "KeyValue", "FileSystem", "Network", "Ethernet"})
"""Each name is another device; of other types there is one (decision 0060)."""
SECRET = "(secret)"
"""What is shown of a secret's value."""


@dataclass(frozen=True)
class Entry:
    """The application's function."""

    module: str
    name: str
    file: str
    line: int
    doc: str = ""
    title: str = ""
    """What the person calls the application."""


@dataclass(frozen=True)
class Device:
    """A device that is opened, and what it needs."""

    id: str
    name: str
    type: str
    provider: str
    """module:name of what makes it."""
    shipped: bool
    """Whether the provider is sarab's own."""
    file: str
    line: int
    called: str
    """What the machine calls it, or what its provider is told."""
    needs: Mapping[str, str]
    """Parameter -> id of the device."""

    @property
    def maker(self) -> str:
        """Who makes it, as a person would say it."""
        return self._made(shown(self.file))

    @property
    def short_maker(self) -> str:
        """The same for a picture, in which folders are too long."""
        return self._made(Path(self.file).name)

    def _made(self, file: str) -> str:
        return "sarab" if self.shipped else f"{self.provider.rpartition(':')[2]} ({file}:{self.line})"


@dataclass(frozen=True)
class PlannedKey:
    """A setting."""

    name: str
    type: str
    doc: str
    default: str | None
    baked: str | None
    """What the build was given; of a secret, only that it was."""
    configured: str | None
    """What pyproject.toml says; of a secret, only that it does."""
    required: bool
    stage: str
    """`any`, `build` or `boot`: when it can be given."""
    secret: bool
    choices: tuple[str, ...]
    flag: bool
    """Yes or no: --name and --no-name."""
    many: bool
    """It may be given again, for a longer list."""
    environment: str
    owner: str
    """The application's function, or the id of the device whose provider takes it."""
    file: str
    line: int

    @property
    def word(self) -> str:
        """What a command line has of it."""
        return f"--[no-]{self.name}" if self.flag else f"--{self.name}"

    @property
    def value(self) -> str | None:
        """What it is if nobody says anything at boot; None if it must be said."""
        if self.secret and (self.baked is not None or self.configured is not None):
            return SECRET
        return (
            self.baked if self.baked is not None else self.configured if self.configured is not None else self.default
        )


@dataclass(frozen=True)
class Plan:
    """Devices stand in the order of their opening."""

    target: str
    entry: Entry
    devices: tuple[Device, ...]
    parameters: Mapping[str, str]
    """The application's parameter -> id of its device."""
    keys: tuple[PlannedKey, ...]
    machine: tuple[tuple[str, str], ...]
    """(kind, name) of what the machine must offer."""
    source: str = field(repr=False)
    """The main module."""
    lines: Mapping[int, str] = field(repr=False)
    """Line of the main module -> what it does, with file:line of who asked."""

    def of_machine(self, kind: str) -> list[str]:
        """The names of the machine's devices of a kind."""
        return [name for one, name in self.machine if one == kind]

    def label(self, device: Device) -> str:
        """A device as a picture has it: with its name, if there could be another of its type."""
        alike = sum(other.type == device.type for other in self.devices)
        is_named = alike > 1 or _plain(device.type) in NAMED
        return f"{device.name}: {device.type}" if is_named else device.type

    @property
    def has_stack(self) -> bool:
        """Whether sarab's network stack is in it, which drives every card that nobody asks for by name."""
        return any(device.shipped and _plain(device.type) in OVER_THE_CARD for device in self.devices)

    def machine_of(self, device: Device) -> tuple[str, str] | None:
        """What of the machine a device stands on."""
        if not device.shipped:
            return None
        type_name = _plain(device.type)
        kind = "block" if type_name == "Block" else "network"
        wanted = kind, CARD if type_name in OVER_THE_CARD else device.called
        stands = type_name in ("Block", "Network") or (type_name in OVER_THE_CARD and not device.needs)
        return wanted if stands and wanted in self.machine else None

    def manifest(self, root: Path) -> dict[str, Any]:
        """What an image says of itself: nothing that is secret, and no path of this machine."""
        return {
            "target": self.target,
            "entry": {**vars(self.entry), "file": _within(self.entry.file, root)},
            "devices": [
                {
                    "id": d.id, "name": d.name, "type": d.type, "provider": d.provider, "shipped": d.shipped,
                    "file": _within(d.file, root), "line": d.line, "called": d.called, "needs": dict(d.needs),
                }
                for d in self.devices
            ],
            "parameters": dict(self.parameters),
            "keys": [_public(key, root) for key in self.keys],
            "machine": [{"kind": kind, "name": name} for kind, name in self.machine],
        }  # fmt: skip


def _plain(type_name: str) -> str:
    return type_name.rpartition(".")[2]


def _public(key: PlannedKey, root: Path) -> dict[str, Any]:
    values = {**vars(key), "choices": list(key.choices), "file": _within(key.file, root)}
    if key.secret:
        values.update(default=None, baked=_hidden(key.baked), configured=_hidden(key.configured))
    return values


def _hidden(value: str | None) -> str | None:
    return None if value is None else SECRET


def shown(file: str) -> str:
    """A path as the person would write it: from the working directory, if it is below that."""
    relative = os.path.relpath(file) if os.path.isabs(file) else file
    return file if relative.startswith("..") else relative


def _within(file: str, root: Path) -> str:
    """A file of the application as its folder has it, any other by its name: two checkouts give one image."""
    path = Path(file)
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name


def load(text: str | bytes | Mapping[str, Any]) -> Plan:
    """The plan that a reader answered, or that a manifest holds. Raises WiringError for what is no plan."""
    try:
        values = json.loads(text) if isinstance(text, (str, bytes)) else text
        if values.get("format", FORMAT) != FORMAT:
            raise ValueError("format")
        return Plan(
            str(values["target"]),
            _entry(values["entry"]),
            tuple(map(_device, values["devices"])),
            _texts(values["parameters"]),
            tuple(map(_key, values["keys"])),
            tuple((str(item["kind"]), str(item["name"])) for item in values["machine"]),
            str(values.get("source", "")),
            {int(number): str(line) for number, line in values.get("lines", {}).items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WiringError("The plan of the application's wiring is not one that this sarab understands.") from error


def _entry(value: Any) -> Entry:
    return Entry(
        str(value["module"]),
        str(value["name"]),
        str(value["file"]),
        int(value["line"]),
        str(value.get("doc") or ""),
        str(value.get("title") or value["name"]),
    )


def _device(value: Any) -> Device:
    return Device(
        str(value["id"]),
        str(value["name"]),
        str(value["type"]),
        str(value["provider"]),
        bool(value["shipped"]),
        str(value["file"]),
        int(value["line"]),
        str(value.get("called") or value["name"]),
        _texts(value["needs"]),
    )


def _key(value: Any) -> PlannedKey:
    return PlannedKey(
        name=str(value["name"]),
        type=str(value["type"]),
        doc=str(value.get("doc") or ""),
        default=_text_or_none(value.get("default")),
        baked=_text_or_none(value.get("baked")),
        configured=_text_or_none(value.get("configured")),
        required=bool(value["required"]),
        stage=str(value["stage"]),
        secret=bool(value["secret"]),
        choices=tuple(map(str, value.get("choices") or ())),
        flag=bool(value.get("flag")),
        many=bool(value.get("many")),
        environment=str(value["environment"]),
        owner=str(value["owner"]),
        file=str(value["file"]),
        line=int(value["line"]),
    )


def _texts(value: Any) -> dict[str, str]:
    return {str(name): str(item) for name, item in value.items()}


def _text_or_none(value: Any) -> str | None:
    return None if value is None else str(value)
