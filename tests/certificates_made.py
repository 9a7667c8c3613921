"""A made-up certificate: of a router `length` over `large` and `small`."""

from __future__ import annotations

from typing import Any

from turnout.calibration.certificate import Certificate, Measured, Watched, pool_fingerprint
from turnout.calibration.drift import BINS
from turnout.calibration.promises import Promise
from turnout.types import Candidate

PAIR = (Candidate(name="large"), Candidate(name="small"))


def certificate(**changes: Any) -> Certificate:
    """Valid from 2026-11-26 on for 90 days."""
    given: dict[str, Any] = {
        "promise": Promise(kind="floor", value=0.95),
        "confidence": 0.95,
        "route": "router-length-0.25",
        "models": ("large", "small"),
        "safe": "large",
        "requests": 1200,
        "groups": 1100,
        "left_out": 12,
        "measured": 0.975,
        "bound": 0.9612,
        "strong_share": Measured(value=0.6, low=0.57, high=0.63),
        "saving": Measured(value=0.31, low=0.28, high=0.34),
        "costs": "costs recorded",
        "source": "outcomes.jsonl",
        "data": "00112233445566aabbcc",
        "artifact": "fp_length",
        "encoder": "e" * 64,
        "pool": pool_fingerprint(PAIR, priced=False),
        "made_at": "2026-11-26T04:30:00Z",
        "expires_at": "2027-02-24T04:30:00Z",
        "seed": 0,
        "watched": Watched(
            false_alarm=0.01,
            share_low=0.5,
            share_high=0.7,
            score="win rate",
            scores=(4,) * BINS,
        ),
        "notes": ("a note",),
    }
    return Certificate(**{**given, **changes})
