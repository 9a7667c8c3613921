"""Made-up outcomes with a signal that a router can find: four kinds of prompts, three models."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from turnout.data.table import OutcomeTable, build_table
from turnout.types import Candidate, Outcome, Price

NOUNS = [
    "river",
    "copper",
    "orbit",
    "ledger",
    "violin",
    "harbor",
    "cactus",
    "meadow",
    "falcon",
    "lantern",
    "marble",
    "engine",
    "pepper",
    "glacier",
    "saddle",
    "canvas",
    "tunnel",
    "ribbon",
    "walnut",
    "beacon",
]
ADJECTIVES = [
    "red",
    "quiet",
    "heavy",
    "narrow",
    "golden",
    "bitter",
    "gentle",
    "rapid",
    "hollow",
    "modern",
    "frozen",
    "calm",
]

SUCCESS = {
    "large": (0.9, 0.95, 0.9, 0.95),
    "medium": (0.1, 0.85, 0.3, 0.9),
    "small": (0.05, 0.2, 0.1, 0.85),
}
"""Chance of a good answer by model, on proofs, translations, code and greetings."""

CANDIDATES = tuple(
    Candidate(name=name, price=Price.per_million(usd, 4 * usd))
    for name, usd in (("large", 5.0), ("medium", 0.5), ("small", 0.05))
)


def planted_prompts(n: int, seed: int = 0) -> list[str]:
    """Prompts of the four kinds in turn; no two are near-duplicates by design."""
    rng = np.random.default_rng(seed)
    found = []
    for i in range(n):
        a, b, c = rng.choice(NOUNS, 3, replace=False)
        d, e = rng.choice(ADJECTIVES, 2, replace=False)
        kinds = (
            f"Prove that the {d} {a} theorem bounds every {b} over {c}",
            f"Translate {a} into French and {b} {c} too: {d} {e}",
            f"Write python code: def {a}({b}, {c}): return {d}_{e}",
            f"Hello there {a}, how is the {d} {b} of {c} today?",
        )
        found.append(f"{kinds[i % 4]} ({seed}.{i})")
    return found


def planted_table(
    n: int, *, seed: int = 0, models: Sequence[str] = tuple(SUCCESS), noise: bool = False
) -> OutcomeTable:
    """Outcomes of models on n prompts; with `noise`, scores are coins whatever the prompt."""
    rng = np.random.default_rng(seed)
    outcomes = [
        Outcome(
            prompt=prompt,
            model=model,
            score=float(rng.random() < (0.5 if noise else SUCCESS[model][i % 4])),
            input_tokens=20,
            output_tokens=100,
        )
        for i, prompt in enumerate(planted_prompts(n, seed))
        for model in models
    ]
    return build_table(outcomes)
