# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
A user in a process of their own, for tests that end processes in the middle of something.

``python -m tests.local_mmoda.client_process SERVER submit|wait|watch|resume ARGUMENT`` writes the id of the job of a new
question (JSON), for ``watch`` its status at every look as well, and for ``resume`` of a job (id) the digest of its products.
"""

from __future__ import annotations

import hashlib
import json
import signal
import sys
from collections.abc import Callable
from typing import Any

from astroquery import log

from astroquery_mmoda import MmodaClass
from astroquery_mmoda.products import Products


def digest(products: Products) -> list[int | str]:
    """Number of arrays in the products, and a hash of all their bytes."""
    arrays = [hdu.data for product in products for hdu in product.data if hdu.data is not None]
    return [len(arrays), hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()]


def act(server: str, action: str, argument: str, tell: Callable[[Any], object]) -> None:
    """Do it, as a new client of the server."""
    client = MmodaClass(server=server)
    if action == "resume":
        tell(digest(client.get_job(argument).result(timeout=60, progress=False)))
        return
    job = client.submit_product(**json.loads(argument))
    tell(job.job_id)
    if action != "submit":
        job.wait(timeout=60, progress=(lambda job: tell(job.status)) if action == "watch" else False)


def main() -> None:
    """Do what the command line says."""
    # a shell has its background jobs ignore interrupts, and what they start inherits that
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # the log goes to standard output as well
    log.setLevel("WARNING")
    act(*sys.argv[1:], tell=lambda value: print(json.dumps(value), flush=True))


if __name__ == "__main__":
    main()
