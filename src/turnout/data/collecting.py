"""From single scores to a table: checked, with what was odd counted and named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from turnout.data.flat import CELL_FIELDS
from turnout.data.groups import near_duplicate_groups
from turnout.data.lines import at
from turnout.data.table import OutcomeTable, build_table
from turnout.errors import DataError, suggest
from turnout.types import Outcome

_NAMED = 3
"""Conflicts that a note names."""


@dataclass(slots=True)
class Collector:
    """Takes in what models scored, one (prompt, model) at a time, in the order of a file."""

    known_fields: Sequence[str] = ()
    """Names that mean something here: a guess at what an unknown one was meant to be."""
    rows: int = 0
    _prompts: set[str] = field(default_factory=set)
    _outcomes: list[Outcome] = field(default_factory=list)
    _groups: dict[str, str] = field(default_factory=dict)
    _categories: dict[str, str] = field(default_factory=dict)
    _unknown: dict[str, str] = field(default_factory=dict)
    """Fields that mean nothing here → place of the first."""
    _left_out: Counter[str] = field(default_factory=Counter)
    _first: dict[tuple[str, str], tuple[float, str]] = field(default_factory=dict)
    """(prompt, model) → its first score, and where that stands."""
    _conflicts: list[str] = field(default_factory=list)

    def prompt(
        self,
        path: Path,
        line: int,
        prompt: object,
        *,
        group: object = None,
        category: object = None,
    ) -> str:
        """The prompt of a row, checked; its labels are kept (of a prompt, the first counts).

        Raises:
            DataError: there is no text, or a label is not one.
        """
        self.rows += 1
        if not isinstance(prompt, str) or not prompt.strip():
            raise DataError(
                at(path, line, "prompt"), prompt, "give the text that was sent to the model"
            )
        for name, value, kept in (
            ("group", group, self._groups),
            ("category", category, self._categories),
        ):
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, str | int):
                raise DataError(at(path, line, name), value, "give a text, or leave it out")
            kept.setdefault(prompt, str(value))
        self._prompts.add(prompt)
        return prompt

    def add(
        self, path: Path, line: int, prompt: str, model: object, values: Mapping[str, Any]
    ) -> None:
        """Take in one outcome; a score of null is a model that was not run.

        Args:
            path: the file, for errors.
            line: in it.
            prompt: as `prompt` gave it.
            model: its name.
            values: of `flat.CELL_FIELDS`; others are noted as unknown.

        Raises:
            DataError: a value that cannot be used; names file, line, field, value and remedy.
        """
        if not isinstance(model, str) or not model.strip():
            raise DataError(at(path, line, "model"), model, "give the model's name")
        if "score" not in values:
            where = at(path, line, f"score of {model!r}")
            raise DataError(where, dict(values), 'give "score" from 0 to 1, or null')
        found = {name: _number(values.get(name), name, model, path, line) for name in CELL_FIELDS}
        score = found["score"]
        if score is None:
            return
        if score > 1.0:
            where = at(path, line, f"score of {model!r}")
            raise DataError(where, values["score"], "give 0 to 1 (divide a judge's 1 to 10 by 10)")
        tokens = {
            name: None if found[name] is None else round(found[name] or 0.0)
            for name in ("input_tokens", "output_tokens")
        }
        self._note_conflict(prompt, model, score, at(path, line))
        self._outcomes.append(
            Outcome(
                prompt=prompt,
                model=model,
                score=score,
                cost_usd=found["cost_usd"],
                group=self._groups.get(prompt),
                **tokens,
            )
        )

    def unknown(self, path: Path, line: int, names: Sequence[str]) -> None:
        """Note fields that are not read."""
        for name in names:
            self._unknown.setdefault(name, at(path, line))

    def leave_out(self, why: str) -> None:
        """Count a row that cannot be used, by a reason that reads "12 WHY"."""
        self._left_out[why] += 1

    def table(
        self, name: str, *, least_models: int = 2, row_per_prompt: bool = False
    ) -> OutcomeTable:
        """The table of what was taken in.

        Args:
            name: of the file, for errors.
            least_models: fewer are an error.
            row_per_prompt: rows are meant to hold one prompt each, so that repeats are noted.

        Raises:
            DataError: no rows, no scores, or too few models.
        """
        if not self.rows:
            raise DataError("file", name, "it holds no row; give one JSON object a line")
        if not self._outcomes:
            why = "; ".join(self._left_out_notes()) or "every model's score is null"
            raise DataError("file", name, f"{why}; give some scores")
        table = build_table(self._outcomes, categories=self._categories or None)
        if len(table.models) < least_models:
            raise DataError(
                "models",
                list(table.models),
                f"{Path(name).name} needs scores of at least two models",
            )
        known = [self._groups.get(prompt) for prompt in table.prompts]
        repeated = self.rows - len(self._prompts) if row_per_prompt else 0
        merged = [f"{repeated} rows repeat an earlier prompt: merged"] if repeated else []
        return replace(
            table,
            groups=near_duplicate_groups(table.prompts, known=known),
            notes=(*self._notes(), *merged, *table.notes),
        )

    def _note_conflict(self, prompt: str, model: str, score: float, where: str) -> None:
        first, place = self._first.setdefault((prompt, model), (score, where))
        if first != score:
            self._conflicts.append(f"{model} at {place} ({first:g}) and {where} ({score:g})")

    def _left_out_notes(self) -> list[str]:
        return [f"{count} {why}" for why, count in self._left_out.items()]

    def _notes(self) -> list[str]:
        found = [
            f"field {name!r} (first at {place}) is not read.{suggest(name, self.known_fields)}"
            for name, place in self._unknown.items()
        ]
        if self._conflicts:
            named = "; ".join(self._conflicts[:_NAMED])
            more = len(self._conflicts) - _NAMED
            rest = f" and {more} more" if more > 0 else ""
            found.append(
                f"{len(self._conflicts)} scores conflict with an earlier one of the same prompt "
                f"and model: {named}{rest}"
            )
        return found + self._left_out_notes()


def _number(value: object, name: str, model: str, path: Path, line: int) -> float | None:
    """A finite number that is not negative, or None for null; `true` is 1."""
    if value is None:
        return None
    if isinstance(value, bool | int | float) and 0 <= value < 1e300:
        return float(value)
    top = "from 0 to 1" if name == "score" else "that is not negative, or leave it out"
    raise DataError(at(path, line, f"{name} of {model!r}"), value, f"give a number {top}")
