"""The claims of sarab against Linux, measured side by side: one module a claim, all of them by ``python -m bench``."""
