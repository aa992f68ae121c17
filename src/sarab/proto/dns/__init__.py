"""DNS for a host: questions and their tries, a resolver with a cache, and the order of addresses."""
