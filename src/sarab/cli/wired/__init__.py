"""What the verbs share that take wired applications: their keys as options, and what they need of a machine."""
