"""From an application's signature to the devices that it gets: who provides what, in which order (decision 0060)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib import import_module
from typing import Any, NamedTuple

from sarab.wiring import values as texts
from sarab.wiring.errors import KeyProblem, WiringError
from sarab.wiring.settings import Setting, read_value
from sarab.wiring.signature import (
    EMPTY,
    Kind,
    Parameter,
    Signature,
    fits,
    lacking,
    makes_awaitable,
    read,
    title,
    type_name,
    where,
)
from sarab.wiring.target import TARGETS
from sarab.wiring.unikernel import Choice, Named, Provider, Unikernel

PER_NAME = {
    f"sarab.device.{name}"
    for name in ("block:Block", "key_value:KeyValue", "file_system:FileSystem", "network:Network", "ethernet:Ethernet")
}
"""Of these each name is another device."""
OVER_THE_STACK = {f"sarab.device.stack:{name}" for name in ("Stack", "TCP", "UDP", "IP", "Resolver")} | {
    "sarab.device.ethernet:Ethernet"
}
"""What sarab makes of these stands on the machine's first card, which the network stack drives."""
RAW_CARD = "sarab.device.network:Network"
DISK = "sarab.device.block:Block"
DISK_NAME_MAX = 20
DISK_NAME = re.compile(rf"[a-z0-9_-]{{1,{DISK_NAME_MAX}}}")
"""A disk is found by its serial number, which has 20 bytes (virtio 1.3 section 5.2.6.1); sarab.machine.block agrees."""
DEVICES_MAX = 256
"""In one graph: more is a mistake that makes ever new ones."""
APPLICATION = ""
"""The owner of the application's own keys."""


class KeyNode(NamedTuple):
    """A key of the graph."""

    setting: Setting
    kind: Kind | None
    """None: it chooses a provider."""
    function: Any
    """Whose parameter it is."""


@dataclass
class Device:
    """One device of the graph."""

    identity: str
    name: str
    wanted: Any
    """The type that was asked for."""
    signature: Signature | None
    """None: it was given ready-made."""
    shipped: bool = False
    instance: Any = None
    needs: dict[str, Device] = field(default_factory=dict)
    """Parameter -> device."""
    called: str = ""
    """What its provider is told as its name; of a card the machine's name for it."""
    chain: str = ""
    """Who asked for it first."""


@dataclass
class Graph:
    """An application with everything that it gets."""

    target: str
    application: Unikernel[Any]
    signature: Signature
    devices: list[Device] = field(default_factory=list)
    """In the order of their opening."""
    parameters: dict[str, Device] = field(default_factory=dict)
    """The application's own."""
    keys: list[KeyNode] = field(default_factory=list)
    machine: list[tuple[str, str]] = field(default_factory=list)
    """(kind, name) of what the machine must offer: network, block."""
    raw: list[str] = field(default_factory=list)
    """Cards that the stack must leave alone."""


class Configuration(NamedTuple):
    """What is known beside the application's code."""

    baked: Mapping[str, str] = {}
    """Keys that the build was given."""
    keys: Mapping[str, str] = {}
    """[tool.sarab.keys], as texts."""
    devices: Mapping[str, str] = {}
    """[tool.sarab.devices]: name -> module:function."""
    given: Mapping[str, object] = {}
    """Parameter -> a device that is there already, or a provider (sarab.testing)."""
    shipped: Mapping[str, Any] | None = None
    """Type -> provider, instead of sarab's own for the target."""


def resolve(application: Unikernel[Any], target: str, configuration: Configuration | None = None) -> Graph:
    """Return the graph of an application. Raises WiringError."""
    return _Resolver(application, target, configuration or Configuration()).graph()


def _value(kind: Kind, text: str) -> Any:
    """Return what a text is as a value of a kind; None if it is none."""
    try:
        return kind.read(text)
    except ValueError:
        return None


def type_key(kind: Any) -> str:
    """Return how tables name a type: module:qualname."""
    return f"{getattr(kind, '__module__', '')}:{getattr(kind, '__qualname__', '')}"


def load(reference: str, who: str) -> Any:
    """Return what `module:name` names. Raises WiringError, naming `who` says so."""
    module_name, colon, path = reference.partition(":")
    if not colon or not path:
        raise WiringError(f"{who} names {reference!r}, and a provider is named as package.module:function")
    try:
        found: Any = import_module(module_name)
        for name in path.split("."):
            found = getattr(found, name)
    except ImportError as error:
        raise WiringError(f"{who} names {reference}, and that cannot be imported: {error}") from None
    except AttributeError:
        raise WiringError(f"{who} names {reference}, and {module_name} has no {path}") from None
    return found


class _Candidate(NamedTuple):
    provider: Any
    signature: Signature
    names: Mapping[str, str]
    shipped: bool
    layer: str


class _Resolver:
    def __init__(self, application: Unikernel[Any], target: str, configuration: Configuration) -> None:
        if target not in TARGETS:
            raise WiringError(f"there is no target {target}: the targets are {', '.join(TARGETS)}")
        self.application, self.target, self.configuration = application, target, configuration
        self.signature = read(application.function, application=True)
        self.result = Graph(target, application, self.signature)
        self._made: dict[tuple[int, str], Device] = {}
        self._opening: list[tuple[int, str, str]] = []
        """Of every device that is being resolved: its provider, its name, the line of the chain."""
        self._signatures: dict[int, tuple[Any, Signature]] = {}
        self._identities: set[str] = set()
        self._wanted_names: set[str] = set()
        shipped = configuration.shipped
        self._shipped: Mapping[str, Any] = (
            import_module(f"sarab.wiring.providers.{target}").PROVIDERS if shipped is None else shipped
        )

    def graph(self) -> Graph:
        result = self.result
        function = self.application.function
        if not makes_awaitable(function):
            raise WiringError(f"{where(function)}: {title(function)} is no async function: write `async def`")
        for parameter in self.signature.parameters:
            if parameter.is_name:
                raise WiringError(
                    f"{where(function, parameter.name)}: {title(function)}'s parameter {parameter.name} is a Name: "
                    "only a provider has one"
                )
            if parameter.kind is not None:
                self._add_key(APPLICATION, parameter, function, "")
                continue
            device = self._need(function, parameter, parameter.called or parameter.name)
            if device is not None:
                result.parameters[parameter.name] = device
        self._check_names()
        self._check_keys()
        self._name_machine()
        return result

    # ---- devices -------------------------------------------------------------------------------------------------

    def _need(self, function: Any, parameter: Parameter, name: str) -> Device | None:
        wanted = parameter.annotation
        line = f"{title(function)} ({where(function, parameter.name)}) needs {parameter.name}: {type_name(wanted)}"
        self._wanted_names.add(name)
        given = self.configuration.given
        if name in given and function is self.application.function:
            ready = self._ready(given[name], wanted, name, parameter, line)
            if ready is not None:
                return ready
        candidate = self._candidate(wanted, name, line, function is self.application.function)
        if candidate is None:
            if parameter.default is not EMPTY:
                return None
            raise WiringError(self._nobody(wanted, name, function, parameter), self._chain(line))
        return self._device(candidate, wanted, name, line)

    def _ready(self, device: object, wanted: Any, name: str, parameter: Parameter, line: str) -> Device | None:
        if isinstance(device, (Choice, Named)) or (callable(device) and not fits(type(device), wanted)):
            return None  # a provider: one of the candidates
        if not fits(type(device), wanted):
            faults = ", ".join(lacking(type(device), wanted)) or f"it is a {type_name(type(device))}"
            text = f"{name} is to be {type_name(wanted)}, and what was given is none: {faults}"
            raise WiringError(text, self._chain(line))
        made = Device(self._identity(name, wanted), name, wanted, None, instance=device)
        self.result.devices.append(made)
        return made

    def _candidate(self, wanted: Any, name: str, line: str, is_applications: bool) -> _Candidate | None:
        busy = {provider for provider, _, _ in self._opening}
        named = self._named(name)
        if named is not None and id(named.provider) not in busy:
            if fits(named.signature.provides, wanted):
                return named
            if is_applications:
                raise WiringError(
                    f"{named.layer} gives {name} {title(named.provider)} ({where(named.provider)}), which provides "
                    f"{type_name(named.signature.provides)}, and {type_name(wanted)} is needed: "
                    f"{self._why(named.signature.provides, wanted)}",
                    self._chain(line),
                )
        own = [self._read(provider, "providers", False) for provider in self.application.providers]
        found = self._best([c for c in own if id(c.provider) not in busy], wanted, name, line)
        if found is None:
            reference = self._shipped.get(type_key(wanted))
            if reference is not None:
                return self._read(self._load_shipped(reference), "sarab", True)
            others = [self._read(self._load_shipped(r), "sarab", True) for r in dict.fromkeys(self._shipped.values())]
            found = self._best([c for c in others if id(c.provider) not in busy], wanted, name, line)
        return found

    def _named(self, name: str) -> _Candidate | None:
        given = self.configuration.given.get(name)
        if given is not None and (isinstance(given, (Choice, Named)) or callable(given)):
            return self._read(given, "the test", False)
        if name in self.application.devices:
            return self._read(self.application.devices[name], "devices={...}", False)
        reference = self.configuration.devices.get(name)
        if reference is not None:
            return self._read(load(reference, f"[tool.sarab.devices] {name}"), "[tool.sarab.devices]", False)
        return None

    def _load_shipped(self, reference: Any) -> Any:
        return load(reference, "sarab's own table") if isinstance(reference, str) else reference

    def _read(self, provider: Provider, layer: str, shipped: bool) -> _Candidate:
        names: dict[str, str] = {}
        inner: Any = provider
        while isinstance(inner, (Choice, Named)):
            if isinstance(inner, Named):
                names = {**inner.names, **names}
                inner = inner.provider
            else:
                inner = self._chosen(inner)
        if not callable(inner):
            raise WiringError(
                f"{layer} of {title(self.application)} ({where(self.application)}) has {inner!r}, which is no "
                "provider: give a function or a class that makes the device"
            )
        kept = self._signatures.get(id(inner))
        if kept is None:
            kept = self._signatures[id(inner)] = inner, read(inner)
        signature = kept[1]
        for parameter in names:
            known = [p.name for p in signature.parameters if p.kind is None and not p.is_name]
            if parameter not in known:
                raise WiringError(
                    f"named({title(inner)}, {parameter}=...): it needs no device {parameter}"
                    + (f", but {', '.join(known)}" if known else "")
                )
        return _Candidate(inner, signature, names, shipped, layer)

    def _chosen(self, choice: Choice) -> Provider:
        text = self.configuration.baked.get(choice.key, self.configuration.keys.get(choice.key, choice.default))
        name = choice.key.replace("_", "-")
        node = next((key for key in self.result.keys if key.setting.name == name), None)
        if node is None:
            setting = Setting(
                f"choice of {name}", name, name, texts.one_of(*choice.providers), choice.doc,
                "|".join(choice.providers), choice.default, stage="build", configured=self.configuration.keys.get(name),
                baked=self.configuration.baked.get(name, text),
            )  # fmt: skip
            self.result.keys.append(KeyNode(setting, None, self.application.function))
        text = self.configuration.baked.get(name, self.configuration.keys.get(name, choice.default))
        if text not in choice.providers:
            raise WiringError(f"the key {name} wants one of {', '.join(choice.providers)}, and {text!r} is not")
        return choice.providers[text]

    def _best(self, candidates: list[_Candidate], wanted: Any, name: str, line: str) -> _Candidate | None:
        for quality in (2, 1):
            found = [c for c in candidates if fits(c.signature.provides, wanted) == quality]
            found = list({id(c.provider): c for c in found}.values())
            if len(found) > 1:
                who = " and ".join(f"{title(c.provider)} ({where(c.provider)})" for c in found)
                raise WiringError(
                    f"{who} each provide {type_name(wanted)}, which {name} needs: take one out, or say which with "
                    f"devices={{{name!r}: {title(found[0].provider)}}}",
                    self._chain(line),
                )
            if found:
                return found[0]
        return None

    def _device(self, candidate: _Candidate, wanted: Any, name: str, line: str) -> Device:
        signature = candidate.signature
        is_per_name = signature.wants_name or bool({type_key(wanted), type_key(signature.provides)} & PER_NAME)
        key = id(candidate.provider), name if is_per_name else ""
        if key in self._made:
            return self._made[key]
        if any((provider, called) == key for provider, called, _ in self._opening):
            chain = self._chain(line)
            who = f"{title(candidate.provider)} ({where(candidate.provider)})"
            raise WiringError(f"{who} needs, in the end, itself", chain)
        if len(self._made) + len(self._opening) >= DEVICES_MAX:
            raise WiringError(f"the application needs more than {DEVICES_MAX} devices", self._chain(line)[:8])
        self._opening.append((*key, line))
        device = Device(
            self._identity(name, wanted), name, wanted, signature, candidate.shipped, called=name, chain=line
        )
        for parameter in signature.parameters:
            if parameter.is_name:
                continue
            if parameter.kind is not None:
                self._add_key(device.identity, parameter, candidate.provider, f"{name}-")
                continue
            inner = parameter.called or candidate.names.get(parameter.name, name)
            needed = self._need(candidate.provider, parameter, inner)
            if needed is not None:
                device.needs[parameter.name] = needed
        self._opening.pop()
        self._made[key] = device
        self.result.devices.append(device)
        return device

    def _identity(self, name: str, wanted: Any) -> str:
        wish = identity = f"{name}:{type_name(wanted)}"
        number = 1
        while identity in self._identities:
            number += 1
            identity = f"{wish}#{number}"
        self._identities.add(identity)
        return identity

    # ---- what is wrong -------------------------------------------------------------------------------------------

    def _chain(self, line: str) -> tuple[str, ...]:
        return (*(above for _, _, above in self._opening), line)

    def _why(self, provided: Any, wanted: Any) -> str:
        if isinstance(provided, type) and getattr(wanted, "_is_protocol", False):
            return ", ".join(lacking(provided, wanted))
        return f"it is no {type_name(wanted)}"

    def _nobody(self, wanted: Any, name: str, function: Any, parameter: Parameter) -> str:
        near = []
        busy = {opening for opening, _, _ in self._opening}
        for provider in self.application.providers:
            candidate = self._read(provider, "providers", False)
            if id(candidate.provider) in busy and fits(candidate.signature.provides, wanted):
                who = f"{title(candidate.provider)} ({where(candidate.provider)})"
                return (
                    f"{title(function)}'s {parameter.name} is to be {type_name(wanted)}, which only {who} provides, "
                    "and that is what needs it: they wait for each other"
                )
            faults = lacking(candidate.signature.provides, wanted) if getattr(wanted, "_is_protocol", False) else []
            if 0 < len(faults) <= 3:
                who = f"{title(candidate.provider)} ({where(candidate.provider)})"
                near.append(f"{who} nearly does, but {', '.join(faults)}")
        known = sorted(key.partition(":")[2] for key in self._shipped)
        text = f"nobody provides {type_name(wanted)} for {title(function)}'s {parameter.name}"
        if near:
            return f"{text}; {'; '.join(near)}"
        similar = get_close_matches(type_name(wanted), known, n=1, cutoff=0.6)
        if type_key(wanted) not in self._shipped and similar and similar[0] != type_name(wanted):
            return f"{text} (is {similar[0]} meant?)"
        if wanted.__module__.startswith("sarab.device."):
            return (
                f"{text}: sarab has none for the target {self.target}; write a function that returns one, and name it "
                "in @unikernel(providers=[...])"
            )
        return f"{text}: write a function that returns one, and name it in @unikernel(providers=[...])"

    def _check_names(self) -> None:
        sources = {"devices={...}": self.application.devices, "[tool.sarab.devices]": self.configuration.devices}
        for source, table in sources.items():
            for name in table:
                if name not in self._wanted_names:
                    known = sorted(self._wanted_names)
                    near = get_close_matches(name, known, n=1, cutoff=0.6)
                    hint = f" (is {near[0]} meant?)" if near else f"; there are {', '.join(known) or 'none'}"
                    at = f" of {title(self.application)} ({where(self.application)})" if source[0] != "[" else ""
                    raise WiringError(f"{source}{at} names {name}, and no device is called so{hint}")

    # ---- keys ----------------------------------------------------------------------------------------------------

    def _add_key(self, owner: str, parameter: Parameter, function: Any, prefix: str) -> None:
        key, kind = parameter.key, parameter.kind
        assert key is not None
        assert kind is not None
        name = (prefix + parameter.name).lower().strip("_").replace("_", "-")
        label = where(function, parameter.name)
        if not texts.KEY_NAME.fullmatch(name):
            raise WiringError(f"{label}: a key cannot be called {name}: letters, digits and _, and a letter first")
        if name in ("help", "h"):
            raise WiringError(f"{label}: a key cannot be called {name}, which asks for help: choose another name")
        other = next((node for node in self.result.keys if node.setting.name == name), None)
        if other is not None:
            raise WiringError(
                f"{label}: the key {name} is there already, of {title(other.function)} "
                f"({where(other.function, other.setting.parameter)}): choose another name"
            )
        if key.stage not in ("any", "build", "boot"):
            raise WiringError(f"{label}: Key(stage={key.stage!r}): a stage is 'any', 'build' or 'boot'")
        is_text = isinstance(parameter.default, str) and key.parse is None
        if is_text and not isinstance(_value(kind, parameter.default), str):
            raise WiringError(
                f"{label}: the default of the key {name} is the text {parameter.default!r}, and the key is of type "
                f"{kind.name}"
            )
        default = None if parameter.default is EMPTY or kind.secret else texts.show(parameter.default)
        setting = Setting(
            owner, parameter.name, name, kind.read, key.doc, kind.name, default, parameter.default is EMPTY, key.stage,
            kind.secret, kind.flag, kind.many, key.environment or "", self.configuration.keys.get(name),
            self.configuration.baked.get(name),
        )  # fmt: skip
        self.result.keys.append(KeyNode(setting, kind, function))

    def _check_keys(self) -> None:
        known = {node.setting.name: node for node in self.result.keys}
        for source, table in (("", self.configuration.baked), ("[tool.sarab.keys]", self.configuration.keys)):
            for name, text in table.items():
                node = known.get(name)
                if node is None:
                    near = get_close_matches(name, list(known), n=1, cutoff=0.6)
                    hint = f" (is {near[0]} meant?)" if near else f"; the keys are {', '.join(known) or 'none'}"
                    raise WiringError(f"{source or 'the build'} sets the key {name}, and there is none{hint}")
                setting = node.setting
                if setting.stage == "boot" and not source:
                    raise WiringError(f"the key {name} is for the boot only: 'sarab run ... -- --{name} VALUE'")
                try:
                    read_value(setting, text, source or f"--{name}")
                except KeyProblem as problem:
                    raise WiringError(str(problem)) from None
        for index, node in enumerate(self.result.keys):
            setting = node.setting
            if setting.stage == "build" and setting.baked is None:
                if setting.configured is None and setting.required:
                    raise WiringError(
                        f"the key {setting.name} is decided when an image is built, and has no default: "
                        f"add --{setting.name} VALUE"
                    )
                baked = setting.configured if setting.configured is not None else setting.default
                if setting.configured is not None or node.kind is None:
                    self.result.keys[index] = node._replace(setting=setting._replace(baked=baked))

    # ---- the machine ---------------------------------------------------------------------------------------------

    def _name_machine(self) -> None:
        graph = self.result
        if graph.target == "test":
            return  # it has what it is given
        shipped = [device for device in graph.devices if device.shipped]
        over = any(type_key(device.wanted) in OVER_THE_STACK for device in shipped)
        card = 0
        if over:
            graph.machine.append(("network", "eth0"))
            card = 1
        for device in shipped:
            if type_key(device.wanted) == RAW_CARD:
                device.called = f"eth{card}"
                card += 1
                graph.machine.append(("network", device.called))
                graph.raw.append(device.called)
            elif type_key(device.wanted) == DISK:
                if not DISK_NAME.fullmatch(device.name):
                    raise WiringError(
                        f"a disk cannot be called {device.name}: a machine's disks have names of lower-case letters, "
                        f"digits, _ and -, at most {DISK_NAME_MAX}; Annotated[Block, Name('data')] gives it another",
                        (device.chain,),
                    )
                graph.machine.append(("block", device.name))
