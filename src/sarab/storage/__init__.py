"""Files and values: file systems and key-value stores in memory, in an image, in a host's folder, over each other."""
