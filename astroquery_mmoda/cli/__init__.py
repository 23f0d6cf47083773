# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""The command line ``mmoda``: its arguments, its commands, what they print and write."""
