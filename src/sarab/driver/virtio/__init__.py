"""virtio 1.3 in Python: transports, the split virtqueue, and the devices on it."""
