"""Addresses by DHCP: what a lease says, and the client that asks for one and keeps it."""
