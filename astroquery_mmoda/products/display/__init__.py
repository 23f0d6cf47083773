# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""How products are shown: overviews and summaries."""
