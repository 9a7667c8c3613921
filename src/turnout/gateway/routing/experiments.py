"""Experiments: each user always gets the same of several routes, by a hash."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from turnout.gateway.calls.request import Request
from turnout.settings import ExperimentSettings


@dataclass(frozen=True, slots=True)
class Experiment:
    """A split of users over arms."""

    name: str
    arms: tuple[tuple[str, str], ...]
    """Arm and what `model` would say; the first one is what the others are compared with."""
    share: float | None = None
    """Of users that get another arm than the first; None splits them evenly."""

    def arm(self, user: str) -> tuple[str, str]:
        """The arm of a user, and what its `model` says.

        Where `share` grows, users move from the first arm alone, and none moves back.
        """
        digest = self._digest(user)
        at, others = int.from_bytes(digest[:8], "big") / 2**64, len(self.arms) - 1
        share = others / (others + 1) if self.share is None else self.share
        if at >= share:
            return self.arms[0]
        which = int.from_bytes(digest[8:16], "big") % others
        return self.arms[1 + which]

    def hashed(self, user: str) -> str:
        """What records call a user: tells users apart in this experiment, and nothing else."""
        return self._digest(user).hex()[-16:]

    def _digest(self, user: str) -> bytes:
        return hashlib.sha256(f"{self.name}\0{user}".encode("utf-8", "replace")).digest()


def build_experiments(given: Mapping[str, ExperimentSettings]) -> dict[str, Experiment]:
    """The experiments of settings, by name."""
    return {n: Experiment(n, tuple(e.arms.items()), e.share) for n, e in given.items()}


def user_of(request: Request) -> str:
    """Who asks, so that an experiment treats them alike: as the request says, else its conversation.

    In this order: the header `x-turnout-user`; `user`, `safety_identifier` or `metadata.user_id` of the
    body; the id of the conversation.
    """
    if given := request.call.headers.get("x-turnout-user"):
        return given
    fields = request.body.fields
    metadata = fields.get("metadata")
    inner = metadata.get("user_id") if isinstance(metadata, Mapping) else None
    for value in (fields.get("user"), fields.get("safety_identifier"), inner):
        if isinstance(value, str) and value:
            return value.partition("_session_")[0]  # Claude Code names its session behind the user
    return request.session
