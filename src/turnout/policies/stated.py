"""A policy as it stood at one decision, as plain values, and back, to choose again as it did."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from turnout.errors import DataError
from turnout.policies.base import Policy
from turnout.policies.hull import HullPolicy, OperatingPoint
from turnout.policies.threshold import ThresholdPolicy
from turnout.policies.within_price import WithinPricePolicy
from turnout.policies.worth import WorthPolicy

_POINT = ("constant", "cost_usd", "quality", "margin")


def state(policy: Policy, names: Sequence[str]) -> dict[str, Any]:
    """What of a policy decides among these candidates, JSON-ready; numbers come back exactly.

    Args:
        policy: one of those that ship; of another, its name alone.
        names: of the candidates, in order.
    """
    if isinstance(policy, ThresholdPolicy | WithinPricePolicy):
        return {"name": policy.name, "threshold": policy.threshold}
    if isinstance(policy, WorthPolicy):
        return {"name": policy.name, "usd_per_quality": policy.usd_per_quality}
    if isinstance(policy, HullPolicy):
        point = policy.used(names)
        worth = point.usd_per_quality
        stated = {name: getattr(point, name) for name in _POINT}
        order = list(point.order)
        # Infinity is no number of JSON.
        used = {**stated, "order": order, "usd_per_quality": None if math.isinf(worth) else worth}
        return {"name": policy.name, "threshold": policy.threshold, "point": used}
    return {"name": policy.name}


def restore(given: Mapping[str, Any]) -> Policy:
    """A policy that chooses as the one did that `state` wrote down.

    Raises:
        DataError: it was none of those that ship.
    """
    name = given.get("name")
    if name == "threshold":
        return ThresholdPolicy(given["threshold"])
    if name == "within_price":
        return WithinPricePolicy(given["threshold"])
    if name == "worth":
        return WorthPolicy(given["usd_per_quality"])
    if name == "hull":
        stated = dict(given["point"])
        worth = stated.pop("usd_per_quality")
        point = OperatingPoint(
            usd_per_quality=math.inf if worth is None else worth,
            order=tuple(stated.pop("order")),
            **stated,
        )
        return HullPolicy((point,), given["threshold"])
    raise DataError(
        "policy", name, "it is not one of Turnout's, so its choice is not computed again"
    )
