"""A folder of stored predictions: arrays in safetensors, a JSON manifest, a card. No text.

Laid out as an artifact is (`artifacts.folder`), with `kind: predictions` in its manifest. Arrays of n
prompts and m candidates:

    quality, spread          (n, m) float32
    input_tokens             (n,)
    output_tokens            (n, m), or (1, m) where all prompts have the same
    out                      (n, m) uint8, 1 where constraints put a candidate out
    prompt_ids               (n, 16) uint8
    groups                   (n,) int64
    outcomes/…, reference/…  where known
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from turnout import __version__
from turnout.artifacts.folder import MANIFEST, read_artifact, write_artifact
from turnout.errors import ArtifactError, NoCandidateError, RouterError
from turnout.evaluation.benchmarks.base import Benchmark
from turnout.evaluation.replay_predictions import (
    ID_BYTES,
    RecordedOutcomes,
    StoredPredictions,
    prompt_id,
)
from turnout.knobs import HasReference
from turnout.policies.constraints import exclusions
from turnout.pricing import arm_output_tokens
from turnout.routers.base import Router
from turnout.routers.reference import Reference
from turnout.types import Candidate, PairRule, Price, Query

KIND: Final = "predictions"
FORMAT: Final = 1
"""Version of what the manifest and the arrays mean; another one is refused."""
BATCH: Final = 512
_AGAIN = "save them again with `turnout evaluate --save-predictions`"
_MADE_BY = "turnout evaluate --save-predictions"
_REFERENCE: Final = "reference/"
_OUTCOMES: Final = "outcomes/"
_FIELDS: Final = ("score", "cost_usd", "input_tokens", "output_tokens")


def predict(
    router: Router, queries: Sequence[Query], candidates: Sequence[Candidate]
) -> StoredPredictions:
    """What a router expects of candidates on queries, as a live decision would ask it.

    Raises:
        RouterError: it cannot predict, or a quality is not a number.
        NoCandidateError: constraints leave no candidate for a query.
        UnknownNameError: the router does not know a candidate.
    """
    router.check(candidates)
    n, m = len(queries), len(candidates)
    quality = np.full((n, m), np.nan, dtype=np.float32)
    spread = np.full((n, m), np.nan, dtype=np.float32)
    lengths = np.full((n, m), np.nan)
    out, pair, basis = _excluded(queries, candidates), PairRule(), ("",) * m
    for pattern in np.unique(out, axis=0) if n else ():
        fit = np.flatnonzero(~pattern)
        rows = np.flatnonzero((out == pattern).all(axis=1))
        for start in range(0, len(rows), BATCH):
            some = rows[start : start + BATCH]
            asked, able = [queries[i] for i in some], [candidates[int(j)] for j in fit]
            made = router.predict(asked, able)
            at = np.ix_(some, fit)
            quality[at], lengths[at] = made.quality, arm_output_tokens(asked, able, made)
            if made.spread is not None:
                spread[at] = made.spread
            pair = made.pair
            if len(fit) == m and made.basis:
                basis = made.basis
    if not (np.isfinite(quality) | out).all():
        raise RouterError(f"router {router.name} predicted a quality that is not a number")
    return StoredPredictions(
        router=router.name,
        candidates=tuple(candidates),
        default=candidates[0].name,
        quality=quality,
        input_tokens=np.asarray([q.input_tokens for q in queries], dtype=np.float64),
        output_tokens=lengths,
        out=out,
        pair=pair,
        prompt_ids=_ids(queries),
        groups=np.arange(n, dtype=np.intp),
        spread=spread if np.isfinite(spread).any() else None,
        basis=basis,
        reference=router.reference(candidates) if isinstance(router, HasReference) else None,
        artifact=router.fingerprint,
        encoder=_encoder(router),
    )


def predict_benchmark(router: Router, benchmark: Benchmark) -> StoredPredictions:
    """The same for a benchmark's prompts, with its outcomes.

    Raises:
        TurnoutError: see `predict`.
    """
    stored = predict(router, benchmark.queries, benchmark.candidates)
    unknown = np.full(benchmark.quality.shape, np.nan)
    used_in, used_out = benchmark.input_tokens, benchmark.output_tokens
    outcomes = RecordedOutcomes(
        score=benchmark.quality.astype(np.float32),
        cost_usd=benchmark.cost_usd.astype(np.float32),
        input_tokens=(unknown if used_in is None else used_in).astype(np.float32),
        output_tokens=(unknown if used_out is None else used_out).astype(np.float32),
    )
    return replace(stored, outcomes=outcomes, groups=benchmark.groups, source=benchmark.name)


def save(stored: StoredPredictions, folder: Path) -> str:
    """Write predictions, replacing a folder of them; returns its fingerprint.

    Raises:
        ArtifactError: the folder is something else, or cannot be written.
    """
    arrays: dict[str, NDArray[Any]] = {
        "quality": stored.quality,
        "input_tokens": stored.input_tokens,
        "output_tokens": _tight(stored.output_tokens),
        "out": stored.out.astype(np.uint8),
        "prompt_ids": stored.prompt_ids,
        "groups": stored.groups.astype(np.int64),
    }
    if stored.spread is not None:
        arrays["spread"] = stored.spread
    if stored.outcomes is not None:
        arrays |= {_OUTCOMES + name: getattr(stored.outcomes, name) for name in _FIELDS}
    if stored.reference is not None:
        known = stored.reference
        arrays |= {_REFERENCE + name: getattr(known, name) for name in Reference.__slots__}
    manifest = {
        "kind": KIND,
        "predictions_format": FORMAT,
        "turnout": __version__,
        "router": stored.router,
        "artifact": stored.artifact,
        "encoder": stored.encoder,
        "source": stored.source,
        "prompts": stored.n,
        "candidates": [_candidate_to_json(c) for c in stored.candidates],
        "default": stored.default,
        "pair": None if stored.pair is None else asdict(stored.pair),
        "basis": list(stored.basis),
        "notes": list(stored.notes),
    }
    return write_artifact(folder, manifest, arrays, _card(stored))


def load(folder: Path | str) -> StoredPredictions:
    """Read predictions back, verified.

    Raises:
        ArtifactError: missing, corrupt, of another kind or version, or an array that does not fit.
    """
    folder = Path(folder)
    manifest, arrays, _ = read_artifact(folder, again=_AGAIN, made_by=_MADE_BY)
    if manifest.get("kind") != KIND:
        raise ArtifactError(f"{folder} holds no predictions but a router's artifact; {_AGAIN}")
    if manifest.get("predictions_format") != FORMAT:
        found = manifest.get("predictions_format")
        raise ArtifactError(f"{folder}: predictions of format {found!r}, not {FORMAT}; {_AGAIN}")
    try:
        return _stored(folder, manifest, arrays)
    except (KeyError, TypeError, ValueError) as error:
        why = f"{MANIFEST} or an array does not fit ({error!r})"
        raise ArtifactError(f"{folder}: {why}; {_AGAIN}") from error


def _stored(
    folder: Path, manifest: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
) -> StoredPredictions:
    candidates = tuple(_candidate_from_json(c) for c in manifest["candidates"])
    n, m = int(manifest["prompts"]), len(candidates)
    _check_shapes(folder, arrays, n, m)
    outcomes = _OUTCOMES + "score" in arrays
    reference = _REFERENCE + "score" in arrays
    return StoredPredictions(
        router=str(manifest["router"]),
        candidates=candidates,
        default=str(manifest["default"]),
        quality=arrays["quality"],
        input_tokens=arrays["input_tokens"],
        output_tokens=np.broadcast_to(arrays["output_tokens"], (n, m)),
        out=arrays["out"].astype(bool),
        pair=None if manifest["pair"] is None else PairRule(**manifest["pair"]),
        prompt_ids=arrays["prompt_ids"],
        groups=arrays["groups"].astype(np.intp),
        spread=arrays.get("spread"),
        basis=tuple(manifest["basis"]),
        reference=Reference(**{k: arrays[_REFERENCE + k] for k in Reference.__slots__})
        if reference
        else None,
        outcomes=RecordedOutcomes(**{k: arrays[_OUTCOMES + k] for k in _FIELDS})
        if outcomes
        else None,
        artifact=manifest["artifact"],
        encoder=manifest["encoder"],
        source=str(manifest["source"]),
        notes=tuple(manifest["notes"]),
    )


def _check_shapes(folder: Path, arrays: Mapping[str, NDArray[Any]], n: int, m: int) -> None:
    wanted: dict[str, list[tuple[int, ...]]] = {
        "quality": [(n, m)],
        "input_tokens": [(n,)],
        "output_tokens": [(n, m), (1, m)],
        "out": [(n, m)],
        "prompt_ids": [(n, ID_BYTES)],
        "groups": [(n,)],
        **{_OUTCOMES + name: [(n, m)] for name in _FIELDS if _OUTCOMES + name in arrays},
    }
    for name, shapes in wanted.items():
        if name not in arrays or arrays[name].shape not in shapes:
            found = arrays[name].shape if name in arrays else "missing"
            raise ArtifactError(f"{folder}: array {name} is {found}, not {shapes[0]}; {_AGAIN}")


def _excluded(queries: Sequence[Query], candidates: Sequence[Candidate]) -> NDArray[np.bool_]:
    """(n, m) what constraints put out."""
    names = [c.name for c in candidates]
    out = np.zeros((len(queries), len(names)), dtype=bool)
    for i, query in enumerate(queries):
        why = exclusions(query, candidates)
        for name in why:
            out[i, names.index(name)] = True
        if len(why) == len(names):
            raise NoCandidateError(why)
    return out


def _ids(queries: Sequence[Query]) -> NDArray[np.uint8]:
    joined = b"".join(prompt_id(q.text) for q in queries)
    return np.frombuffer(joined, dtype=np.uint8).reshape(len(queries), ID_BYTES)


def _tight(lengths: NDArray[np.float64]) -> NDArray[np.float64]:
    """One row where all are the same."""
    same = len(lengths) > 1 and np.array_equal(lengths[:1].repeat(len(lengths), 0), lengths)
    return lengths[:1] if same else lengths


def _encoder(router: Router) -> str | None:
    """The fingerprint of a router's encoder, where it has one."""
    for holder in (router, getattr(router, "inputs", None)):
        encoder = getattr(holder, "encoder", None)
        if encoder is not None:
            return str(encoder.fingerprint)
    return None


def _candidate_to_json(candidate: Candidate) -> dict[str, Any]:
    price, able = candidate.price, candidate.capabilities
    return {
        "name": candidate.name,
        "upstream_model": candidate.upstream_model,
        "price_picousd": None if price is None else [price.input_picousd, price.output_picousd],
        "context_tokens": candidate.context_tokens,
        "max_output_tokens": candidate.max_output_tokens,
        "capabilities": None if able is None else sorted(able),
        "known_as": candidate.known_as,
        "effort": candidate.effort,
        "arm_output_tokens": candidate.arm_output_tokens,
    }


def _candidate_from_json(stated: Mapping[str, Any]) -> Candidate:
    fields = dict(stated)
    price, able = fields.pop("price_picousd"), fields.pop("capabilities")
    return Candidate(
        **fields,
        price=None if price is None else Price(input_picousd=price[0], output_picousd=price[1]),
        capabilities=None if able is None else frozenset(able),
    )


def _card(stored: StoredPredictions) -> str:
    parts = [
        f"# Predictions of {stored.router}\n",
        f"{stored.n:,} prompts of {stored.source or 'unknown source'}; "
        f"candidates, strongest first: {', '.join(stored.names)}.",
        f"Router's artifact: {stored.artifact or 'none'}. Encoder: {stored.encoder or 'none'}.",
        "No text is in here: a prompt is the first 16 bytes of its SHA-256.",
        "Decide again, at no cost: `turnout replay FOLDER --price MODEL=IN,OUT`.\n",
    ]
    return "\n\n".join(parts)
