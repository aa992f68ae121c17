"""`python -m sarab` is `sarab`."""

import sys

from sarab.cli.main import main

sys.exit(main())
