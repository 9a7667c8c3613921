"""Recorded decisions as stored predictions: JSONL of `Decision.to_dict`, one a line.

`turnout route --json --file PROMPTS` prints them. A line needs `model`, `router`, `quality` and, for new
prices, `input_tokens` and `expected_output_tokens`; a `prompt` joins outcomes. Decisions without a
prediction (the router had failed, one candidate was left, a model was asked for by name) keep their
model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from turnout.data.lines import at, json_lines
from turnout.errors import DataError, InputError
from turnout.evaluation.replay_predictions import (
    ID_BYTES,
    RecordedDecisions,
    StoredPredictions,
    prompt_id,
)
from turnout.routers.reference import Reference
from turnout.types import PICO, Candidate, Price

NO_ROUTER: Final = "none"
"""What stands for the router where a model was asked for by its name."""
_REMEDY = "give decisions as `turnout route --json --file PROMPTS` prints them, one a line"
_PER_MODEL: Final = ("quality", "spread", "expected_cost_usd", "expected_output_tokens")


def read_decisions(
    path: Path, *, router: str | None = None, reference: Reference | None = None
) -> StoredPredictions:
    """Read recorded decisions.

    Args:
        path: a JSONL file; `-` is standard input.
        router: whose decisions count; needed where the file has those of several.
        reference: of the router's artifact, so that operating points follow new prices.

    Raises:
        DataError: a line is no decision, or a value cannot be used; names file, line and field.
        InputError: decisions of several routers, or none of the one that was named.
    """
    rows = [_row(row, path, line) for line, row in json_lines(path)]
    if not rows:
        raise DataError("file", str(path), f"it holds no decision; {_REMEDY}")
    kept, wanted, left_out = _of_one_router(rows, router)
    names = _names(kept)
    place = {name: j for j, name in enumerate(names)}
    n, m = len(kept), len(names)
    values = {field: np.full((n, m), np.nan) for field in _PER_MODEL}
    out = np.zeros((n, m), dtype=bool)
    for i, row in enumerate(kept):
        for field in _PER_MODEL:
            for name, value in row.values[field].items():
                values[field][i, place[name]] = value
        for name in row.excluded:
            out[i, place[name]] = True
    tokens_in = np.asarray([row.input_tokens for row in kept])
    cost = values["expected_cost_usd"] * PICO
    lengths = values["expected_output_tokens"]
    prices = [price_of_costs(tokens_in, lengths[:, j], cost[:, j]) for j in range(m)]
    return StoredPredictions(
        router=wanted,
        candidates=tuple(
            Candidate(name=name, price=price) for name, price in zip(names, prices, strict=True)
        ),
        default=names[0],
        quality=values["quality"].astype(np.float32),
        input_tokens=tokens_in,
        output_tokens=lengths,
        out=out,
        pair=None,
        prompt_ids=np.frombuffer(b"".join(row.key for row in kept), np.uint8).reshape(n, ID_BYTES),
        groups=_groups([row.key for row in kept]),
        spread=values["spread"].astype(np.float32) if np.isfinite(values["spread"]).any() else None,
        basis=_basis(kept, names),
        reference=reference,
        recorded=RecordedDecisions(
            index=np.asarray([place[row.model] for row in kept], dtype=np.intp),
            threshold=np.asarray([row.threshold for row in kept]),
            cost_picousd=cost,
            win_rate=np.asarray([row.win_rate for row in kept], dtype=np.float32),
            policy=Counter(row.policy for row in kept if row.values["quality"]).most_common(1)[0][0]
            if any(row.values["quality"] for row in kept)
            else "",
        ),
        artifact=_common([row.artifact for row in kept]),
        source=path.name,
        notes=(*left_out, *_notes(kept)),
    )


def price_of_costs(
    input_tokens: NDArray[np.float64],
    output_tokens: NDArray[np.float64],
    cost_picousd: NDArray[np.float64],
) -> Price | None:
    """The one price a token, in and out, at which (n,) calls cost what they did.

    None where the calls do not tell it (all of one length) or do not have one (it changed).
    """
    known = np.isfinite(input_tokens) & np.isfinite(output_tokens) & np.isfinite(cost_picousd)
    tokens = np.stack([input_tokens[known], output_tokens[known]], axis=1)
    if len(tokens) < 2 or np.linalg.matrix_rank(tokens) < 2:
        return None
    found = np.linalg.lstsq(tokens, cost_picousd[known], rcond=None)[0].round()
    # Recorded costs are whole picodollars, written as dollars in double precision.
    slack = 1.0 + 1e-9 * cost_picousd[known]
    if (found < 0).any() or (np.abs(tokens @ found - cost_picousd[known]) > slack).any():
        return None
    return Price(input_picousd=int(found[0]), output_picousd=int(found[1]))


@dataclass(frozen=True, slots=True)
class _Row:
    """What counts of one decision, checked."""

    model: str
    router: str
    policy: str
    code: str
    threshold: float
    win_rate: float
    input_tokens: float
    key: bytes
    artifact: str | None
    values: Mapping[str, Mapping[str, float]]
    excluded: Mapping[str, Any]
    basis: Mapping[str, Any]


def _row(row: Mapping[str, Any], path: Path, line: int) -> _Row:
    for field in ("model", "router"):
        if not isinstance(row.get(field), str) or not row[field]:
            raise DataError(at(path, line, field), row.get(field), _REMEDY)
    values = {field: _numbers(row, field, path, line) for field in _PER_MODEL}
    for name, value in values["quality"].items():
        if value > 1.0:
            raise DataError(at(path, line, f"quality of {name!r}"), value, "give 0 to 1")
    text = row.get("prompt")
    key = text if isinstance(text, str) else f"{path.name}:{line}:{row.get('id')}"
    return _Row(
        model=row["model"],
        router=row["router"],
        policy=str(row.get("policy")),
        code=str(row.get("code")),
        threshold=_number(row.get("threshold"), "threshold", path, line, most=1.0),
        win_rate=_number(row.get("win_rate"), "win_rate", path, line, most=1.0),
        input_tokens=_number(row.get("input_tokens"), "input_tokens", path, line),
        key=prompt_id(key),
        artifact=row.get("artifact"),
        values=values,
        excluded=_mapping(row, "excluded", path, line),
        basis=_mapping(row, "basis", path, line),
    )


def _mapping(row: Mapping[str, Any], field: str, path: Path, line: int) -> Mapping[str, Any]:
    value = row.get(field)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise DataError(at(path, line, field), value, "give an object: candidate → value")
    return value


def _numbers(row: Mapping[str, Any], field: str, path: Path, line: int) -> dict[str, float]:
    return {
        name: _number(value, f"{field} of {name!r}", path, line)
        for name, value in _mapping(row, field, path, line).items()
        if value is not None
    }


def _number(
    value: object, field: str, path: Path, line: int, *, most: float = float("inf")
) -> float:
    """A number that is not negative; NaN for null."""
    if value is None:
        return float("nan")
    usable = isinstance(value, int | float) and not isinstance(value, bool)
    if not usable or not 0 <= float(value) <= min(most, 1e300):  # type: ignore[arg-type]
        top = "from 0 to 1" if most == 1.0 else "that is not negative"
        raise DataError(at(path, line, field), value, f"give a number {top}, or null")
    return float(value)  # type: ignore[arg-type]


def _of_one_router(rows: list[_Row], router: str | None) -> tuple[list[_Row], str, list[str]]:
    """The decisions of one router and those by name, its name, and a note of the rest."""
    counts = Counter(row.router for row in rows if row.router != NO_ROUTER)
    if router is None and len(counts) > 1:
        remedy = "the file has decisions of several routers; name one with --router"
        raise InputError("router", sorted(counts), remedy)
    wanted = router or next(iter(counts), NO_ROUTER)
    if router is not None and router not in counts:
        raise InputError("router", router, f"the file has decisions of {', '.join(sorted(counts))}")
    kept = [row for row in rows if row.router in (wanted, NO_ROUTER)]
    rest = len(rows) - len(kept)
    return kept, wanted, [f"{rest:,} decisions of other routers left out"] if rest else []


def _names(rows: Sequence[_Row]) -> tuple[str, ...]:
    """Candidates in the pool's order: that of the decisions that name most, then the others."""
    found: dict[str, None] = {}
    listed = [tuple(row.values["quality"]) for row in rows]
    for names in sorted(dict.fromkeys(listed), key=len, reverse=True):
        found |= dict.fromkeys(names)
    for row in rows:
        found |= dict.fromkeys((*row.values["expected_cost_usd"], *row.excluded, row.model))
    return tuple(found)


def _groups(keys: Sequence[bytes]) -> NDArray[np.intp]:
    first: dict[bytes, int] = {}
    return np.asarray([first.setdefault(key, len(first)) for key in keys], dtype=np.intp)


def _basis(rows: Sequence[_Row], names: Sequence[str]) -> tuple[str, ...]:
    """What each candidate's quality rests on, where all decisions agree."""
    found = []
    for name in names:
        said = {str(row.basis[name]) for row in rows if name in row.basis}
        found.append(said.pop() if len(said) == 1 else "")
    return tuple(found)


def _common(values: Sequence[Any]) -> str | None:
    stated = {value for value in values if value is not None}
    return str(stated.pop()) if len(stated) == 1 else None


def _notes(rows: Sequence[_Row]) -> list[str]:
    found = []
    unpredicted = Counter(row.code for row in rows if not row.values["quality"])
    if unpredicted:
        named = ", ".join(f"{count:,} {code}" for code, count in unpredicted.most_common())
        found.append(f"decisions without a prediction keep their model: {named}")
    explored = sum(row.code == "explored" for row in rows)
    if explored:
        found.append(f"{explored:,} decisions explored: here the policy's own choice is made")
    artifacts = {row.artifact for row in rows if row.artifact is not None}
    if len(artifacts) > 1:
        found.append(f"decisions of {len(artifacts)} artifacts are mixed here")
    return found
