"""Who provides which device type on the target `machine`: an image on a machine.

The names are `module:function`, and are imported only where a graph needs them. A module here imports what it needs
at its top, so that an image holds the drivers that its graph uses, and no other.
"""

from __future__ import annotations

PROVIDERS: dict[str, str] = {
    # "sarab.device.clock:Clock": "sarab.wiring.providers.clock:clock",
}
