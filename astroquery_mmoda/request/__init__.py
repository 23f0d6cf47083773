# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""From the arguments of a query to the fields of its form."""
