"""Keys at boot: who says what, and what is said of it when it is wrong."""

from __future__ import annotations

import pytest

from sarab.wiring import values
from sarab.wiring.errors import KeyProblem
from sarab.wiring.settings import Setting, read, usage

PORT = Setting("", "port", "port", values.whole, "TCP port", "int", "8080")
TLS = Setting("", "tls", "tls", values.boolean, flag=True, kind="bool", default="no")
HOSTS = Setting("", "hosts", "hosts", values.many(values.text), many=True, kind="list of text")
TOKEN = Setting("", "token", "token", values.secret, "the token", "secret", secret=True)
SIZE = Setting("data:Block", "size", "data-size", values.size, kind="size", default="1MiB")


def test_what_is_not_given_is_left_to_the_functions_default() -> None:
    assert read([PORT, TLS], [], {}) == {}


@pytest.mark.parametrize("words", [["--port", "80"], ["--port=80"]])
def test_a_value_follows_or_is_joined(words: list[str]) -> None:
    assert read([PORT], words, {}) == {"": {"port": 80}}


def test_a_flag_is_on_off_or_said() -> None:
    assert read([TLS], ["--tls"], {}) == {"": {"tls": True}}
    assert read([TLS], ["--no-tls"], {}) == {"": {"tls": False}}
    assert read([TLS], ["--tls=no"], {}) == {"": {"tls": False}}


def test_a_list_grows() -> None:
    assert read([HOSTS], ["--hosts", "a,b", "--hosts", "c"], {}) == {"": {"hosts": ["a", "b", "c"]}}


def test_a_devices_key_is_its_own() -> None:
    assert read([PORT, SIZE], ["--data-size", "2K"], {}) == {"data:Block": {"size": 2048}}


def test_the_order_of_force_is_boot_configuration_environment() -> None:
    environ = {"SARAB_KEY_PORT": "1"}
    assert read([PORT], [], environ) == {"": {"port": 1}}
    assert read([PORT._replace(configured="2")], [], environ) == {"": {"port": 2}}
    assert read([PORT._replace(configured="2")], ["--port", "3"], environ) == {"": {"port": 3}}
    assert read([PORT._replace(baked="4")], [], environ) == {}


def test_another_variable_can_be_named() -> None:
    assert read([PORT._replace(environment="PORT")], [], {"PORT": "1", "SARAB_KEY_PORT": "2"}) == {"": {"port": 1}}


@pytest.mark.parametrize(
    ("setting", "words", "sentence"),
    [
        (PORT, ["--port", "http"], "the key port wants a whole number, and 'http' is not (--port)"),
        (PORT, ["--prt", "1"], "there is no key prt (is --port meant?); the keys are port"),
        (PORT, ["80"], "'80' is no key: keys are given as --NAME VALUE; the keys are port"),
        (PORT, ["--port"], "--port needs a value: TCP port"),
        (PORT, ["--port", "1", "--port", "2"], "--port is given twice"),
        (PORT._replace(baked="80"), ["--port", "81"],
         "the key port is baked into this image as 80: build it again to change it"),
        (PORT._replace(stage="build"), ["--port", "81"],
         "the key port is decided when an image is built: give it to 'sarab build'"),
        (PORT._replace(required=True), [],
         "the key port (TCP port) has no default and is not given: add --port VALUE"),
        (TOKEN._replace(read=values.whole), ["--token", "hunter2"],
         "the key token wants a whole number, and what is given is not (--token)"),
        (TOKEN._replace(baked=""), ["--token", "x"],
         "the key token is baked into this image: build it again to change it"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence(setting: Setting, words: list[str], sentence: str) -> None:
    with pytest.raises(KeyProblem) as caught:
        read([setting], words, {})
    assert str(caught.value) == sentence


def test_an_application_without_keys_says_so() -> None:
    with pytest.raises(KeyProblem, match="this application has no keys"):
        read([], ["--port", "1"], {})


def test_help_shows_every_key_and_no_secret() -> None:
    settings = [PORT, TLS._replace(doc="speak TLS"), SIZE._replace(baked="2K"), TOKEN._replace(configured="hunter2")]
    text = usage("web", "Serve.", [*settings, HOSTS._replace(required=True), PORT._replace(name="x", stage="build")])
    assert text.splitlines() == [
        "Usage: web [--KEY VALUE ...]",
        "",
        "Serve.",
        "",
        "Keys:",
        "  --port INT            TCP port (8080)",
        "  --[no-]tls            speak TLS (no)",
        "  --data-size SIZE      (baked in: 2K)",
        "  --token SECRET        the token",
        "  --hosts LIST-OF-TEXT  (required)",
        "  --x INT               TCP port (8080, decided by the build)",
    ]
