"""From the columns that a head predicts to the candidates that a user named."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from turnout.errors import UnknownNameError
from turnout.types import Candidate, Floats

_DATE = re.compile(r"[-_@](?:20\d{2}-?\d{2}-?\d{2}|\d{4}|latest|preview)$")


def normalise(model: str) -> str:
    """A model's name without vendor, case, or separators' style: `OpenAI/GPT_4o` → `gpt-4o`."""
    name = model.strip().lower().rpartition("/")[2]
    return re.sub(r"[\s_:]+", "-", name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """What a head's K columns are.

    Without a ladder they are the models of the outcomes it was fitted on, by name. With one they
    are tiers of ability, weakest first, and a model stands at a position from 0 to K - 1: by its
    name where its outcomes are known, else by its place among the candidates ("prior").
    """

    names: tuple[str, ...]
    ladder: Mapping[str, float] | None = None
    """Normalised model name → position."""
    strong_prior: float = 0.0
    weak_prior: float = 0.0

    def weights(self, candidates: Sequence[Candidate]) -> tuple[Floats, tuple[str, ...]]:
        """How candidates mix the columns.

        Returns:
            (K, m) weights, each column summing to 1, and what each candidate's rests on.

        Raises:
            UnknownNameError: no ladder, and a candidate that was not among the outcomes.
        """
        if self.ladder is None:
            at = [float(self._named(c)) for c in candidates]
            basis = tuple(f"outcomes of {self.names[int(p)]}" for p in at)
        else:
            at, basis = self._places(candidates)
        mix = np.zeros((len(self.names), len(candidates)), dtype=np.float32)
        for j, place in enumerate(at):
            low = min(int(place), len(self.names) - 1)
            high = min(low + 1, len(self.names) - 1)
            mix[low, j] += 1.0 - (place - low)
            mix[high, j] += place - low
        return mix, basis

    def ordered(self, quality: Floats) -> Floats:
        """(n, K) qualities; on a ladder none is below that of a weaker tier."""
        return quality if self.ladder is None else np.maximum.accumulate(quality, axis=1)

    def _named(self, candidate: Candidate) -> int:
        wanted = candidate.known_as or candidate.name
        for find in (wanted, candidate.model):
            if find in self.names:
                return self.names.index(find)
        plain = [normalise(name) for name in self.names]
        if plain.count(normalise(wanted)) == 1:
            return plain.index(normalise(wanted))
        raise UnknownNameError(
            "model in the artifact",
            wanted,
            self.names,
            hint=" Train on outcomes of this model, or set `known_as` to one that stands for it.",
        )

    def _places(self, candidates: Sequence[Candidate]) -> tuple[list[float], tuple[str, ...]]:
        """Positions on the ladder. Of two candidates the user's order wins over a contradiction."""
        m = len(candidates)
        priors = (
            np.linspace(self.strong_prior, self.weak_prior, m) if m > 1 else [self.strong_prior]
        )
        known = [self._known(c) for c in candidates]
        places = [float(p) if k is None else k for p, k in zip(priors, known, strict=True)]
        if m == 2 and places[1] >= places[0]:
            return [float(p) for p in priors], tuple(
                f"prior: place {j + 1} of {m} in the pool's order" for j in range(m)
            )
        return places, tuple(
            f"prior: place {j + 1} of {m} in the pool's order"
            if k is None
            else f"measured outcomes of {normalise(c.known_as or c.name)}"
            for j, (k, c) in enumerate(zip(known, candidates, strict=True))
        )

    def _known(self, candidate: Candidate) -> float | None:
        ladder = self.ladder or {}
        for name in (candidate.known_as, candidate.name, candidate.model):
            for form in name_forms(name) if name else ():
                if form in ladder:
                    return ladder[form]
        return None


@lru_cache(maxsize=4096)
def name_forms(name: str) -> tuple[str, ...]:
    """A name as given and with its date or tag taken off, most exact first."""
    plain = normalise(name)
    forms = [plain]
    while (shorter := _DATE.sub("", forms[-1])) != forms[-1]:
        forms.append(shorter)
    return tuple(forms)
