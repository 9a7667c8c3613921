"""The alarm on callers whose requests go to the strong model more often than they should."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from turnout.settings.base import Tree

_Share = Annotated[float, Field(gt=0, lt=1)]


class AlarmSettings(Tree):
    """What is too often, and what happens then."""

    action: Literal["log", "clamp", "weak"] = "log"
    """`log`: it is said in the log, in metrics and in `/v1/alarms`. `clamp`: the key's share is held to
    what was to be expected. `weak`: all that a router decides for the key goes to the cheapest candidate."""
    strong_share: dict[str, _Share] = Field(default_factory=dict)
    """By what `model` says (`auto`, a route): the share of calls to the dearest candidate that its
    threshold was calibrated to. Others are set against their certificate, or against the share of all
    other keys."""
    margin: float = Field(default=0.0, ge=0, lt=1)
    """Added to each such share: how much harder the prompts of one key may be than the traffic's."""
    false_alarm: float = Field(default=1e-5, gt=0, le=0.1)
    """Most chance of an alarm, ever, for a key whose share is what was to be expected."""
    cool_s: float = Field(default=3600.0, gt=0, le=2_592_000)
    """How long an alarm lasts; then its key is watched anew."""
