"""Confounder gadgets: short prefixes found by hill climbing that buy the strong model.

Whoever writes the prompts can write such a prefix, so a router's saving is only as safe as this.
Source: "Rerouting LLM Routers", Shafran et al. (arXiv:2501.01818): a gadget is independent of the
query; one token at a time is replaced by the best of a few random ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from turnout.evaluation.metrics import Vector

# Our own words, not the user's: a gadget is printed, and prompts are not.
WORDS = tuple(
    "prove derive theorem integral matrix eigenvalue lemma convergence polynomial topology tensor "
    "quantum entropy molecule enzyme genome statute jurisdiction liability treaty epistemology "
    "algorithm complexity recursion concurrency compiler kernel protocol regression gradient "
    "analyze compare justify rigorous step carefully therefore however assume constraint optimize "
    "explain summarize translate list hello please thanks weather recipe movie color simple short "
    "yes no maybe what why how when the of and with without exactly many few 0 1 7 42 1024 3.14 "
    "def return class import lambda while struct SELECT JOIN WHERE ``` $$ \\frac \\sum == != -> => "
    "{ } [ ] ( ) ; : ? ! # @ % & * / A. B. C. D. Answer: Question: Note: TODO".split()
)
LENGTH = 8
"""Words of a gadget."""
TRIED = 8
"""Replacements tried at a position."""
SEARCHED = 16
"""Prompts that the search looks at; the gadget is measured on others."""
BUDGET = 2_000
"""Predictions that one search may make."""


@dataclass(frozen=True, slots=True)
class Gadget:
    """A prefix and what it cost to find."""

    text: str
    predictions: int


def climb(
    lean: Callable[[list[str]], Vector],
    prompts: Sequence[str],
    *,
    seed: int = 0,
    budget: int = BUDGET,
) -> Gadget:
    """Find a prefix that makes a router lean to the strong model, on average over some prompts.

    Args:
        lean: texts → (n,) how much each leans to the strong model; only its order matters.
        prompts: to search on; those with which the gadget is measured must be others.
        seed: the same seed gives the same gadget.
        budget: predictions to make at most.
    """
    rng = np.random.default_rng(seed)

    def heights(gadgets: Sequence[Sequence[int]]) -> Vector:
        texts = [prefixed(" ".join(WORDS[w] for w in g), p) for g in gadgets for p in prompts]
        leaning = lean(texts).reshape(len(gadgets), len(prompts))
        return np.asarray(leaning.mean(axis=1))

    words = rng.integers(len(WORDS), size=LENGTH).tolist()
    height, spent = float(heights([words])[0]), len(prompts)
    while spent + TRIED * len(prompts) <= budget:
        at = int(rng.integers(LENGTH))
        tried = [
            [*words[:at], int(w), *words[at + 1 :]] for w in rng.integers(len(WORDS), size=TRIED)
        ]
        found = heights(tried)
        spent += TRIED * len(prompts)
        best = int(np.argmax(found))
        if found[best] > height:
            words, height = tried[best], float(found[best])
    return Gadget(" ".join(WORDS[w] for w in words), spent)


def prefixed(gadget: str, prompt: str) -> str:
    """A prompt with a gadget before it."""
    return f"{gadget}\n{prompt}"
