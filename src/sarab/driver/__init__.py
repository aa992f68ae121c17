"""Drivers: what is behind device.network.Network. They know devices, and no stack."""
