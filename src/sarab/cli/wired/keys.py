"""Keys of the application as options of the command line: `sarab build app.py --port 80`.

Which options there are is known when the application has been read, and which word is the application only when the
options are known: so the word is looked for first. An application is read only if there is an option that sarab does
not have, or --help; else nothing is slower for it.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sarab.cli.main import Parser, did_you_mean
from sarab.errors import SarabError, UsageError

if TYPE_CHECKING:
    from sarab.build.plan import Plan, PlannedKey

_PREFIX = "key of the application: "
"""Before a key's name, what argparse keeps its value under: no option of sarab is called so."""
_YES, _NO = ("yes", "true", "on", "1"), ("no", "false", "off", "0")


def parse(parser: Parser, words: Sequence[str]) -> argparse.Namespace:
    """Parse `words` with the keys of the application among the options; `arguments.keys` are those given.

    Raises UsageError, and what is wrong with the application's wiring.
    """
    spec = application_word(parser, words)
    plan = _planned(parser, words, spec) if any(_is_unknown(parser, word) for word in words) else None
    keys = () if plan is None else plan.keys
    own = set(parser._option_string_actions)
    if keys:
        group = parser.add_argument_group(f"keys of {spec}")
        for key in keys:
            if f"--{key.name}" not in own:
                _add(group, key)
    arguments = parser.parse([_spelled(keys, word) for word in words])
    given: list[tuple[str, str]] = []
    for key in keys:
        values = getattr(arguments, _PREFIX + key.name, None)
        if values is None:
            continue
        if len(values) > 1 and not key.many:
            raise UsageError(f"--{key.name} is given twice")
        given.append((key.name, ",".join(values)))
    arguments.keys = tuple(given)
    return arguments


def reserved() -> frozenset[str]:
    """What no key can be called: the options of the verbs that take keys."""
    from sarab.cli import build, check, describe

    names: set[str] = set()
    for verb in (build, check, describe):
        parser = Parser(allow_abbrev=False)
        verb.add_arguments(parser)
        names |= {option[2:] for option in parser._option_string_actions if option.startswith("--")}
    return frozenset(names | {"debug"})


def refuse_key(parser: Parser, words: Sequence[str]) -> argparse.Namespace:
    """Parse the words of a verb whose keys stand behind `--`. Raises UsageError, which says so of a key."""
    try:
        return parser.parse(words)
    except UsageError:
        unknown = next((word.partition("=")[0] for word in words if _is_unknown(parser, word, help_too=False)), None)
        spec = application_word(parser, words)
        try:
            plan = plan_of(spec) if unknown is not None else None
        except SarabError:
            plan = None
        names = {word: key for key in plan.keys for word in _words(key)} if plan is not None else {}
        if unknown in names:
            value = "" if names[unknown].flag else " VALUE"
            if names[unknown].stage == "build":
                raise UsageError(
                    f"{unknown} is decided when an image is built: sarab build APPLICATION {unknown}{value}, "
                    "and run the image"
                ) from None
            raise UsageError(
                f"{unknown} is a key of the application, and those stand behind --: "
                f"sarab run {spec} -- {unknown}{value}"
            ) from None
        own = did_you_mean(unknown or "", parser._option_string_actions)
        near = did_you_mean(unknown or "", [*parser._option_string_actions, *names])
        if near != own:
            raise UsageError(f"there is no option {unknown}{near}; keys of the application stand behind --") from None
        raise


def application_word(parser: Parser, words: Sequence[str]) -> str | None:
    """The word that names the application, among options that may not all be known."""
    plain: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "-m" and rest:
            return f"-m {rest[0]}"
        if word.startswith("-m") and len(word) > 2:
            return f"-m {word[2:]}"
        if not word.startswith("-"):
            plain.append(word)
            continue
        action = parser._option_string_actions.get(word)
        if action is not None and action.nargs is None and rest:
            rest.pop(0)
    likely = (word for word in plain if Path(word).exists() or word.endswith(".py") or ".py:" in word)
    return next(likely, next((word for word in plain if ":" in word), plain[0] if plain else None))


def _planned(parser: Parser, words: Sequence[str], spec: str | None) -> Plan | None:
    """The wiring as far as it can be known: which keys there are may depend on the keys that are given."""
    from sarab.build.errors import WiringError

    target = _option(words, "--target")
    guessed = _guessed(parser, words, spec)
    try:
        return plan_of(spec, target, guessed)
    except WiringError:
        if not guessed:
            raise
        try:
            return plan_of(spec, target)
        except WiringError:
            pass
        raise


def _guessed(parser: Parser, words: Sequence[str], spec: str | None) -> tuple[tuple[str, str], ...]:
    """What seems to be given for keys that are not known yet."""
    found: dict[str, str] = {}
    for word, following in zip(words, [*words[1:], "-"], strict=True):
        name, equals, value = word.partition("=")
        if _is_unknown(parser, word, help_too=False):
            alone = following.startswith("-") or following == spec
            if name.startswith("--no-") and alone and not equals:
                found[name[5:]] = "no"
            else:
                found[name[2:]] = value if equals else "yes" if alone else following
    return tuple(found.items())


def plan_of(spec: str | None, target: str | None = None, given: tuple[tuple[str, str], ...] = ()) -> Plan | None:
    """The wiring of an application, or that an image says it has; None for what is not wired, or not there."""
    if spec is None:
        return None
    from sarab.build import spec as specs
    from sarab.build import wired
    from sarab.build.errors import SpecError
    from sarab.build.target import known
    from sarab.machine.image import is_elf

    if is_elf(Path(spec)):
        return plan_of_image(Path(spec))
    try:
        application, request = specs.parse(spec), wired.Request(known(target or "machine"), given, lenient=True)
        found = wired.prepare(application, request)
    except SpecError:
        return None  # whoever uses the application will say it
    return None if found is None else found.plan


def plan_of_image(path: Path) -> Plan | None:
    """What the manifest of an image says of its wiring. Raises SarabError if the file is no image."""
    from sarab.build import image, plan

    try:
        manifest = image.read(path.read_bytes()).manifest
    except OSError as error:
        raise SarabError(f"{path} cannot be read: {error.strerror}.") from error
    wiring = manifest.get("wiring")
    return plan.load(wiring) if isinstance(wiring, dict) else None


def _is_unknown(parser: Parser, word: str, *, help_too: bool = True) -> bool:
    name = word.partition("=")[0]
    if name in ("-h", "--help"):
        return help_too
    return name.startswith("--") and name not in parser._option_string_actions


def _option(words: Sequence[str], name: str) -> str | None:
    for word, following in zip(words, [*words[1:], None], strict=True):
        if word == name:
            return following
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
    return None


def _words(key: PlannedKey) -> list[str]:
    return [f"--{key.name}", *([f"--no-{key.name}"] if key.flag else [])]


def _add(group: Any, key: PlannedKey) -> None:
    told = key.doc.replace("%", "%%")
    if key.stage == "boot":
        told += " (at boot only)"
    elif key.required and key.value is None:
        told += " (it has no default)"
    elif key.value:
        told += f" ({key.value.replace('%', '%%')})"
    common: dict[str, Any] = {"dest": _PREFIX + key.name, "action": "append", "help": told.strip() or None}
    if key.flag:
        group.add_argument(f"--{key.name}", **{**common, "action": "append_const", "const": "yes"})
        group.add_argument(f"--no-{key.name}", **{**common, "action": "append_const", "const": "no", "help": None})
    else:
        group.add_argument(f"--{key.name}", metavar=key.type.upper().replace(" ", "-"), **common)


def _spelled(keys: Sequence[PlannedKey], word: str) -> str:
    """`--loud=no` as `--no-loud`. Raises UsageError for another value than yes or no."""
    name, equals, value = word.partition("=")
    if equals and any(key.flag and name == f"--{key.name}" for key in keys):
        if value.lower() not in (*_YES, *_NO):
            raise UsageError(f"the key {name[2:]} wants yes or no, and {value!r} is not")
        return name if value.lower() in _YES else f"--no-{name[2:]}"
    return word
