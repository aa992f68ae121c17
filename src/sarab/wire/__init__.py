"""Bytes to values and back: one module a protocol, hostile input raises Malformed only. Imports nothing of sarab."""
