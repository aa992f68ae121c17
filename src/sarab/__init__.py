"""A library operating system for Python: one bootable image of an application, its Python and a small kernel.

What an application writes comes from here: `from sarab import Key, Stack, unikernel`. Each name is loaded when it is
first asked for, so that an image holds what its application uses.
"""

# Not typing's, and no `from __future__`: an image that needs neither would load them.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from sarab.device.block import Block as Block
    from sarab.device.clock import Clock as Clock
    from sarab.device.console import Console as Console
    from sarab.device.ethernet import Ethernet as Ethernet
    from sarab.device.file_system import FileSystem as FileSystem
    from sarab.device.key_value import KeyValue as KeyValue
    from sarab.device.log import Log as Log
    from sarab.device.metrics import Metrics as Metrics
    from sarab.device.network import Network as Network
    from sarab.device.random import Random as Random
    from sarab.device.stack import IP as IP
    from sarab.device.stack import TCP as TCP
    from sarab.device.stack import UDP as UDP
    from sarab.device.stack import Datagrams as Datagrams
    from sarab.device.stack import Flow as Flow
    from sarab.device.stack import Listener as Listener
    from sarab.device.stack import Resolver as Resolver
    from sarab.device.stack import Stack as Stack
    from sarab.wiring.keys import Duration as Duration
    from sarab.wiring.keys import Key as Key
    from sarab.wiring.keys import Name as Name
    from sarab.wiring.keys import Secret as Secret
    from sarab.wiring.keys import Size as Size
    from sarab.wiring.target import TARGET as TARGET
    from sarab.wiring.unikernel import choose as choose
    from sarab.wiring.unikernel import named as named
    from sarab.wiring.unikernel import unikernel as unikernel

_FACE = {
    "Block": "sarab.device.block",
    "Clock": "sarab.device.clock",
    "Console": "sarab.device.console",
    "Datagrams": "sarab.device.stack",
    "Duration": "sarab.wiring.keys",
    "Ethernet": "sarab.device.ethernet",
    "FileSystem": "sarab.device.file_system",
    "Flow": "sarab.device.stack",
    "IP": "sarab.device.stack",
    "Key": "sarab.wiring.keys",
    "KeyValue": "sarab.device.key_value",
    "Listener": "sarab.device.stack",
    "Log": "sarab.device.log",
    "Metrics": "sarab.device.metrics",
    "Name": "sarab.wiring.keys",
    "Network": "sarab.device.network",
    "Random": "sarab.device.random",
    "Resolver": "sarab.device.stack",
    "Secret": "sarab.wiring.keys",
    "Size": "sarab.wiring.keys",
    "Stack": "sarab.device.stack",
    "TARGET": "sarab.wiring.target",
    "TCP": "sarab.device.stack",
    "UDP": "sarab.device.stack",
    "choose": "sarab.wiring.unikernel",
    "named": "sarab.wiring.unikernel",
    "unikernel": "sarab.wiring.unikernel",
}


def __getattr__(name: str) -> object:
    if name not in _FACE:
        raise AttributeError(f"module 'sarab' has no attribute {name!r}")
    module = __import__(_FACE[name], fromlist=(name,))
    value = globals()[name] = getattr(module, name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_FACE})
