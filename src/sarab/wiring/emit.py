"""The main module of a graph: straight-line typed Python, which mypy checks and an image starts (decision 0060)."""

from __future__ import annotations

import enum
from typing import Any

from sarab.wiring.errors import WiringError
from sarab.wiring.graph import APPLICATION, Device, Graph, KeyNode
from sarab.wiring.signature import Parameter, Signature, title, type_name, where


class Source:
    """A main module, and what each of its lines means to the application's author."""

    def __init__(self, graph: Graph, entry: str) -> None:
        """`entry` is module:name of the application."""
        self.lines: list[str] = []
        self.meanings: dict[int, str] = {}
        """Line, from 1 -> a sentence."""
        self._graph = graph
        self._module, _, self._name = entry.partition(":")
        self._imports = {"sarab.wiring.run", "sarab.wiring.settings", self._module}
        self._variables = {id(device): f"device_{index}" for index, device in enumerate(graph.devices)}
        for device in graph.devices:
            plain = device.name.replace("-", "_")
            wish = f"{plain}_device" if plain.isidentifier() else ""
            if wish and wish not in self._variables.values():
                self._variables[id(device)] = wish
        self._write()

    def text(self) -> str:
        """Return the module's source."""
        return "".join(line + "\n" for line in self.lines)

    def _write(self) -> None:
        graph = self._graph
        body: list[tuple[str, str]] = []
        settings = self._settings()
        body.append(
            (
                "async def _start(life: sarab.wiring.run.Lifetimes, keys: sarab.wiring.settings.Values) -> int | None:",
                "",
            )
        )
        for device in graph.devices:
            body += self._opening(device)
        entry = f"{self._module}.{self._name}"
        doc = f"{title(graph.application)} ({where(graph.application)})"
        body.append((f"    return await {entry}(", f"{doc} is called"))
        body += [
            (f"        {line}", meaning)
            for line, meaning in self._arguments(graph.signature, APPLICATION, graph.parameters, doc)
        ]
        body.append(("    )", ""))
        body += [("", ""), ("", ""), ("sarab.wiring.run.run(", ""), ("    _start,", "")]
        body.append((f"    name={graph.application.name!r},", ""))
        text = (graph.application.__doc__ or "").strip().partition("\n\n")[0]
        body.append((f"    doc={' '.join(text.split())!r},", ""))
        body += [("    settings=[", ""), *((f"        {line}", "") for line in settings), ("    ],", "")]
        body.append((f"    needs={graph.machine!r},", ""))
        if graph.machine:
            self._imports.add("sarab.wiring.needs")  # run() asks it only then, and sarab.build.hooks counts on it
        if graph.raw:
            body.append((f"    raw={graph.raw!r},", ""))
        body.append((")", ""))
        head = [f'"""Starts {entry} on the target {graph.target}: made by sarab from its signature."""', ""]
        head += [f"import {module}" for module in sorted(self._imports)]
        head += ["", ""]
        self.lines = head + [line for line, _ in body]
        self.meanings = {len(head) + index: meaning for index, (_, meaning) in enumerate(body, 1) if meaning}

    def _opening(self, device: Device) -> list[tuple[str, str]]:
        signature = device.signature
        assert signature is not None
        who = f"{title(signature.function)} ({where(signature.function)})"
        call = self._reference(signature.function)
        arguments = self._arguments(signature, device.identity, device.needs, who, device.called)
        meaning = f"{who} makes {device.name}: {type_name(device.wanted)}"
        opened = f"{call}("
        closed = ")"
        if signature.making == "awaited":
            opened, closed = f"await life.awaited({opened}", f"{closed})"
        elif signature.making != "value":
            opened, closed = f"await life.{signature.making}({opened}", f"{closed})"
        if signature.entered:
            opened, closed = f"await life.context({opened}", f"{closed})"
        elif signature.making == "value":
            opened, closed = f"life.value({opened}", f"{closed})"
        variable = self._variables[id(device)]
        if not arguments:
            return [(f"    {variable} = {opened}{closed}", meaning)]
        lines = [(f"    {variable} = {opened}", meaning)]
        lines += [(f"        {line}", told) for line, told in arguments]
        return [*lines, (f"    {closed}", "")]

    def _arguments(
        self, signature: Signature, owner: str, needs: dict[str, Device], who: str, called: str = ""
    ) -> list[tuple[str, str]]:
        lines = []
        baked = {node.setting.parameter: node for node in self._graph.keys if node.setting.owner == owner}
        given = False
        for parameter in signature.parameters:
            word = "" if parameter.positional else f"{parameter.name}="
            if parameter.is_name:
                self._imports.add("sarab.wiring.keys")
                lines.append((f"{word}sarab.wiring.keys.Name({called!r}),", ""))
            elif parameter.name in needs:
                device = needs[parameter.name]
                maker = device.signature
                assert maker is not None
                lines.append(
                    (
                        f"{word}{self._variables[id(device)]},",
                        f"{who} needs {parameter.name}: {type_name(parameter.annotation)} "
                        f"({where(signature.function, parameter.name)}), and {title(maker.function)} "
                        f"({where(maker.function)}) makes {type_name(maker.provides)}",
                    )
                )
            elif parameter.kind is not None:
                literal = self._literal(parameter, baked[parameter.name])
                if literal is None:
                    given = True
                else:
                    lines.append((f"{word}{literal},", f"the key {baked[parameter.name].setting.name} of {who}"))
        if given:
            lines.append((f"**keys.get({owner!r}, {{}}),", ""))
        return lines

    def _literal(self, parameter: Parameter, node: KeyNode) -> str | None:
        """Return the source of a baked value; None: it is not known before the boot."""
        text = node.setting.baked
        if text is None:
            return None
        value = node.setting.read(text)
        if type(value) in (int, float, str, bool, bytes):
            return repr(value)
        if isinstance(value, enum.Enum):
            return f"{self._reference(type(value))}.{value.name}"
        return f"{self._reader(node)}({text!r})"

    def _settings(self) -> list[str]:
        lines = []
        for node in self._graph.keys:
            setting = node.setting
            self._imports.add("sarab.wiring.settings")
            words = [repr(setting.owner), repr(setting.parameter), repr(setting.name), self._reader(node)]
            plain = type(setting)._field_defaults
            for field in setting._fields[4:]:
                value = getattr(setting, field)
                if field == "baked" and value is not None and setting.secret:
                    value = ""
                if value != plain[field]:
                    words.append(f"{field}={value!r}")
            lines.append(f"sarab.wiring.settings.Setting({', '.join(words)}),")
        return lines

    def _reader(self, node: KeyNode) -> str:
        if node.kind is None or (node.setting.baked is not None and node.setting.stage == "build"):
            self._imports.add("sarab.wiring.values")
            if node.kind is None:
                return "sarab.wiring.values.text"
        assert node.kind is not None
        pieces = []
        for piece in node.kind.source:
            if isinstance(piece, str):
                if "sarab.wiring.values." in piece:
                    self._imports.add("sarab.wiring.values")
                pieces.append(piece)
            else:
                pieces.append(self._reference(piece))
        return "".join(pieces)

    def _reference(self, found: Any) -> str:
        """Return how a module names a function or a class. Raises WiringError if it cannot."""
        module, path = getattr(found, "__module__", ""), getattr(found, "__qualname__", "")
        if not path or not module or "<" in path or _at(module, path) is not found:
            why = "is made inside a function" if "<locals>" in path else "has no name of its own in its module"
            if "<lambda>" in path:
                why = "is a lambda, which says no types"
            raise WiringError(
                f"{title(found)} ({where(found)}) {why}: write it at the top level of a module, so that an image can "
                "import it"
            )
        self._imports.add(module)
        return f"{module}.{path}"


def _at(module: str, path: str) -> Any:
    from importlib import import_module

    found: Any = import_module(module)
    for name in path.split("."):
        found = getattr(found, name, None)
    return found


def describe(graph: Graph, entry: str) -> dict[str, Any]:
    """Return the plan of a graph, as JSON has it (decision 0060)."""
    from sarab.wiring.signature import place

    source = Source(graph, entry)
    module, _, name = entry.partition(":")
    file, line = place(graph.application)
    devices = []
    for device in graph.devices:
        assert device.signature is not None
        maker = device.signature.function
        at, number = place(maker)
        devices.append(
            {
                "id": device.identity,
                "name": device.name,
                "type": type_name(device.wanted),
                "provides": type_name(device.signature.provides),
                "provider": f"{maker.__module__}:{maker.__qualname__}",
                "shipped": device.shipped,
                "file": at,
                "line": number,
                "called": device.called,
                "needs": {parameter: needed.identity for parameter, needed in device.needs.items()},
            }
        )
    keys = []
    for node in graph.keys:
        setting = node.setting
        at, number = place(node.function, setting.parameter)
        hidden = setting.secret
        keys.append(
            {
                "name": setting.name,
                "type": setting.kind,
                "doc": setting.doc,
                "default": setting.default,
                "baked": None if setting.baked is None else "" if hidden else setting.baked,
                "configured": None if setting.configured is None else "" if hidden else setting.configured,
                "required": setting.required,
                "stage": setting.stage,
                "secret": setting.secret,
                "flag": setting.flag,
                "many": setting.many,
                "choices": list(node.kind.choices) if node.kind is not None else setting.kind.split("|"),
                "environment": setting.variable,
                "owner": setting.owner,
                "file": at,
                "line": number,
            }
        )
    doc = (graph.application.__doc__ or "").strip()
    return {
        "format": 1,
        "target": graph.target,
        "entry": {
            "module": module,
            "name": name,
            "file": file,
            "line": line,
            "doc": doc,
            "title": graph.application.name,
        },
        "devices": devices,
        "parameters": {parameter: device.identity for parameter, device in graph.parameters.items()},
        "keys": keys,
        "machine": [{"kind": kind, "name": called} for kind, called in graph.machine],
        "raw": graph.raw,
        "source": source.text(),
        "lines": {str(number): meaning for number, meaning in source.meanings.items()},
    }
