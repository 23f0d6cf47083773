# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Analyses on the service: a job, earlier jobs, and the journal on disk."""
