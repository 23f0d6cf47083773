# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""What the server imports: the functions that make our instruments, called for every request."""

from . import faults, isgri, jemx, small, spi_acs, workflow, workflows

instr_factory_list = [
    isgri.isgri,
    jemx.jemx,
    spi_acs.spi_acs,
    small.spacetime,
    small.twins,
    small.restricted,
    workflow.workflow,
    *workflows.factories,
    faults.faulty,
    faults.faulty_sync,
]
