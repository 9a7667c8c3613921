"""Do certificates keep their promise, and what do they spare? Redraws of recorded outcomes.

    python benchmarks/certificates.py --data folder [--draws 1000] [--only mmlu-transfer]

The folder holds `routellm/` and `outcomes/` as for benchmarks/quality.py. A file of outcomes, one
prompt of each group of near-duplicates, is taken for the whole traffic, so that the true loss of every
operating point is known. Calibration sets of n are drawn from it again and again, a point is chosen
by each rule, and its true loss is compared with the promise.

* drawn with replacement and judged on the whole file: independent requests of exactly that traffic,
  which is what a certificate speaks of. This is the sternest count of broken promises.
* drawn without replacement and judged on the rest: closer to use, but the rest is a sample too and
  has noise of its own, the more the smaller it is.

No prediction and no order of steps comes from the drawn outcomes: *transfer* rows use the shipped
`blend` and its own reference; *in-domain* rows are predicted by `blend` fitted on other prompts of the
file (GSM8K: the other four folds; MMLU: 3,000 labels by whole groups, which are not redrawn), with steps
at hundredths of those predictions; the N-model sets are predicted by a `blend`
fitted on one half (by whole groups), whose reference gives the operating points, and redrawn from the
other half. Writes docs/certificates.json and the section `certificates` of docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from quality import complete, read, split_sections, write_page

from turnout import Candidate, Engine, Pool, open_router
from turnout.calibration.betting import bet
from turnout.calibration.bounds import clopper_pearson
from turnout.calibration.evidence import Evidence
from turnout.calibration.promises import Facts, Promise
from turnout.certifying import Trial
from turnout.data.groups import group_holdout
from turnout.evaluation.benchmarks import open_benchmark
from turnout.training.fit import _groups, fit_router
from turnout.training.indomain import predict_cross_fitted, predict_held_out, split_labels

SIZES = (300, 1000, 3000)
DELTAS = (0.05, 0.1)
PROMISES = (
    Promise(kind="max_loss", value=0.02),
    Promise(kind="max_loss", value=0.05),
    Promise(kind="floor", value=0.95),
)
DRAWS = 1000
CHUNK, MOST_WORK = 100, 200_000
RULES = ("naive", "binomial", "betting")


@dataclass(frozen=True)
class Traffic:
    """All requests of a file, and what each step of a router's knob does on them."""

    name: str
    facts: Facts

    def measures(self, promise: Promise) -> tuple[np.ndarray, np.ndarray]:
        """(N, k) slack of the promise, and (N, k) whether the answer chosen was the worse one."""
        worse = self.facts.strong[:, None] > self.facts.chosen
        return promise.slack(self.facts), worse


def main() -> None:
    parser = argparse.ArgumentParser(description="How often certificates break their promise.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks.md"))
    parser.add_argument("--only", choices=TRAFFICS, action="append", help="Measure these again.")
    args = parser.parse_args()
    page, store = args.out, args.out.with_name("certificates.json")
    known = json.loads(store.read_text("utf-8")) if args.only and store.exists() else []
    rows = section_rows(args.data, args.draws, args.only or list(TRAFFICS))
    measured = {row["traffic"] for row in rows}
    rows = [row for row in known if row["traffic"] not in measured] + rows
    store.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
    kept = split_sections(page.read_text("utf-8")) if page.exists() else {}
    kept["certificates"] = f"<!-- certificates -->\n{markdown(rows, args.draws)}"
    write_page(page, kept)
    print(f"wrote {page} and {store}")


def section_rows(data: Path, draws: int, names: Sequence[str]) -> list[dict[str, Any]]:
    """One row a traffic, size, promise and delta."""
    rows = []
    for name in names:
        traffic = TRAFFICS[name](data)
        print(f"{traffic.name}: {traffic.facts.n:,} requests", flush=True)
        for n in SIZES:
            if n < traffic.facts.n:
                for promise in PROMISES:
                    for delta in DELTAS:
                        row = measure(traffic, promise, n, delta, draws)
                        print(f"  {row}", flush=True)
                        rows.append(row)
    return rows


def transfer(data: Path, subject: str) -> Traffic:
    """The shipped blend: its predictions, and the steps of its reference."""
    benchmark = open_benchmark(f"routellm-{subject}", data / "routellm")
    name = f"{subject.upper()}, transfer"
    candidates = benchmark.candidates
    engine = Engine(
        Pool(candidates=candidates, default=candidates[0].name), {"blend": open_router("blend")}
    )
    evidence = Evidence(
        queries=benchmark.queries,
        score=benchmark.quality,
        cost_usd=np.full(benchmark.quality.shape, np.nan),
        input_tokens=np.full(benchmark.quality.shape, np.nan),
        output_tokens=np.full(benchmark.quality.shape, np.nan),
        groups=benchmark.groups,
        source=name,
        fingerprint="",
    )
    return Traffic(name, one_a_group(Trial(engine, "blend", evidence, PROMISES[0]).facts))


def in_domain(data: Path, subject: str, labels: int | None = None) -> Traffic:
    """Blend fitted on other prompts of the file; steps at hundredths of the predicted gain."""
    benchmark = open_benchmark(f"routellm-{subject}", data / "routellm")
    name = f"{subject.upper()}, in-domain"
    if labels is None:
        predicted = predict_cross_fitted(benchmark, "blend", 5)
    else:
        fitted, rest = split_labels(benchmark, labels)
        predicted = predict_held_out(benchmark, "blend", fitted, rest)
        benchmark = benchmark.rows(rest)
    gain = predicted[:, 0].astype(np.float64) - predicted[:, 1]
    cuts = np.quantile(gain, np.linspace(0.0, 1.0, 101))
    cheap = gain[:, None] < np.r_[cuts, np.inf]
    score = benchmark.quality
    facts = Facts(
        strong=score[:, 0],
        chosen=np.where(cheap, score[:, 1:], score[:, :1]),
        cost_usd=np.full(cheap.shape, np.nan),
        to_strong=(~cheap).astype(np.float64),
        groups=benchmark.groups,
    )
    return Traffic(name, one_a_group(facts))


def pool(data: Path, name: str, stem: str) -> Traffic:
    """N models: blend fitted on one half of the file, the other half is the traffic."""
    path = data / "outcomes" / f"{stem}.parquet"
    table = read(path, "train")
    priced = np.isfinite(table.cost_usd).mean(axis=0) > 0.9
    table = complete(table.columns([m for m, p in zip(table.models, priced, strict=True) if p]))
    table = table.rows(np.flatnonzero(np.isfinite(table.cost_usd).all(axis=1)))
    groups = _groups(table)
    fitted = group_holdout(groups, len(groups) // 2, seed=0)
    router = fit_router("blend", table.rows(fitted)).open()
    rest = table.rows(~fitted)
    order = np.argsort(-table.rows(fitted).score.mean(axis=0), kind="stable")
    candidates = tuple(Candidate(name=table.models[j]) for j in order)
    engine = Engine(Pool(candidates=candidates, default=candidates[0].name), {"blend": router})
    evidence = Evidence.of_outcomes(rest, candidates, source=path.name, fingerprint="")
    evidence = replace(evidence, groups=np.unique(groups[~fitted], return_inverse=True)[1])
    facts = one_a_group(Trial(engine, "blend", evidence, PROMISES[0]).facts)
    return Traffic(f"{name}, {len(candidates)} models", facts)


def one_a_group(facts: Facts) -> Facts:
    """One request of each group of near-duplicates, steps that do the same joined into one."""
    rows = facts.firsts()
    _, first = np.unique(facts.to_strong[rows] + 2 * facts.chosen[rows], axis=1, return_index=True)
    at = np.ix_(rows, np.sort(first))
    return Facts(
        strong=facts.strong[rows],
        chosen=facts.chosen[at],
        cost_usd=facts.cost_usd[at],
        to_strong=facts.to_strong[at],
        groups=np.arange(len(rows)),
    )


def measure(traffic: Traffic, promise: Promise, n: int, delta: float, draws: int) -> dict[str, Any]:
    """Broken promises and cheap share of each rule, over redraws of n."""
    slack, worse = traffic.measures(promise)
    true = slack.mean(axis=0)
    # Steps far beyond the promise are never reached: they need not be bet on.
    reach = int(np.flatnonzero(true <= 3 * _room(promise))[-1]) + 1
    at = np.arange(reach)
    if n * reach > MOST_WORK:  # large samples on fewer steps, evenly taken
        at = np.unique(np.linspace(0, reach - 1, MOST_WORK // n).round().astype(int))
    slack, worse, true = slack[:, at], worse[:, at], true[at]
    cheap = 1.0 - traffic.facts.to_strong[:, at].mean(axis=0)
    rng = np.random.default_rng([n, round(1000 * delta)])
    size = len(slack)
    row: dict[str, Any] = {
        "traffic": traffic.name, "requests": size, "n": n, "delta": delta,
        "promise": f"{promise.kind} {promise.value:g}", "draws": draws,
    }  # fmt: skip
    with_replacement = rng.integers(size, size=(draws, n))
    without = np.stack([rng.permutation(size)[:n] for _ in range(draws)])
    for rule in RULES:
        if rule == "binomial" and promise.kind != "max_loss":
            continue
        ends = steps(rule, slack, worse, promise, with_replacement, delta)
        row[f"{rule}_broken"] = float((np.r_[0.0, true][ends] > 1e-9).mean())
        row[f"{rule}_cheap"] = float(np.r_[0.0, cheap][ends].mean())
        ends = steps(rule, slack, worse, promise, without, delta)
        rest = [
            (slack[:, a - 1].sum() - slack[i, a - 1].sum()) / (size - n) if a else 0.0
            for i, a in zip(without, ends, strict=True)
        ]
        row[f"{rule}_broken_on_rest"] = float((np.asarray(rest) > 1e-9).mean())
    return row


def _room(promise: Promise) -> float:
    return promise.value if promise.kind == "max_loss" else 1.0 - promise.value


def steps(
    rule: str,
    slack: np.ndarray,
    worse: np.ndarray,
    promise: Promise,
    drawn: np.ndarray,
    delta: float,
) -> np.ndarray:
    """(draws,) how far each calibration set goes along the steps; 0 is the strong model alone."""
    n = drawn.shape[1]
    if rule == "betting":
        low, high = promise.span(float("nan"))
        parts = []
        for some in np.array_split(drawn, max(1, len(drawn) // CHUNK)):  # few enough for the cache
            rows = (slack[some[:, t]] for t in range(n))
            parts.append(bet(rows, n, (len(some), slack.shape[1]), low, high, delta))
        kept = np.concatenate(parts)
    elif rule == "binomial":  # Clopper-Pearson on "the cheap answer was worse", in sequence
        most = next(k for k in range(n) if _upper(k, n, delta) > promise.value) - 1
        kept = sums(worse, drawn) <= most + 0.5
    else:  # the cheapest step that looks good enough
        good = sums(slack, drawn) <= 0
        last = good.shape[1] - np.argmax(good[:, ::-1], axis=1)
        return np.where(good.any(axis=1), last, 0)
    return np.asarray(np.cumprod(kept, axis=1).sum(axis=1))


def sums(values: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """(draws, k) sums of (N, k) values over the requests of each draw."""
    times = np.stack([np.bincount(i, minlength=len(values)) for i in drawn])
    return np.asarray(times.astype(np.float64) @ values.astype(np.float64))


def _upper(k: int, n: int, delta: float) -> float:
    return clopper_pearson(k, n, level=1.0 - 2.0 * delta)[1]


def markdown(rows: Sequence[dict[str, Any]], draws: int) -> str:
    """The table, and how to read it."""
    lines = [
        "## Certificates: how often promises are broken",
        "",
        f"{draws:,} calibration sets of n requests each, drawn from a file of outcomes that is taken for the whole",
        "traffic; a promise is broken where the *true* loss of the chosen step is above it. **naive**: the cheapest",
        'step that looks good enough on the calibration set. **binomial**: Clopper-Pearson bounds on "the cheap',
        'answer was worse", in fixed sequence. **betting**: what `turnout calibrate` does. Allowed: delta, and three',
        "binomial standard errors for the number of draws. `broken` is counted on independent draws judged on the",
        "whole file. `on rest` is counted on draws without replacement, judged on the requests left over: that has the",
        "noise of a sample as small as the rest (300 of GSM8K when n is 1,000), and what a draw lacks the rest has, so",
        "it may be above delta without a promise being broken. `spares`: mean share of calls that do not go to the",
        "strong model. Transfer: the shipped `blend`; in-domain: `blend` fitted on other prompts of the file (GSM8K: four",
        "of five folds; MMLU: 3,000 labels); the N-model sets: `blend` and operating points from the other half of the",
        "file. The binomial rule has no floor: it cannot say what part of an unknown mean is kept. At n = 3,000 at",
        "most 66 of the steps are tried.",
        "",
        "| traffic | n | promise | delta | allowed | naive broken | binomial broken | betting broken | betting on rest | binomial spares | betting spares |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        allowed = row["delta"] + 3 * (row["delta"] * (1 - row["delta"]) / draws) ** 0.5
        cell = {k: f"{v:.1%}" for k, v in row.items() if isinstance(v, float)}
        lines.append(
            f"| {row['traffic']} | {row['n']:,} | {row['promise']} | {row['delta']:g} | {allowed:.1%} "
            f"| {cell['naive_broken']} | {cell.get('binomial_broken', '')} | {cell['betting_broken']} "
            f"| {cell['betting_broken_on_rest']} | {cell.get('binomial_cheap', '')} "
            f"| {cell['betting_cheap']} |"
        )
    return "\n".join([*lines, "", "    python benchmarks/certificates.py --data DATA", ""])


TRAFFICS: dict[str, Callable[[Path], Traffic]] = {
    "routerbench": lambda data: pool(data, "RouterBench", "routerbench"),
    "mmlu-pro": lambda data: pool(data, "MMLU-Pro", "mmlu_pro"),
    "gsm8k-transfer": lambda data: transfer(data, "gsm8k"),
    "gsm8k-in-domain": lambda data: in_domain(data, "gsm8k"),
    "mmlu-transfer": lambda data: transfer(data, "mmlu"),
    "mmlu-in-domain": lambda data: in_domain(data, "mmlu", labels=3000),
}


if __name__ == "__main__":
    main()
