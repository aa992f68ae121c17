"""The network's claims: `python -m bench.network` measures sarab's stack against Linux's, in one run."""
