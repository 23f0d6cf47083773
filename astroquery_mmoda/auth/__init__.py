# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Tokens: reading them, finding and keeping them, and where they may be sent. No other package reads them."""
