"""Requests that go round: a gateway that, over whatever way, is its own upstream."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from turnout.errors import LoopError

HOP_HEADER = "x-turnout-hop"
"""The gateways that a request has passed, by a random name that each process has."""
MOST_HOPS = 8


class Hops:
    """Adds this process to the way of a request, and sees where it was on it already."""

    __slots__ = ("name",)

    def __init__(self) -> None:
        self.name = secrets.token_hex(6)

    def onward(self, headers: Mapping[str, str]) -> str:
        """The value of `x-turnout-hop` for an upstream.

        Raises:
            LoopError: the request was here before, or has passed too many gateways.
        """
        given = headers.get(HOP_HEADER)
        if not given:
            return self.name
        passed = given.split(",")
        if self.name in passed or len(passed) >= MOST_HOPS:
            raise LoopError(len(passed))
        return f"{given[:200]},{self.name}"
