# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""The names that pickles of products may refer to, as exact pairs: those of numpy 1 and 2, and of FITS tables."""

from __future__ import annotations

from itertools import product

_CORE = ("numpy.core", "numpy._core")
_FITS = "astropy.io.fits.column"

RECONSTRUCT = frozenset((f"{core}.multiarray", "_reconstruct") for core in _CORE)
SCALAR = frozenset((f"{core}.multiarray", "scalar") for core in _CORE)
FROM_BUFFER = frozenset((f"{core}.numeric", "_frombuffer") for core in _CORE)
MASKED_ARRAY = ("numpy.ma.core", "_mareconstruct")

# classes whose instances hold nothing but the array
_TEXT_ARRAYS = ("numpy", "numpy.char", "numpy.core.defchararray", "numpy._core.defchararray")
ARRAYS = frozenset(
    {
        ("numpy", "ndarray"),
        *product(("numpy", "numpy.rec", "numpy.core.records"), ("recarray",)),
        *product((*_TEXT_ARRAYS, "astropy.utils.compat.numpycompat"), ("chararray",)),
    }
)

FITS_TABLE = ("astropy.io.fits.fitsrec", "FITS_rec")
FITS_COLUMNS = (_FITS, "ColDefs")
FITS_COLUMN = (_FITS, "Column")
#: the rows of a variable-length column
ROWS = (_FITS, "_VLF")

#: bytes, in the form that protocol 2 gives them
ENCODE = ("_codecs", "encode")
EMPTY_BYTES = ("__builtin__", "bytes")

NAMES = frozenset(
    {
        *(RECONSTRUCT | SCALAR | FROM_BUFFER | ARRAYS),
        *(MASKED_ARRAY, FITS_TABLE, FITS_COLUMNS, FITS_COLUMN, ROWS, ENCODE, EMPTY_BYTES),
        ("numpy", "dtype"),
        *product(("numpy", "numpy.rec", "numpy.core.records"), ("record",)),
        *product(("numpy.ma.core", "numpy.ma"), ("MaskedArray",)),
        *product((_FITS,), ("_ColumnFormat", "_FormatP", "_FormatQ", "_FormatX", "Delayed")),
    }
)
