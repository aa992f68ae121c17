"""`SARAB_COMPILE=1 pip wheel .`: a wheel whose hot modules are shared objects, made by mypyc (decision 0045).

Without the variable all is plain Python; both behave the same. Everything else is in pyproject.toml.
"""

import os
import sys
import tomllib

from setuptools import setup

if os.environ.get("SARAB_COMPILE") == "1":
    with open("pyproject.toml", "rb") as file:
        project = tomllib.load(file)
    (mypy,) = (item for item in project["project"]["optional-dependencies"]["dev"] if item.startswith("mypy=="))
    extensions = []
    if "bdist_wheel" in sys.argv:  # before that pip asks for requirements and metadata only
        from mypyc.build import mypycify

        # With the project's own settings mypy would look at all that they name.
        modules = [f"src/sarab/{name}" for name in project["tool"]["sarab"]["compiled"]]
        extensions = mypycify(["--config-file=", *modules], opt_level="3", debug_level="0")
    setup(setup_requires=[mypy], ext_modules=extensions)
else:
    setup()
