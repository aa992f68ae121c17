"""DNS for a stub resolver: one question and its tries."""
