"""Answers by meaning on streams of public questions: how many hits, and how many of them are wrong.

    python benchmarks/semantic_cache.py --data DIR [--set clinc150] [--tune] [--times]

DIR is the folder with `intents/` (BANKING77, CLINC150) and `outcomes/mmlu_pro.parquet`. What the right
answer is:

- `clinc150`, `banking77`: the intent is the answer, as where a model sorts what users say. Real questions
  of real users; an answer is wrong where the kept question has another intent.
- `reworded`: exam questions of MMLU-Pro, each asked in up to six ways that a fixed list of wordings makes
  (the same answer), and in up to two ways in which a number, a name or a negation is changed (another
  answer). All else is another question. The changes are the kind that the guard is for, made by other
  code; the two sets above say what the guard costs where it is not needed.

A fifth of each stream repeats an earlier request verbatim, which the exact cache answers. The rest may be
answered by meaning. Rules: `fixed T`, the nearest question at a cosine of T or more, as GPTCache and
LiteLLM do; `vCache d` (Schroeder et al. 2025, arXiv:2502.03771): a logistic curve of its own for each kept
answer, once six comparisons of it are known; with the curve's threshold bounded at every confidence of a
grid, the least share of requests to explore that keeps errors per *request* at d; a normal prior takes the
place of the table of variances that its authors use where a curve separates; and Turnout's own classes
for `turnout d`, which bound errors per *hit*. Each with and without the guard (`details`).

Whatever was chosen (the aim, priors, details) was chosen with `--tune`: on the other half of the intents, and
on other exam questions. Three orders of each stream; "wrong of those" is of the first, with Clopper and Pearson's 95% interval.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import csv
import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

import numpy as np

from turnout.calibration.bounds import clopper_pearson
from turnout.calibration.matching import Seen
from turnout.encoders.opening import open_encoder
from turnout.gateway.kept.semantic.details import Details, details_of, difference
from turnout.gateway.kept.semantic.pool import LEAST, Bucket, Pair, Pool, Question
from turnout.types import Floats

REPEATS = 0.2
ORDERS = 3
MOST = 6_000
NEAREST = 8
WORDINGS = (
    "{}", "Please answer: {}", "{} Thanks!", "I would like to know: {}", "Question: {}", "hi, {} please",
)  # fmt: skip
VERBS = "is are was were can does do did will would should has have".split()


@dataclass(frozen=True)
class Asked:
    """One request of a stream."""

    text: str
    answer: str


@dataclass
class Outcome:
    """What became of a stream."""

    requests: int = 0
    exact: int = 0
    hits: int = 0
    wrong: int = 0
    first: int | None = None
    late: int = 0
    """Hits in the last half of the stream."""

    def hit(self, right: bool, late: bool) -> None:
        self.late += late
        if self.first is None:
            self.first = self.requests
        self.hits += 1
        self.wrong += not right


def intents(home: Path, name: str) -> list[Asked]:
    if name == "clinc150":
        found = json.loads((home / "intents/clinc150_full.json").read_text(encoding="utf-8"))
        return [Asked(t, label) for part in ("train", "val", "test") for t, label in found[part]]
    rows = []
    for part in ("train", "test"):
        with (home / f"intents/banking77_{part}.csv").open(encoding="utf-8", newline="") as file:
            rows += [Asked(row["text"], row["category"]) for row in csv.DictReader(file)]
    return rows


def half(name: str) -> bool:
    """Whether an intent is of the half that is reported."""
    return hashlib.sha256(name.encode()).digest()[-1] % 2 == 1


def reworded(home: Path, role: str, rng: np.random.Generator) -> list[Asked]:
    """Exam questions in several wordings, and changed."""
    import pandas as pd

    rows = pd.read_parquet(home / "outcomes/mmlu_pro.parquet", columns=["prompt", "group", "role"])
    rows = rows[rows.role == role].drop_duplicates("group")
    stems = [p.partition("\nA.")[0].strip() for p in rows.prompt]
    stems = sorted({s for s in stems if 20 <= len(s) <= 300 and "\n" not in s})
    stems = [stems[i] for i in rng.permutation(len(stems))[: MOST // 8]]
    names = sorted({n for s in stems for n in re.findall(r"(?<=[a-z] )[A-Z][a-z]{3,}", s)})
    found = []
    for i, stem in enumerate(stems):
        found += [Asked(wording.format(stem), f"{i}") for wording in WORDINGS]
        changes = list(changed(stem, names, rng))
        for j in rng.permutation(len(changes))[:2]:
            found.append(Asked(changes[j], f"{i} changed {j}"))
    return found


def changed(stem: str, names: Sequence[str], rng: np.random.Generator) -> Iterator[str]:
    """The question with another number, the other way round, of somebody else."""
    number = re.search(r"\d+", stem)
    if number:
        other = str(int(number[0]) + int(rng.integers(1, 9)))
        yield stem[: number.start()] + other + stem[number.end() :]
    verb = re.search(rf"\b(?:{'|'.join(VERBS)})\b(?! not)", stem)
    if verb:
        yield f"{stem[: verb.end()]} not{stem[verb.end() :]}"
    name = re.search(r"(?<=[a-z] )[A-Z][a-z]{3,}", stem)
    if name and names:
        other = next(n for n in rng.permutation(names) if n != name[0])
        yield stem[: name.start()] + str(other) + stem[name.end() :]


def ordered(rows: Sequence[Asked], seed: int) -> list[Asked]:
    """A stream: shuffled, with repeats."""
    rng = np.random.default_rng(seed)
    fresh = [rows[i] for i in rng.permutation(len(rows))[: round(MOST * (1 - REPEATS))]]
    found: list[Asked] = []
    for asked in fresh:
        while found and rng.random() < REPEATS:
            found.append(found[int(rng.integers(len(found)))])
        found.append(asked)
    return found


class Fixed:
    """The nearest at a fixed cosine or more."""

    learns = False
    keeps_all = True

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold

    def serves(self, similarity: float, own: Sequence[Seen]) -> bool:  # noqa: ARG002 - one rule of two
        return similarity >= self.threshold


class VCache:
    """Algorithm 1 of arXiv:2502.03771: explore with a chance that keeps errors per request at `delta`."""

    learns = True
    keeps_all = False
    """A question whose answer was the same as its neighbour's is not kept itself."""

    def __init__(self, delta: float, rng: np.random.Generator) -> None:
        self.delta, self._rng = delta, rng
        self._epsilon = np.linspace(1e-6, 1 - 1e-6, 50)
        self._z = np.asarray([NormalDist().inv_cdf(1 - e) for e in self._epsilon])

    def serves(self, similarity: float, own: Sequence[Seen]) -> bool:
        if len(own) < 6:
            return False
        x = np.asarray([[1.0, (s.similarity - 0.8) / 0.1] for s in own])
        y = np.asarray([s.same for s in own], dtype=float)
        weights, prior = np.zeros(2), np.eye(2) / 25.0
        for _ in range(30):
            p = 1 / (1 + np.exp(-np.clip(x @ weights, -50, 50)))
            bend = (x * (p * (1 - p))[:, None]).T @ x + prior
            step = np.linalg.solve(bend, x.T @ (y - p) - prior @ weights)
            weights = weights + np.clip(step, -3, 3)
            if np.abs(step).max() < 1e-6:
                break
        slope = max(float(weights[1]), 1e-6)
        slant = np.asarray([-1 / slope, weights[0] / slope**2])
        spread = float(np.sqrt(max(0.0, slant @ np.linalg.inv(bend) @ slant)))
        threshold = np.clip(-weights[0] / slope, -8, 2)
        upper = np.clip(threshold + self._z * spread, -8, 2)  # of t, at every confidence
        s = (similarity - 0.8) / 0.1
        right = (1 - self._epsilon) / (1 + np.exp(-np.clip(slope * (s - upper), -50, 50)))
        explore = float(np.min(1 - self.delta / (1 - right)))
        return bool(self._rng.random() >= explore)


Rule = Fixed | VCache


def nearest(
    bucket: Bucket, vector: Floats, details: Details, guard: bool
) -> tuple[Question, float] | None:
    """The nearest question; with the guard, the nearest that agrees in its details."""
    for kept, cosine in bucket.nearest(vector):
        if not guard:
            return kept, cosine
        if cosine < LEAST:
            return None
        if not difference(details, kept.details):
            return kept, cosine
    return None


@dataclass
class Prepared:
    """What is read of each text once."""

    vectors: dict[str, Floats]
    details: dict[str, Details]


def not_repeated(
    stream: Sequence[Asked], answers: Mapping[str, str], out: Outcome
) -> Iterator[tuple[Asked, bool]]:
    """What has no answer of its own yet, and whether it comes in the later half; all is counted."""
    for asked in stream:
        out.requests += 1
        if asked.text in answers:
            out.exact += 1
        else:
            yield asked, out.requests > len(stream) / 2


def by_rule(stream: Sequence[Asked], read: Prepared, rule: Rule, *, guard: bool) -> Outcome:
    """Serve a stream by a rule of others."""
    out, bucket, answers = Outcome(), Bucket(len(next(iter(read.vectors.values())))), {}
    for asked, late in not_repeated(stream, answers, out):
        details, vector = read.details[asked.text], read.vectors[asked.text]
        found = nearest(bucket, vector, details, guard)
        if found is not None:
            kept, cosine = found
            right = answers[kept.id] == asked.answer
            if rule.serves(cosine, kept.own):
                out.hit(right, late)
                continue
            if rule.learns:
                kept.own.append(Seen(cosine, 0.0, right))
                if right and not rule.keeps_all:
                    answers.setdefault(asked.text, asked.answer)
                    continue
        answers[asked.text] = asked.answer
        bucket.add(Question(asked.text, b"", details), vector)
    return out


def by_turnout(stream: Sequence[Asked], read: Prepared, limit: float, seed: int) -> Outcome:
    """Serve a stream by the cache's own classes."""
    rng = np.random.default_rng(seed)
    pool, answers = Pool(limit, 0.05, rng.random), {}
    out, bucket = Outcome(), Bucket(len(next(iter(read.vectors.values()))))
    for asked, late in not_repeated(stream, answers, out):
        details, vector = read.details[asked.text], read.vectors[asked.text]
        pair = pool.pair(bucket, vector, details, lambda _: None)
        if pair is not None:
            right = answers[pair.kept.id] == asked.answer
            if pool.serves(pair):
                out.hit(right, late)
                continue
            pool.see(pair, right)
        answers[asked.text] = asked.answer
        bucket.add(Question(asked.text, b"", details), vector)
    return out


Serve = Callable[[Sequence[Asked], Prepared, int], Outcome]


def rules(read: Prepared) -> dict[str, Serve]:
    """Rule → how it serves a stream."""
    bare = Prepared(read.vectors, dict.fromkeys(read.details, details_of("")))

    def fixed(t: float, guard: bool) -> Serve:
        return lambda stream, read, _: by_rule(stream, read, Fixed(t), guard=guard)

    def vcache(d: float, guard: bool) -> Serve:
        return lambda stream, read, seed: by_rule(
            stream, read, VCache(d, np.random.default_rng(seed)), guard=guard
        )

    found: dict[str, Serve] = {"exact alone": fixed(9.0, False)}
    for guard in (False, True):
        more = " + guard" if guard else ""
        found |= {f"fixed {t:.2f}{more}": fixed(t, guard) for t in (0.8, 0.9, 0.95)}
        found |= {f"vCache {d:g}{more}": vcache(d, guard) for d in (0.05, 0.02)}
        if not guard:
            # Without details there is no overlap of words either: similarity alone.
            found["turnout 0.05, similarity alone"] = lambda s, _, seed: by_turnout(
                s, bare, 0.05, seed
            )
    for d in (0.1, 0.05, 0.02):
        found[f"turnout {d:g}"] = lambda s, r, seed, d=d: by_turnout(s, r, d, seed)
    return found


def table(name: str, rows: Sequence[Asked]) -> None:
    """One set of questions under all rules."""
    encoder = open_encoder()
    streams = [ordered(rows, seed) for seed in range(ORDERS)]
    texts = sorted({a.text for stream in streams for a in stream})
    vectors = dict(zip(texts, encoder.encode(texts), strict=True))
    read = Prepared(vectors, {t: details_of(t) for t in texts})
    n, kinds = len(streams[0]), len({a.answer for a in streams[0]})
    print(f"\n**{name}**, {n:,} requests, {kinds:,} answers\n")
    print(
        "| rule | exact | by meaning | in the last half | wrong of those | mean, worst order | "
        "wrong of all | first hit |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for rule, serve in rules(read).items():
        print(row(rule, [serve(s, read, seed) for seed, s in enumerate(streams)]), flush=True)


def row(rule: str, outs: Sequence[Outcome]) -> str:
    """A line of the table: means over the orders, the interval of the first."""
    requests, hits = sum(o.requests for o in outs), sum(o.hits for o in outs)
    exact, wrong = sum(o.exact for o in outs), sum(o.wrong for o in outs)
    late = 2 * sum(o.late for o in outs) / requests
    head = f"| {rule} | {exact / requests:.1%} | {hits / requests:.1%} | {late:.1%} |"
    firsts = sorted(o.requests if o.first is None else o.first for o in outs)
    if not hits:
        return f"{head} | | | never |"
    own = outs[0]
    worst = max(o.wrong / o.hits for o in outs if o.hits)
    first = ""
    if own.hits:
        low, high = clopper_pearson(own.wrong, own.hits)
        first = f"{own.wrong / own.hits:.1%} [{low:.1%} {high:.1%}]"
    rates = f"{first} | {wrong / hits:.1%}, {worst:.1%} | {wrong / requests:.2%}"
    return f"{head} {rates} | {firsts[len(firsts) // 2]:,} |"


def times(rows: Sequence[Asked]) -> None:
    """CPU time of what a question costs beside its encoding, as a ratio to it, in turns."""
    encoder = open_encoder()
    texts = [a.text for a in ordered(rows, 0)]
    vectors = encoder.encode(texts)
    print("\n| questions kept | details | search, guard and score | both, of the encoder's time |")
    print("|---|---|---|---|")
    for size in (100, 1_000, 5_000):
        rng = np.random.default_rng(0)
        pool, bucket = Pool(0.05, 0.05, rng.random), Bucket(vectors.shape[1])
        for i in range(size):
            j = i % len(texts)
            noise = rng.normal(0, 0.02, vectors.shape[1]).astype(np.float32)
            vector = vectors[j] + noise
            question = Question(str(i), b"", details_of(texts[j]))
            pair = pool.pair(bucket, vectors[j], question.details, lambda _: None)
            if pair is not None and i < 500:
                pool.see(pair, bool(rng.random() < 0.9))
            bucket.add(question, vector / np.linalg.norm(vector))
        spent = np.zeros(3)
        for text in texts[:500]:
            marks = [time.thread_time()]
            vector = encoder.encode([text])[0]
            marks.append(time.thread_time())
            details = details_of(text)
            marks.append(time.thread_time())
            found: Pair | None = pool.pair(bucket, vector, details, lambda _: None)
            marks.append(time.thread_time())
            spent += np.diff(marks)
            del found
        share = spent / spent[0]
        print(f"| {size:,} | {share[1]:.2f} | {share[2]:.2f} | {share[1] + share[2]:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tune", action="store_true", help="on the parts that are not reported")
    parser.add_argument("--set", choices=("clinc150", "banking77", "reworded"))
    parser.add_argument("--times", action="store_true")
    given = parser.parse_args()
    if given.times:
        times(intents(given.data, "clinc150"))
        return
    for name in ("clinc150", "banking77"):
        if given.set not in (None, name):
            continue
        rows = [a for a in intents(given.data, name) if half(a.answer) != given.tune]
        table(name, rows)
    if given.set not in (None, "reworded"):
        return
    role = "train" if given.tune else "dev"
    table("reworded", reworded(given.data, role, np.random.default_rng(0)))


if __name__ == "__main__":
    main()
