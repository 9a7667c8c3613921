"""Fit the network of `bert`: the head on the frozen base first, then all layers while that helps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from turnout.encoders.transformer import read_tokenizer, token_ids
from turnout.errors import MissingExtraError
from turnout.routers.arrays import column_means, logit
from turnout.routers.feature_term import FeatureTerm
from turnout.routers.inputs import FEATURE_WEIGHT, feature_rows
from turnout.routers.ridge import choose_penalty, fit_ridges
from turnout.training.checkpoint import Checkpoint, Weights
from turnout.training.fit import Progress
from turnout.types import Floats

if TYPE_CHECKING:
    from turnout.training.bert_network import Network

PATIENCE = 1
"""Epochs without a better held-out loss before it stops."""
LEAST_MEAN = 0.02
"""Mean scores nearer to 0 or 1 are taken as this, so that logits stay finite."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """n prompts as the network reads them."""

    ids: tuple[NDArray[np.int64], ...]
    cut: NDArray[np.bool_]
    """(n,) whether tokens were left out."""
    features: Floats
    """(n, f) as they are."""

    @classmethod
    def of(cls, texts: Sequence[str], tokenizer: bytes, most_tokens: int) -> Texts:
        """Tokenise and count."""
        reader = read_tokenizer(tokenizer, "tokenizer.json")
        found = [token_ids(reader, text, most_tokens) for text in texts]
        return cls(
            ids=tuple(ids for ids, _ in found),
            cut=np.asarray([cut for _, cut in found], dtype=np.bool_),
            features=feature_rows(texts),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a network is fitted."""

    epochs: int
    """At most; 0 fits the head alone."""
    rate: float
    """AdamW's, at the start."""
    batch: int
    """Prompts a step."""
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A fitted network."""

    network: Network
    term: FeatureTerm
    epochs: int
    """After how many epochs it was best on the prompts held out for that; 0: the frozen base."""
    losses: tuple[float, ...]
    """Held-out cross entropy after each epoch, the frozen base's first."""


def fit_network(
    model: Checkpoint,
    texts: Texts,
    score: Floats,
    groups: NDArray[np.intp],
    *,
    fit: NDArray[np.bool_],
    stop: NDArray[np.bool_],
    plan: Plan,
    folder: Path | None = None,
    progress: Progress = lambda _: None,
) -> Fit:
    """The network after the epoch whose loss on the `stop` rows was least.

    Args:
        model: the base.
        texts: n prompts.
        score: (n, k), NaN where missing.
        groups: (n,) what the head's penalty is cross-validated over.
        fit: (n,) rows to fit on.
        stop: (n,) rows that say when to stop.
        plan: how.
        folder: for finished epochs, from which a killed run goes on.
        progress: told of each epoch.

    Raises:
        MissingExtraError: torch is not installed.
    """
    try:
        from turnout.training.bert_network import Network, Steps, cross_entropy
    except ImportError as error:
        raise MissingExtraError("training bert", "bert") from error
    import torch

    term = FeatureTerm.standardised(texts.features[fit], score.shape[1])
    features = term.rows(texts.features)
    mine, late = ([texts.ids[i] for i in np.flatnonzero(part)] for part in (fit, stop))
    progress("fitting the head on the frozen base")
    bare = Network.of(model.weights, model.shape, {})
    head = warm_head(bare.encode(mine), features[fit], score[fit], groups[fit], seed=plan.seed)
    network = Network.of(model.weights, model.shape, head)

    def held_out() -> float:
        logits = network.predict(late, features[stop])
        return float(cross_entropy(torch.from_numpy(logits), score[stop]))

    best, losses, number = network.numpy(), [held_out()], 0
    progress(f"frozen: held-out loss {losses[0]:.4f}")
    steps = Steps(network, rate=plan.rate, batch=plan.batch, epochs=plan.epochs, seed=plan.seed)
    for epoch in range(plan.epochs):
        file = folder / f"epoch-{epoch}.safetensors" if folder else None
        if file is not None and file.is_file():
            steps.load(file)
            progress(f"epoch {epoch + 1}: taken from {file}")
        else:
            loss = steps.epoch(epoch, mine, features[fit], score[fit])
            progress(f"epoch {epoch + 1} of {plan.epochs}: loss {loss:.4f}")
            if file is not None:
                file.parent.mkdir(parents=True, exist_ok=True)
                steps.save(file)
        losses.append(held_out())
        progress(f"epoch {epoch + 1}: held-out loss {losses[-1]:.4f}")
        if losses[-1] < min(losses[:-1]):
            best, number = network.numpy(), epoch + 1
        if epoch + 1 - number >= PATIENCE:
            break
    weights = np.ascontiguousarray(best["head.features"].T)
    term = FeatureTerm(shift_=term.shift_, scale_=term.scale_, weights_=weights)
    head = {k.removeprefix("head."): v for k, v in best.items() if k.startswith("head.")}
    return Fit(
        network=Network.of(best, model.shape, head), term=term, epochs=number, losses=tuple(losses)
    )


def warm_head(
    vectors: Floats, features: Floats, score: Floats, groups: NDArray[np.intp], *, seed: int
) -> Weights:
    """A head for a base that stays as it is: `weight` (k, d), `features` (k, f), `bias` (k,).

    Ridge regression of the scores, read as one step of Newton's method for logits from each
    model's mean m: a change of quality by x is a change of its logit by x / (m (1 - m)).

    Args:
        vectors: (n, d) of the base.
        features: (n, f) standardised.
        score: (n, k), NaN where missing.
        groups: (n,)
        seed: of the folds that choose the penalty.
    """
    d, centre = vectors.shape[1], vectors.mean(axis=0)
    scale = np.concatenate(
        [
            np.full(d, 1.0 / _spread(vectors)),
            np.full(features.shape[1], np.sqrt(FEATURE_WEIGHT) / _spread(features)),
        ]
    )
    shift = np.concatenate([centre, np.zeros(features.shape[1])])
    rows = ((np.concatenate([vectors, features], axis=1) - shift) * scale).astype(np.float32)
    penalty = choose_penalty(rows, score, groups, seed=seed)
    weights, bias = fit_ridges(rows, score, [penalty])[0]
    mean = np.clip(column_means(score), LEAST_MEAN, 1.0 - LEAST_MEAN)
    slope = 1.0 / (mean * (1.0 - mean))
    weights = weights * scale[:, None] * slope
    bias = logit(mean) + (bias - mean) * slope - shift @ weights
    made = {"weight": weights[:d].T, "features": weights[d:].T, "bias": bias}
    return {name: np.ascontiguousarray(value, dtype=np.float32) for name, value in made.items()}


def _spread(block: Floats) -> float:
    """Square root of a block's total variance."""
    return float(np.sqrt(max(float(block.var(axis=0).sum()), 1e-9)))
