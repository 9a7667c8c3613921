"""What is wrong with outcomes before anything is fitted on them, in words and numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from turnout.data.battles import VOTES_READ
from turnout.data.groups import near_duplicate_groups, normalised_words
from turnout.data.seen import SeenPrompts
from turnout.data.table import OutcomeTable
from turnout.features import language

MANY = 0.1
"""Share of prompts from which near-duplicates, ties or holes are a finding."""
COLLAPSED = 0.9
"""Share of prompts on which one model is best, alone or tied, for the others to be idle."""
FEW_PROMPTS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that a person should know, and what to do about it."""

    kind: str
    """Stable name, such as `near_duplicates`."""
    found: str
    remedy: str
    numbers: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def audit(
    table: OutcomeTable,
    dev: OutcomeTable | None = None,
    *,
    seen: SeenPrompts | None = None,
    votes: bool = False,
) -> list[Finding]:
    """All findings on outcomes, and on what they share with a part kept for measuring.

    Args:
        table: what is to be fitted on.
        dev: what is to be measured on.
        seen: the prompts that shipped artifacts were fitted on; None does not look.
        votes: whether the outcomes are votes, which leave most cells empty and share most scores.
    """
    found = [*_duplicates(table), *_columns(table), *_texts(table)]
    found += [] if votes else [*_ties(table), *_cells(table)]
    found += [] if seen is None else seen_by_shipped(table.prompts, seen)
    return [*found, *(_across(table, dev) if dev is not None else ())]


def seen_by_shipped(prompts: Sequence[str], seen: SeenPrompts) -> list[Finding]:
    """Whether shipped artifacts were fitted on some of n prompts, exactly or nearly."""
    known = seen.look_up(prompts)
    exact, near, n = known.exact != 0, known.near != 0, len(prompts)
    both = exact | near
    if not both.any():
        return []
    counts = {}
    for names in known.artifacts:
        found = known.by_artifact(names[0])
        if found is not None:
            counts[", ".join(names)] = {"exact": int(found[0].sum()), "near": int(found[1].sum())}
    text = (
        f"{int(both.sum())} of {n} prompts ({both.mean():.1%}) were among those that shipped "
        f"artifacts were fitted on, {int(exact.sum())} word for word and {int(near.sum())} nearly: "
    ) + "; ".join(f"{names}: {c['exact']} and {c['near']}" for names, c in counts.items())
    remedy = (
        "judge these routers by the other prompts: on these a figure is memory; routers that you "
        "train yourself are not concerned"
    )
    rows = [int(i) for i in np.flatnonzero(both)[:20]]
    numbers = {"prompts": int(both.sum()), "artifacts": counts, "rows": rows}
    return [Finding(kind="seen_by_shipped", found=text, remedy=remedy, numbers=numbers)]


def _duplicates(table: OutcomeTable) -> list[Finding]:
    n = len(table.prompts)
    same = n - len({tuple(normalised_words(p)) or (p,) for p in table.prompts})
    near = near_duplicate_groups(table.prompts)
    count = n - len(np.unique(near))
    found = [
        Finding(kind="merged_rows", found=note, remedy="check that this is meant", numbers={})
        for note in table.notes
        if not note.endswith(VOTES_READ)
    ]
    if same:
        text = f"{same} of {n} prompts repeat another but for case, marks and numbers"
        remedy = "merge them; they stay in one fold meanwhile"
        found.append(
            Finding(kind="duplicates", found=text, remedy=remedy, numbers={"prompts": same})
        )
    if count > MANY * n:
        largest = int(np.bincount(near).max())
        text = f"{n} prompts make {n - count} groups of near-duplicates, the largest of {largest}"
        remedy = (
            "count groups, not prompts, as your labels: only new kinds of prompts add knowledge"
        )
        numbers = {"groups": n - count, "largest": largest}
        found.append(Finding(kind="near_duplicates", found=text, remedy=remedy, numbers=numbers))
    joined = len(np.unique(table.groups)) - len(
        np.unique(near_duplicate_groups(table.prompts, known=[str(g) for g in table.groups]))
    )
    if joined and len(np.unique(table.groups)) < n:
        text = f"near-duplicates join {joined} of your groups to others"
        remedy = "split by near-duplicates as well as by your groups, as `turnout train` does"
        numbers = {"groups": joined}
        found.append(Finding(kind="groups_overlap", found=text, remedy=remedy, numbers=numbers))
    return found


def _ties(table: OutcomeTable) -> list[Finding]:
    whole = np.isfinite(table.score).all(axis=1)
    if not whole.any() or len(table.models) < 2:
        return []
    score = table.score[whole]
    top = score == score.max(axis=1, keepdims=True)
    tied = float((top.sum(axis=1) > 1).mean())
    found = []
    if tied > MANY:
        first = float((np.argmax(score, axis=1) == 0).mean())
        text = (
            f"on {tied:.0%} of {len(score)} prompts the best score is shared; a label 'best model' "
            f"would name {table.models[0]} on {first:.0%}, because its column is first"
        )
        remedy = "fit on the scores, as every router here does, never on the best model's name"
        numbers = {"share": round(tied, 4)}
        found.append(Finding(kind="ties", found=text, remedy=remedy, numbers=numbers))
    best = top.mean(axis=0)
    j = int(np.argmax(best))
    if best[j] >= COLLAPSED:
        text = f"{table.models[j]} is best or level on {best[j]:.0%} of prompts"
        remedy = (
            "routing can save money here but add little quality; use harder prompts to see more"
        )
        named: dict[str, Any] = {"model": table.models[j], "share": round(float(best[j]), 4)}
        found.append(Finding(kind="label_collapse", found=text, remedy=remedy, numbers=named))
    return found


def _columns(table: OutcomeTable) -> list[Finding]:
    if len(table.models) < 2:
        remedy = "give scores of at least two models on the same prompts"
        text = f"all scores are of {table.models[0]}"
        return [Finding(kind="single_model", found=text, remedy=remedy, numbers={})]
    found = []
    for j, model in enumerate(table.models):
        values = table.score[np.isfinite(table.score[:, j]), j]
        if len(values) and float(values.min()) == float(values.max()):
            text = f"{model} scores {float(values[0]):g} on all of its {len(values)} prompts"
            remedy = "look at how it was scored; leave it out if that is all there is"
            numbers = {"model": model, "score": float(values[0])}
            found.append(
                Finding(kind="constant_column", found=text, remedy=remedy, numbers=numbers)
            )
    return found


def _cells(table: OutcomeTable) -> list[Finding]:
    seen = np.isfinite(table.score)
    n, found = len(table.prompts), []
    alone = int((seen.sum(axis=1) <= 1).sum()) if len(table.models) > 1 else 0
    if alone:
        text = f"{alone} of {n} prompts were given to one model only"
        remedy = "run the others on them: such prompts teach levels, never a difference"
        numbers = {"prompts": alone}
        found.append(Finding(kind="one_model_prompts", found=text, remedy=remedy, numbers=numbers))
    holes = 1.0 - float(seen.mean())
    if holes > MANY:
        worst = int(np.argmin(seen.mean(axis=0)))
        text = f"{holes:.0%} of cells are missing; {table.models[worst]} has {seen[:, worst].sum()}"
        remedy = "missing at random is fine; if a model got only easy prompts its level is biased"
        gaps: dict[str, Any] = {"share": round(holes, 4), "model": table.models[worst]}
        found.append(Finding(kind="missing_cells", found=text, remedy=remedy, numbers=gaps))
    values = table.score[seen]
    if len(values) and float(values.max() - values.min()) < 0.2 and values.max() != values.min():
        text = f"all scores lie from {values.min():.3g} to {values.max():.3g}"
        remedy = (
            "rescale to [0, 1], worst answer 0 and best 1: another scale was likely squeezed in"
        )
        found.append(Finding(kind="narrow_scores", found=text, remedy=remedy, numbers={}))
    return found


def _texts(table: OutcomeTable) -> list[Finding]:
    n, found = len(table.prompts), []
    if n < FEW_PROMPTS:
        text = f"{n} prompts"
        remedy = f"below {FEW_PROMPTS} labels little beats prompt length reliably; collect more"
        found.append(Finding(kind="few_prompts", found=text, remedy=remedy, numbers={"prompts": n}))
    chars = np.asarray([len(p) for p in table.prompts])
    if chars.max() > 0 and np.quantile(chars, 0.9) <= 1.1 * max(np.quantile(chars, 0.1), 1):
        text = f"nearly all prompts are {int(np.median(chars))} characters long"
        remedy = "add prompts as they come in: a router knows only lengths that it has seen"
        found.append(Finding(kind="one_length", found=text, remedy=remedy, numbers={}))
    return found


def _across(table: OutcomeTable, dev: OutcomeTable) -> list[Finding]:
    n = len(table.prompts)
    group = near_duplicate_groups([*table.prompts, *dev.prompts])
    shared = np.isin(group[n:], group[:n])
    if not shared.any():
        return []
    text = f"{int(shared.sum())} of {len(shared)} prompts for measuring have a near-duplicate here"
    remedy = "take them out of one of the two: what is measured on them is memory"
    at = [int(i) for i in np.flatnonzero(shared)[:20]]
    numbers = {"prompts": int(shared.sum()), "rows": at}
    return [Finding(kind="across_splits", found=text, remedy=remedy, numbers=numbers)]


def spread(table: OutcomeTable) -> dict[str, Any]:
    """Counts that are no finding: sizes, lengths, languages, and the values that scores take."""
    chars = np.asarray([len(p) for p in table.prompts])
    values = Counter(np.round(table.score[np.isfinite(table.score)], 3).tolist())
    return {
        "prompts": len(table.prompts),
        "models": list(table.models),
        "outcomes": int(np.isfinite(table.score).sum()),
        "characters": [int(v) for v in np.quantile(chars, [0.0, 0.5, 0.9, 1.0])],
        "score_values": len(values),
        "binary": set(values) <= {0.0, 1.0},
        "languages": dict(Counter(map(language, table.prompts)).most_common()),
        "mean_score": {
            name: round(float(np.nanmean(table.score[:, j])), 4)
            for j, name in enumerate(table.models)
            if np.isfinite(table.score[:, j]).any()
        },
    }
