"""TCP (RFC 9293): one connection is `machine.Connection`; the other modules are its parts, cut by concern."""
