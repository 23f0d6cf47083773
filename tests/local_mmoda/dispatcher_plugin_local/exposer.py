# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""What the server imports: the functions that make our instruments, called for every request."""

from . import faults, isgri, small, spi_acs

instr_factory_list = [
    isgri.isgri,
    spi_acs.spi_acs,
    small.spacetime,
    small.twins,
    faults.faulty,
    faults.faulty_sync,
]
