"""DNS for a host: questions and their tries, a resolver with a cache, the order of addresses, and happy eyeballs."""
