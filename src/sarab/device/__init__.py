"""What a device must offer, as typing.Protocols: imports nothing of sarab."""
