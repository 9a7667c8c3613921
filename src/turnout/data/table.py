"""Outcomes as a dense table: n prompts by m models, with holes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from turnout.errors import DataError
from turnout.types import Floats, Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeTable:
    """Scores of m models on n prompts; NaN where a model was not run.

    Prompts are unique. `groups` says which prompts must stay on one side of any split.
    """

    prompts: tuple[str, ...]
    models: tuple[str, ...]
    score: Floats
    """(n, m) in [0, 1], NaN for a missing cell."""
    cost_usd: Floats
    """(n, m), NaN where unknown."""
    input_tokens: Floats
    """(n, m), NaN where unknown."""
    output_tokens: Floats
    """(n, m), NaN where unknown."""
    groups: NDArray[np.intp]
    """(n,) group number of each prompt."""
    categories: tuple[str, ...] = ()
    """n dataset or category names, or empty."""
    notes: tuple[str, ...] = ()
    """What was found while reading: duplicates merged and the like."""

    @property
    def shape(self) -> tuple[int, int]:
        """(n, m)."""
        return len(self.prompts), len(self.models)

    def rows(self, index: NDArray[np.intp] | NDArray[np.bool_] | Sequence[int]) -> OutcomeTable:
        """The table of some of its prompts."""
        at = np.arange(len(self.prompts))[np.asarray(index)]
        return OutcomeTable(
            prompts=tuple(self.prompts[i] for i in at),
            models=self.models,
            score=self.score[at],
            cost_usd=self.cost_usd[at],
            input_tokens=self.input_tokens[at],
            output_tokens=self.output_tokens[at],
            groups=self.groups[at],
            categories=tuple(self.categories[i] for i in at) if self.categories else (),
            notes=self.notes,
        )

    def columns(self, models: Sequence[str]) -> OutcomeTable:
        """The table of some of its models, in the given order.

        Raises:
            DataError: a model that the table does not hold.
        """
        missing = [name for name in models if name not in self.models]
        if missing:
            raise DataError("models", missing[0], f"the data holds {', '.join(self.models)}")
        at = [self.models.index(name) for name in models]
        return OutcomeTable(
            prompts=self.prompts,
            models=tuple(models),
            score=self.score[:, at],
            cost_usd=self.cost_usd[:, at],
            input_tokens=self.input_tokens[:, at],
            output_tokens=self.output_tokens[:, at],
            groups=self.groups,
            categories=self.categories,
            notes=self.notes,
        )


def build_table(
    outcomes: Iterable[Outcome],
    *,
    models: Sequence[str] | None = None,
    categories: dict[str, str] | None = None,
) -> OutcomeTable:
    """Gather outcomes into a table. Cells given more than once are averaged, and that is noted.

    Args:
        outcomes: in any order. Prompts without a group get one of their own.
        models: columns, in order; default: in order of first appearance.
        categories: category per prompt.

    Raises:
        DataError: no outcomes, or a score, cost or token count that is not a number in range.
    """
    rows: dict[str, int] = {}
    columns: dict[str, int] = {name: j for j, name in enumerate(models or ())}
    group_of: dict[str, int] = {}
    groups: list[int] = []
    cells: dict[tuple[int, int], list[tuple[float, float, float, float]]] = {}
    for outcome in outcomes:
        _check(outcome)
        if models is not None and outcome.model not in columns:
            continue
        i = rows.setdefault(outcome.prompt, len(rows))
        j = columns.setdefault(outcome.model, len(columns))
        if i == len(groups):
            key = f"group:{outcome.group}" if outcome.group is not None else f"prompt:{i}"
            groups.append(group_of.setdefault(key, len(group_of)))
        cells.setdefault((i, j), []).append(
            (
                outcome.score,
                _or_nan(outcome.cost_usd),
                _or_nan(outcome.input_tokens),
                _or_nan(outcome.output_tokens),
            )
        )
    if not cells:
        raise DataError("outcomes", 0, "give at least one (prompt, model, score)")
    values = np.full((4, len(rows), len(columns)), np.nan, dtype=np.float32)
    for (i, j), found in cells.items():
        values[:, i, j] = _known_means(np.asarray(found, dtype=np.float64))
    repeated = sum(len(found) > 1 for found in cells.values())
    notes = (
        (f"{repeated} (prompt, model) cells given more than once: averaged",) if repeated else ()
    )
    return OutcomeTable(
        prompts=tuple(rows),
        models=tuple(columns),
        score=values[0],
        cost_usd=values[1],
        input_tokens=values[2],
        output_tokens=values[3],
        groups=np.asarray(groups, dtype=np.intp),
        categories=tuple(categories.get(p, "") for p in rows) if categories else (),
        notes=notes,
    )


def _known_means(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """(k,) means of the known values of each column, NaN where none is known."""
    known = np.isfinite(rows)
    total = np.where(known, rows, 0.0).sum(axis=0)
    return np.where(known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), np.nan)


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _check(outcome: Outcome) -> None:
    if not isinstance(outcome.prompt, str) or not outcome.prompt.strip():
        raise DataError("prompt", outcome.prompt, "give the text that was sent to the model")
    if not 0.0 <= outcome.score <= 1.0:
        raise DataError(
            "score",
            outcome.score,
            f"give a number from 0 to 1 (model {outcome.model!r}, prompt {outcome.prompt[:60]!r})",
        )
    for field in ("cost_usd", "input_tokens", "output_tokens"):
        value = getattr(outcome, field)
        if value is not None and not 0 <= value < float("inf"):
            raise DataError(field, value, "give a number that is not negative, or leave it out")
