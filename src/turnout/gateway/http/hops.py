"""Requests that go round: a gateway that, over whatever way, is its own upstream."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping

from turnout.errors import LoopError
from turnout.providers.endpoint import HOP_HEADER

MOST_HOPS = 8
_WAY = re.compile(r"[0-9a-f]{12}(?:,[0-9a-f]{12})*\Z")


class Hops:
    """Adds this process to the way of a request, and sees where it was on it already."""

    __slots__ = ("name",)

    def __init__(self) -> None:
        self.name = secrets.token_hex(6)

    def onward(self, headers: Mapping[str, str]) -> dict[str, str]:
        """The way of a request, this process included; empty where it begins here.

        Providers name this process of themselves where they are not told of a way.

        Raises:
            LoopError: the request was here before, or has passed too many gateways.
        """
        given = headers.get(HOP_HEADER)
        if not given or not _WAY.match(given):  # a client's own words go nowhere
            return {}
        passed = given.split(",")
        if self.name in passed or len(passed) >= MOST_HOPS:
            raise LoopError(len(passed))
        return {HOP_HEADER: f"{given},{self.name}"}
