"""What can start an image, and what this host offers for it."""
