"""The claims of sarab against Linux, measured side by side: one module a claim, one command for all: ``python -m bench``."""
