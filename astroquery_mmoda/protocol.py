# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Names of the service's protocol that several packages know."""

from __future__ import annotations

from typing import Any

__all__ = ["PROTOCOL_VERSION", "STATE_FIELDS", "Upload"]

#: fields that are about a request, not about the analysis
STATE_FIELDS = ("query_status", "job_id", "session_id")
#: version of the service's own client whose requests ours are like
PROTOCOL_VERSION = "1.3.5"


class Upload(str):
    """
    A file on its way to the service; as text it is its name and size.

    Attributes
    ----------
    filename : str
        Name without directories.
    content : bytes
        What is in it.
    """

    filename: str
    content: bytes

    def __new__(cls, filename: str, content: bytes) -> Upload:
        """Make the text; a `str` takes it when it is made."""
        upload = super().__new__(cls, f"{filename} ({len(content)} bytes)")
        upload.filename, upload.content = filename, content
        return upload

    def __reduce__(self) -> tuple[Any, ...]:
        return Upload, (self.filename, self.content)
