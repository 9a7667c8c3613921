"""Members of a mixture: read from text, fitted or opened, and asked out of fold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias
from urllib.parse import parse_qsl

import numpy as np
import yaml
from numpy.typing import NDArray

from turnout import registry
from turnout.artifacts.opening import open_router, opens_artifacts
from turnout.data.table import OutcomeTable
from turnout.errors import DataError, InputError, TurnoutError, UnknownNameError
from turnout.routers.arrays import Arrays
from turnout.routers.base import Router
from turnout.training import trainers
from turnout.training.fit import Progress
from turnout.training.resume import keep_fold, kept_fold
from turnout.types import Candidate, Floats, Query

Weights: TypeAlias = Literal["fitted", "even"]
OPENED = frozenset({"universal"})
"""Taken as it ships: its own fit holds a `blend` of the same outcomes, which a mixture has as a member."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A member that was asked for."""

    label: str
    options: Mapping[str, Any]

    @property
    def fitted(self) -> bool:
        """Whether it is fitted on the outcomes; else it is opened by name."""
        return self.label in trainers.names() and self.label not in OPENED


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A member that was fitted or opened, and what it says of prompts that it did not see."""

    label: str
    predicted: Floats
    """(n, m)"""
    stated: Mapping[str, Any]
    """For the manifest."""
    arrays: Arrays = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def read_members(text: str) -> list[Wanted]:
    """Members from `NAME,NAME?KEY=VALUE&KEY=VALUE`.

    Raises:
        InputError: fewer than two, one twice, or one that cannot be a member.
        UnknownNameError: no such router.
    """
    found = [_read_member(part.strip()) for part in text.split(",") if part.strip()]
    known = {*trainers.names(), *registry.names("routers")} - {"mixture"}
    for i, member in enumerate(found):
        if member.label not in known:
            raise UnknownNameError("member of mixture", member.label, known)
        if member.label in [other.label for other in found[:i]]:
            raise InputError("members", member.label, "name each member once")
        kind = registry.load("routers", member.label)
        if getattr(kind, "STARTS_FROM_HEADS", False):
            remedy = "a router that learns while it serves would not learn here: leave it out"
            raise InputError("members", member.label, remedy)
    if len(found) < 2:
        raise InputError("members", text, f"name at least two of {', '.join(sorted(known))}")
    return found


def _read_member(text: str) -> Wanted:
    label, mark, rest = text.partition("?")
    try:
        pairs = parse_qsl(rest, strict_parsing=True) if mark else []
        return Wanted(label, {key: yaml.safe_load(value) for key, value in pairs})
    except (ValueError, yaml.YAMLError) as error:
        raise InputError("members", text, "write NAME?KEY=VALUE&KEY=VALUE") from error


def fit_member(
    wanted: Wanted,
    table: OutcomeTable,
    fold: NDArray[np.intp],
    *,
    encoder: str,
    seed: int,
    source: str,
    progress: Progress,
    checkpoint: Path | None,
) -> Member:
    """The member, and its predictions out of fold.

    A router that its own fit cross-fits (every head) is fitted once, and those predictions are
    taken; another is fitted on the other folds first. One that is opened by name just predicts.

    Raises:
        DataError: it cannot be fitted on these outcomes, or cannot predict these models.
    """
    if not wanted.fitted:
        progress(f"{wanted.label}: predicting")
        with _naming(wanted.label):
            return _opened_member(wanted, table)

    def fit(part: OutcomeTable, step: str) -> Any:
        return trainers.train(
            wanted.label,
            part,
            encoder=encoder,
            seed=seed,
            source=source,
            progress=lambda text: progress(f"{wanted.label}: {text}"),
            options=wanted.options,
            checkpoint=None if checkpoint is None else checkpoint / step,
        )

    with _naming(wanted.label):
        made = fit(table, "all")
        predicted = made.predicted
        if predicted is None:
            predicted = np.empty(table.shape, dtype=np.float32)
            for f in np.unique(fold):
                held = fold == f
                kept = kept_fold(checkpoint, int(f), (int(held.sum()), table.shape[1]))
                if kept is None:
                    router = fit(table.rows(~held), f"fold-{f}").open()
                    kept = _ask(router, table.rows(held))[0]
                    keep_fold(checkpoint, int(f), kept)
                predicted[held] = kept
    return Member(
        label=wanted.label,
        predicted=predicted,
        stated={"manifest": made.manifest},
        arrays=made.arrays,
        files=made.files,
    )


def _opened_member(wanted: Wanted, table: OutcomeTable) -> Member:
    router = open_router(wanted.label, options=wanted.options)
    predicted, basis = _ask(router, table)
    notes = []
    if opens_artifacts(registry.load("routers", wanted.label)):
        notes.append(
            f"member {wanted.label} was fitted elsewhere: where that was on these prompts too, "
            "its weight and the figures out of fold are flattered"
        )
    strangers = [
        model for model, why in zip(table.models, basis, strict=True) if why.startswith("prior")
    ]
    if strangers:
        notes.append(f"member {wanted.label} knows no outcomes of {', '.join(strangers)}")
    stated = {
        "router": wanted.label,
        "options": dict(wanted.options),
        "fingerprint": router.fingerprint,
    }
    return Member(label=wanted.label, predicted=predicted, stated=stated, notes=tuple(notes))


def _ask(router: Router, table: OutcomeTable) -> tuple[Floats, tuple[str, ...]]:
    """(n, m) qualities, and what they rest on."""
    pool = [Candidate(name=name) for name in table.models]
    router.check(pool)
    found = router.predict([Query.of(prompt) for prompt in table.prompts], pool)
    quality = np.asarray(found.quality, dtype=np.float32)
    if quality.shape != table.shape or not np.isfinite(quality).all():
        raise DataError("quality", quality.shape, f"wanted finite numbers of shape {table.shape}")
    return quality, found.basis


@contextmanager
def _naming(label: str) -> Iterator[None]:
    """An error of a member says whose it is."""
    try:
        yield
    except TurnoutError as error:
        raise DataError("members", label, f"{error}; or leave this member out") from error
