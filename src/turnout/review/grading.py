"""Fill in the scores of a file of drawn prompts, from answers that are there or that a batch gave."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from turnout.data.lines import at, json_lines
from turnout.data.logs.fields import answer_of, part
from turnout.data.logs.joins import is_batch_output
from turnout.errors import CapReachedError, DataError, RouterError
from turnout.scorers.base import Answered, Scorer


@dataclass(slots=True)
class Graded:
    """What came of grading."""

    scored: int = 0
    already: int = 0
    no_answer: int = 0
    no_grade: int = 0
    """Answers that the scorer cannot tell of: no reference, or a judge's reply that is no grade."""
    failed: int = 0
    """Calls of the judge that failed."""
    stopped: str = ""
    """Why grading stopped early; the rest stays ungraded."""

    def __str__(self) -> str:
        said = [f"{self.scored:,} answers graded"]
        for count, what in (
            (self.already, "had a score"),
            (self.no_answer, "have no answer"),
            (self.no_grade, "could not be graded"),
            (self.failed, "calls of the judge failed"),
        ):
            if count:
                said.append(f"{count:,} {what}")
        return ", ".join(said) + (f"; stopped: {self.stopped}" if self.stopped else "")


@dataclass(slots=True)
class Answers:
    """Answers by model and prompt id, from outputs of batches."""

    by_model: dict[str, dict[str, str]] = field(default_factory=dict)

    def read(self, model: str, path: Path) -> None:
        """Take in a batch's output file.

        Raises:
            DataError: a line that is none of one.
        """
        found = self.by_model.setdefault(model, {})
        for line, row in json_lines(path):
            if not is_batch_output(row):
                raise DataError(at(path, line), "", "give the output file of a batch")
            answer = answer_of(part(row, "response", "body"))
            if answer:
                found[str(row["custom_id"])] = answer


def grade_file(path: Path, out: Path, scorer: Scorer, answers: Answers) -> Graded:
    """Grade every answer that has no score yet; scores that are there are kept.

    Args:
        path: what `turnout review --label` wrote.
        out: the same rows with scores; may be `path`: it is replaced at the end, whole.
        scorer: grades.
        answers: beside those in the rows.

    Raises:
        DataError: a row that is not of such a file.
    """
    counts = Graded()
    half = out.with_name(out.name + ".part")
    half.touch(mode=0o600)
    with half.open("w", encoding="utf-8") as file:
        for row in _rows(path):
            _grade_row(row, scorer, answers, counts)
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    half.replace(out)
    return counts


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    for line, row in json_lines(path):
        if not isinstance(row.get("models"), dict) or "id" not in row or "prompt" not in row:
            remedy = "give a file that `turnout review --label` wrote"
            raise DataError(at(path, line), "", remedy)
        yield row


def _grade_row(row: dict[str, Any], scorer: Scorer, answers: Answers, counts: Graded) -> None:
    given = row.get("answers")
    own: Mapping[str, Any] = given if isinstance(given, Mapping) else {}
    reference = row.get("reference")
    for model, score in row["models"].items():
        answer = answers.by_model.get(model, {}).get(str(row["id"])) or own.get(model)
        if score is not None:
            counts.already += 1
        elif not isinstance(answer, str) or not answer.strip():
            counts.no_answer += 1
        elif not counts.stopped:
            row["models"][model] = _score(
                scorer,
                Answered(
                    prompt=str(row["prompt"]),
                    answer=answer,
                    reference=None if reference is None else str(reference),
                ),
                counts,
            )


def _score(scorer: Scorer, answered: Answered, counts: Graded) -> float | None:
    try:
        found = scorer.score(answered)
    except CapReachedError as error:
        counts.stopped = str(error)
        return None
    except RouterError:
        counts.failed += 1
        return None
    if found is None:
        counts.no_grade += 1
    else:
        counts.scored += 1
    return found
