"""Who provides which device type on the target `test`: a test in virtual time (sarab.testing).

The names are `module:function`, and are imported only where a graph needs them. A module here imports what it needs
at its top, so that an image holds the drivers that its graph uses, and no other.
"""

from __future__ import annotations

PROVIDERS: dict[str, str] = {
    "sarab.device.block:Block": "sarab.wiring.providers.memory_block:block",
    "sarab.device.clock:Clock": "sarab.wiring.providers.clock:clock",
    "sarab.device.console:Console": "sarab.wiring.providers.console:console",
    "sarab.device.ethernet:Ethernet": "sarab.wiring.providers.ethernet:ethernet",
    "sarab.device.file_system:FileSystem": "sarab.wiring.providers.memory_file_system:file_system",
    "sarab.device.key_value:KeyValue": "sarab.wiring.providers.memory_key_value:key_value",
    "sarab.device.log:Log": "sarab.wiring.providers.log:log",
    "sarab.device.metrics:Metrics": "sarab.wiring.providers.metrics:metrics",
    "sarab.device.random:Random": "sarab.wiring.providers.random:random",
    "sarab.device.stack:IP": "sarab.wiring.providers.host_stack:stack",
    "sarab.device.stack:Resolver": "sarab.wiring.providers.host_stack:stack",
    "sarab.device.stack:Stack": "sarab.wiring.providers.host_stack:stack",
    "sarab.device.stack:TCP": "sarab.wiring.providers.host_stack:stack",
    "sarab.device.stack:UDP": "sarab.wiring.providers.host_stack:stack",
}
