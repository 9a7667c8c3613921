"""Routes that have a name: what they decide by, and what they may spend."""

from __future__ import annotations

from typing import Literal, Self, TypeAlias

from pydantic import Field, model_validator

from turnout.settings.base import Tree

ResponseModel: TypeAlias = Literal["actual", "requested"]
"""Which model a reply names: the one that answered, or what the request's `model` said."""

KNOBS = ("threshold", "strong_share", "floor", "max_loss", "willingness_to_pay_usd")


class RouteSettings(Tree):
    """A router, one knob, and limits: what a request's `turnout` object may say, under a name."""

    router: str = ""
    """Which router predicts; none: `blend`, or the first one."""
    threshold: float | None = Field(default=None, ge=0, le=1)
    """From 0, best quality, to 1, cheapest."""
    strong_share: float | None = Field(default=None, ge=0, le=1)
    """Of requests to the strongest model; a half where no knob is given."""
    floor: float | None = Field(default=None, gt=0, le=1)
    """The least share of the strong model's quality that a certificate must promise."""
    max_loss: float | None = Field(default=None, gt=0, le=1)
    """The most quality that a certificate may allow to be lost."""
    willingness_to_pay_usd: float | None = Field(default=None, gt=0, le=1e6)
    """What a full unit of quality is worth."""
    allow: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Candidates that may serve, by name or pattern; none: all."""
    deny: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Candidates that may not serve, by name or pattern."""
    max_cost_usd: float | None = Field(default=None, gt=0, le=1e6)
    """The most that one call may cost."""
    mode: Literal["live", "shadow"] = "live"
    """`shadow`: it decides in record only, and `serves` answers."""
    serves: str = ""
    """The candidate that answers in shadow mode; none: the default one."""
    response_model: ResponseModel | None = None
    """None: as `response_model` of the whole gateway says."""

    @model_validator(mode="after")
    def _shadow_serves(self) -> Self:
        if self.serves and self.mode != "shadow":
            raise ValueError("serves goes with mode: shadow")
        return self

    @model_validator(mode="after")
    def _one_knob(self) -> Self:
        given = [name for name in KNOBS if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"give one of {', '.join(given)}: each sets the same knob")
        return self
