# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""``python -m astroquery_mmoda`` is ``mmoda``."""

import sys

from .cli.program import main

if __name__ == "__main__":
    sys.exit(main())
