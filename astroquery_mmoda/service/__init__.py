# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""The service over HTTP: requests, routes, what its answers mean, and the account in whose name they are sent."""
