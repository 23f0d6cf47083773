"""Tokens for tests: minted with a key of our own, they open nothing but the local dispatcher."""

from __future__ import annotations

import time
from typing import Any

import jwt

KEY = "a-key-for-tests-that-opens-nothing-at-all"


def mint(*, hours: float | None = 24, key: str = KEY, **claims: Any) -> str:
    """Text of a token that lives so many hours from now (negative: that died so many hours ago)."""
    payload = {
        "sub": "astronomer@example.org",
        "name": "An Astronomer",
        "roles": "general, refresh-tokens",
        # no mail: the local dispatcher would try to send some
        "mssub": False,
        "msdone": False,
        "msfail": False,
        "mstout": False,
    }
    if hours is not None:
        payload["exp"] = int(time.time() + 3600 * hours)
    return jwt.encode({**payload, **claims}, key, algorithm="HS256")
