"""The keys of an application when it starts: from its command line, its image, its environment, in order of force."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sarab.wiring.errors import KeyProblem
from sarab.wiring.values import Reader

ENVIRONMENT_PREFIX = "SARAB_KEY_"


class Setting(NamedTuple):
    """A key, and whose parameter it is."""

    owner: str
    """Who takes it: the application, "", or the identity of a device."""
    parameter: str
    name: str
    """As it is written on a command line, without the dashes."""
    read: Reader
    doc: str = ""
    kind: str = "text"
    default: str | None = None
    """The text of its default; None: it has none that could be said."""
    required: bool = False
    stage: str = "any"
    secret: bool = False
    flag: bool = False
    """yes or no: `--name` and `--no-name`."""
    many: bool = False
    """Given again, it is a longer list."""
    environment: str = ""
    """Another variable than SARAB_KEY_ and the name."""
    configured: str | None = None
    """What [tool.sarab.keys] says."""
    baked: str | None = None
    """What the build was given; nobody can change it any more. A secret's is not told."""

    @property
    def variable(self) -> str:
        """The environment variable that it is read from."""
        return self.environment or ENVIRONMENT_PREFIX + self.name.upper().replace("-", "_")


Values = dict[str, dict[str, Any]]
"""Owner -> parameter -> value, for what was given; defaults are the functions' own."""


def read_value(setting: Setting, text: str, source: str) -> Any:
    """Return the value of a text. Raises KeyProblem, naming key, value and expectation."""
    try:
        return setting.read(text)
    except ValueError as error:
        said = "what is given is not" if setting.secret else f"{text!r} is not"
        raise KeyProblem(f"the key {setting.name} wants {error}, and {said} ({source})") from None


def read(settings: Iterable[Setting], words: Sequence[str], environ: Mapping[str, str]) -> Values:
    """Return what was given. `words` are the command line's, without the program's name. Raises KeyProblem."""
    known = {setting.name: setting for setting in settings}
    given = _command_line(known, words)
    values: Values = {}
    for setting in known.values():
        if setting.baked is not None:
            continue
        boots = setting.stage != "build"
        if setting.name in given:
            found: tuple[str, str] | None = given[setting.name], f"--{setting.name}"
        elif setting.configured is not None:
            found = setting.configured, "[tool.sarab.keys]"
        elif boots and setting.variable in environ:
            found = environ[setting.variable], f"the variable {setting.variable}"
        else:
            found = None
        if found is not None:
            values.setdefault(setting.owner, {})[setting.parameter] = read_value(setting, *found)
        elif setting.required:
            doc = f" ({setting.doc})" if setting.doc else ""
            raise KeyProblem(f"the key {setting.name}{doc} has no default and is not given: add --{setting.name} VALUE")
    return values


def _command_line(known: Mapping[str, Setting], words: Sequence[str]) -> dict[str, str]:
    given: dict[str, str] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--") or word == "--":
            raise KeyProblem(f"{word!r} is no key: keys are given as --NAME VALUE{_known(known)}")
        name, equals, text = word[2:].partition("=")
        setting = known.get(name)
        if setting is None and name.startswith("no-") and not equals:
            off = known.get(name[3:])
            if off is not None and off.flag:
                setting, equals, text = off, "=", "no"
        if setting is None:
            raise KeyProblem(f"there is no key {name}{_near(name, known)}{_known(known)}")
        if setting.baked is not None:
            told = "" if setting.secret else f" as {setting.baked}"
            raise KeyProblem(f"the key {setting.name} is baked into this image{told}: build it again to change it")
        if setting.stage == "build":
            raise KeyProblem(f"the key {setting.name} is decided when an image is built: give it to 'sarab build'")
        if not equals:
            if setting.flag:
                text = "yes"
            elif rest:
                text = rest.pop(0)
            else:
                raise KeyProblem(f"--{name} needs a value: {setting.doc or setting.kind}")
        if setting.name in given:
            if not setting.many:
                raise KeyProblem(f"--{setting.name} is given twice")
            text = f"{given[setting.name]},{text}"
        given[setting.name] = text
    return given


def _near(name: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" (is --{near[0]} meant?)" if near else ""


def _known(known: Mapping[str, Setting]) -> str:
    names = ", ".join(known)
    return f"; the keys are {names}" if names else "; this application has no keys"


def usage(name: str, doc: str, settings: Iterable[Setting]) -> str:
    """Return what --help prints."""
    lines = [f"Usage: {name} [--KEY VALUE ...]"]
    if doc:
        lines += ["", doc]
    rows = []
    for setting in settings:
        word = f"--{setting.name}" if not setting.flag else f"--[no-]{setting.name}"
        if not setting.flag:
            word += f" {setting.kind if '|' in setting.kind else setting.kind.upper().replace(' ', '-')}"
        if setting.baked is not None:
            told = "baked in" if setting.secret else f"baked in: {setting.baked}"
        elif setting.required:
            told = "required"
        elif setting.configured is not None and not setting.secret:
            told = setting.configured
        else:
            told = setting.default or ""
        if setting.stage == "build" and setting.baked is None:
            told += ", decided by the build"
        rows.append((word, " ".join(filter(None, (setting.doc, f"({told})" if told else "")))))
    if rows:
        width = max(len(word) for word, _ in rows)
        lines += ["", "Keys:", *(f"  {word:<{width}}  {text}".rstrip() for word, text in rows)]
    return "\n".join(lines)
