"""A small artifact of the router `universal`, made of planted outcomes in a second."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np

from planted import SUCCESS, planted_prompts
from turnout.artifacts.folder import write_artifact
from turnout.encoders.opening import open_encoder
from turnout.routers.arrays import sigmoid
from turnout.routers.factors import Factors
from turnout.routers.inputs import RawRows, fit_inputs
from turnout.routers.priors import PricePrior
from turnout.routers.remembered import Remembered
from turnout.routers.space import ModelSpace, fit_vector
from turnout.types import PairRule, Price

KINDS = len(SUCCESS["large"])


def planted_scores(prompts: list[str], model: str, seed: int = 0) -> list[float]:
    """Scores of a planted model on planted prompts, which cycle through the kinds."""
    rng = np.random.default_rng([seed, list(SUCCESS).index(model)])
    return [float(rng.random() < SUCCESS[model][i % KINDS]) for i in range(len(prompts))]


def write_universal(folder: Path, *, n: int = 240) -> Path:
    """An artifact that knows `large`, `medium`, `small` and two arms of `thinker`."""
    prompts = planted_prompts(n)
    raw = RawRows.of(open_encoder("hashing-1024"), prompts)
    inputs, rows = fit_inputs(raw, lexical=0)
    kind = np.eye(KINDS)[np.arange(n) % KINDS]
    project = np.linalg.solve(rows.T @ rows + np.eye(rows.shape[1]), rows.T @ (kind - 1 / KINDS))
    d = rows.shape[1]
    factors = Factors.from_arrays(
        Factors(
            project_=(3.0 * project).astype(np.float32),
            shift_=np.zeros(KINDS, np.float32),
            centres_=np.zeros((0, d), np.float32),
            votes_=np.zeros((0, KINDS), np.float32),
            sharpness_=np.asarray(1.0, np.float32),
            length_=np.r_[np.zeros(d), 5.0].astype(np.float32),
        ).arrays()
    )
    made = factors.of_rows(rows)
    k = made.shape[1]
    space = ModelSpace(
        names=(),
        basis=(),
        vectors_=np.zeros((0, k), np.float32),
        spread_=np.zeros((0, k), np.float32),
        prior_mean_=np.zeros(k, np.float32),
        prior_cov_=(2.0 * np.eye(k)).astype(np.float32),
        tokens_=np.zeros(0, np.float32),
        seen_=np.zeros(0, np.float32),
    )
    sources = [(m, m) for m in SUCCESS] + [("thinker@low", "small"), ("thinker@high", "large")]
    scores = np.array([planted_scores(prompts, like) for _, like in sources], np.float32).T
    for j, (name, _) in enumerate(sources):
        mean, cov = fit_vector(made, scores[:, j], space.prior_mean_, space.prior_cov_)
        space = space.with_model(name, mean, cov, seen=float(n), tokens=0.1 * j)
    known = Remembered(
        factors=made,
        predicted=np.asarray(sigmoid(made @ space.vectors_.T), dtype=np.float32),
        score=scores,
        input_tokens=np.full(n, 20.0, np.float32),
        log_tokens=factors.log_tokens(rows),
    )
    line = PricePrior.fit(
        [Price.per_million(2.0**i, 2.0**i) for i in range(8)], np.linspace(-2, 2, 8) + [0.1, 0] * 4
    )
    manifest = {
        "router": "universal",
        "encoder": {
            "name": raw.encoder.name,
            "fingerprint": raw.encoder.fingerprint,
            "dimension": raw.encoder.dimension,
        },
        "models": {
            "names": list(space.names),
            "basis": list(space.basis),
            "aliases": {"big": "large"},
        },
        "pair": asdict(PairRule()),
        "price_prior": line.to_dict(),
        "notes": [],
    }
    arrays = {
        **{f"inputs/{name}": a for name, a in inputs.arrays().items()},
        **{f"factors/{name}": a for name, a in factors.arrays().items()},
        **{f"space/{name}": a for name, a in space.arrays().items()},
        **{f"reference/{name}": a for name, a in known.arrays().items()},
    }
    write_artifact(folder, manifest, arrays, "# universal\n")
    return folder
