# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Synthetic instruments for the local dispatcher. The server finds this package by the beginning of its name."""

from pathlib import Path

# the server reads this attribute for every error reply
conf_file = str(Path(__file__).resolve().parent / "data_server_conf.yml")
