"""Time of one routing decision, beside two peers in the same run: ratios, not absolute times.

    make bench                         (or: python benchmarks/decision.py [--router blend] [--n 400])
    python benchmarks/decision.py --router universal --beside blend --no-peers
    python benchmarks/decision.py --batches --router mf --beside blend --beside universal
    python benchmarks/decision.py --data folder --base MINILM

Prompts are made of some sixty words, all of which the encoder has seen before the first time that counts: it keeps
words' token ids. With `--data` they are real prompts of the folder's `prompt_pools.parquet`, joined and cut to
just so many tokens of the shipped encoder's tokenizer (WordPiece), and the encoder has read `--warm` others
before: what it knows of a new prompt's words is then what it would know in traffic. Routers share that
encoder, so that each decides on prompts of its own.

With `--batches`: CPU time of a decision that is made alone, and of one made together with others, which
is what the gateway does with requests that arrive together.

The peers are forward passes in numpy on one thread with random weights, so that nothing is
downloaded: `minilm+index` is what a semantic router does (a MiniLM-size encoder, 6 layers of 384,
and a cosine index of 1,000 utterances), `bert` is a BERT-base-size classifier (12 layers of 768), which
is the size of RouteLLM's BERT router. Their tokenisation is left out, in their favour; an optimised
runtime would be some two to three times faster than numpy. With `--base`, the folder of all-MiniLM-L6-v2, a
third peer is such a runtime (extra `bert`): `minilm int8` is that encoder in 8 bits under ONNX Runtime with its
tokenisation, of at most 256 tokens. Times are CPU
times of one thread; the calls are interleaved, so that the machine's noise falls on all alike.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from turnout import Candidate, Engine, Pool, Price, Query, open_router
from turnout.encoders.static import SHIPPED
from turnout.names import RouteSpec

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PEERS = ("minilm+index", "bert", "minilm int8")
WORDS = (
    "the of a to in is that for it as with on be by this are or from at which model question answer "
    "find number value function return list sort graph prove theorem energy market patient court rule "
    "data price train water cell light force city river year people work time given each total many"
).split()


@dataclass
class Transformer:
    """An encoder of random weights: `layers` of width `d`, mean pooled."""

    layers: int
    d: int
    seed: int = 0

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        d = self.d
        shapes = ((d, 3 * d), (d, d), (d, 4 * d), (4 * d, d))
        self.weights = [
            [rng.standard_normal(s, dtype=np.float32) / np.sqrt(s[0]) for s in shapes]
            for _ in range(self.layers)
        ]
        self.embedding = rng.standard_normal((4096, d), dtype=np.float32)

    def __call__(self, tokens: int) -> np.ndarray:
        x = self.embedding[np.arange(min(tokens, 512)) % 4096]
        heads = self.d // 64 or 1
        for qkv, out, up, down in self.weights:
            x = _norm(x + _attention(_norm(x) @ qkv, heads) @ out)
            x = _norm(x + np.maximum(x @ up, 0.0) @ down)
        return x.mean(axis=0)


def _norm(x: np.ndarray) -> np.ndarray:
    x = x - x.mean(axis=1, keepdims=True)
    return x / np.sqrt((x * x).mean(axis=1, keepdims=True) + 1e-5)


def _attention(qkv: np.ndarray, heads: int) -> np.ndarray:
    n, d3 = qkv.shape
    q, k, v = qkv.reshape(n, 3, heads, d3 // 3 // heads).transpose(1, 2, 0, 3)
    score = q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1])
    score = np.exp(score - score.max(axis=-1, keepdims=True))
    return (score / score.sum(axis=-1, keepdims=True) @ v).transpose(1, 0, 2).reshape(n, d3 // 3)


def prompts(tokens: int, n: int) -> list[str]:
    """n distinct prompts of about so many tokens."""
    rng = random.Random(tokens)
    return [
        " ".join(rng.choice(WORDS) + ("." if rng.random() < 0.08 else "") for _ in range(tokens))
        for _ in range(n)
    ]


Make = Callable[[int, int], list[str]]
"""(tokens, n) → n distinct prompts of about so many tokens."""


def real_prompts(folder: Path, warm: int) -> tuple[list[str], Make]:
    """Texts to read first, and a function of (tokens, n): n others of just so many tokens."""
    import pyarrow.parquet as pq
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(SHIPPED / "tokenizer.json"))
    texts = pq.read_table(folder / "prompt_pools.parquet", columns=["prompt"])["prompt"].to_pylist()
    random.Random(0).shuffle(texts)
    first, rest = texts[:warm], texts[warm:]

    def cut(tokens: int, n: int) -> list[str]:
        return [
            _cut(tokenizer, rest, start, tokens)
            for start in random.Random(tokens).sample(range(len(rest)), n)
        ]

    return first, cut


def _cut(tokenizer: Tokenizer, texts: list[str], start: int, tokens: int) -> str:
    """The text at `start` and those after it, as far as so many tokens."""
    found = ""
    for i in range(start, start + len(texts)):
        found = f"{found}\n{texts[i % len(texts)]}" if found else texts[i]
        ends = tokenizer.encode(found, add_special_tokens=False).offsets
        if len(ends) >= tokens:
            return found[: ends[tokens - 1][1]]
    raise SystemExit(f"the prompts of the pool have fewer than {tokens} tokens together")


def measure(calls: dict[str, Callable[[int], object]], n: int) -> dict[str, np.ndarray]:
    """CPU milliseconds of each call, interleaved."""
    for call in calls.values():
        for i in range(3):
            call(i)
    times: dict[str, list[float]] = {name: [] for name in calls}
    for i in range(n):
        for name, call in calls.items():
            if name in PEERS and i % 8:  # the slow peers need fewer runs for a median
                continue
            start = time.thread_time_ns()
            call(i)
            times[name].append((time.thread_time_ns() - start) / 1e6)
    return {name: np.asarray(found) for name, found in times.items()}


BATCHES = (1, 2, 4, 8, 16, 32)


def batches(
    engine: Engine, specs: dict[str, RouteSpec], n: int, make: Make
) -> dict[str, dict[int, list]]:
    """Router → tokens of a prompt → CPU microseconds a decision, for each size of batch."""
    found: dict[str, dict[int, list]] = {}
    for name, spec in specs.items():
        for tokens in (20, 200):
            queries = [Query.of(text) for text in make(tokens, n)]
            times: dict[int, list[float]] = {size: [] for size in BATCHES}
            for start in range(0, n - max(BATCHES) + 1, max(BATCHES)):
                for size in BATCHES:  # interleaved, so that the machine's noise falls on all alike
                    some = queries[start : start + max(BATCHES)]
                    began = time.thread_time_ns()
                    for i in range(0, len(some), size):
                        engine.decide_many(some[i : i + size], spec)
                    took = (time.thread_time_ns() - began) / 1e3 / len(some)
                    times[size].append(took)
            found.setdefault(name, {})[tokens] = [
                round(float(np.median(times[size][1:])), 1) for size in BATCHES
            ]
    return found


def print_batches(found: dict[str, dict[int, list]]) -> None:
    print(
        "CPU time of one decision, alone and in batches: microseconds, and times as fast as alone\n"
    )
    print(f"{'router':<10} {'tokens':>6} " + "".join(f"{size:>16}" for size in BATCHES))
    for name, by_tokens in found.items():
        for tokens, took in by_tokens.items():
            cells = "".join(f"{t:>8.1f} ({took[0] / t:>4.2f}x)" for t in took)
            print(f"{name:<10} {tokens:>6} {cells}")


def peers(
    args: argparse.Namespace,
) -> Callable[[int, list[str]], dict[str, Callable[[int], object]]]:
    """A function of (tokens, texts): what the peers call."""
    minilm, bert = Transformer(6, 384), Transformer(12, 768)
    utterances = np.random.default_rng(1).standard_normal((1000, 384), dtype=np.float32)
    small = None
    if args.base:
        from bert import whole_minilm

        small = whole_minilm(args.base)

    def of(tokens: int, texts: list[str]) -> dict[str, Callable[[int], object]]:
        calls: dict[str, Callable[[int], object]] = {}
        if not args.no_peers:
            calls["minilm+index"] = lambda _: np.argsort(utterances @ minilm(tokens))[-5:]
            calls["bert"] = lambda _: bert(tokens)
        if small is not None:
            calls["minilm int8"] = lambda i: small.run(texts[i])[0].mean(axis=0)
        return calls

    return of


def texts_of(engine: Engine, specs: dict[str, RouteSpec], args: argparse.Namespace) -> Make:
    """What makes prompts, after those that are read beforehand were."""
    if not args.data:
        return prompts
    first, make = real_prompts(args.data, args.warm)
    for spec in specs.values():
        engine.decide_many([Query.of(text) for text in first], spec)
    return make


def compared(
    engine: Engine, specs: dict[str, RouteSpec], args: argparse.Namespace
) -> dict[int, dict[str, dict[str, float]]]:
    """Tokens → what → its times."""
    make, others, result = texts_of(engine, specs, args), peers(args), {}
    for tokens in (20, 200, 2000):
        every, calls = make(tokens, args.n * len(specs)), {}
        texts = [every[k :: len(specs)] for k in range(len(specs))]
        for (name, spec), own in zip(specs.items(), texts, strict=True):
            label = "turnout" if name == args.router else name
            calls[label] = lambda i, t=own, s=spec: engine.decide(Query.of(t[i]), s)
        times = measure(calls | others(tokens, texts[0]), args.n)
        ours = float(np.median(times["turnout"]))
        result[tokens] = {
            name: {
                "p50_ms": round(float(np.median(t)), 3),
                "p99_ms": round(float(np.quantile(t, 0.99)), 3),
                "ratio_p50": round(float(np.median(t)) / ours, 1),
            }
            for name, t in times.items()
        }
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description="Time of a routing decision beside two peers.")
    parser.add_argument("--router", default="blend")
    parser.add_argument("--n", type=int, default=400)
    parser.add_argument("--beside", action="append", default=[], help="Other routers, interleaved.")
    parser.add_argument("--no-peers", action="store_true", help="Leave out the forward passes.")
    parser.add_argument("--batches", action="store_true", help="Alone beside several at once.")
    parser.add_argument("--data", type=Path, help="Folder of real prompts; default: made ones.")
    parser.add_argument("--base", type=Path, help="Folder of all-MiniLM-L6-v2, for a third peer.")
    parser.add_argument("--warm", type=int, default=1000, help="Real prompts read beforehand.")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    price = Price.per_million(2.5, 10)
    pool = Pool(
        candidates=(
            Candidate(name="gpt-4o", price=price),
            Candidate(name="gpt-4o-mini", price=price),
        ),
        default="gpt-4o",
    )
    names = [args.router, *args.beside]
    engine = Engine(pool, {name: open_router(name) for name in names})
    specs = {name: RouteSpec(name, 0.2) for name in names}
    if args.batches:
        make = texts_of(engine, specs, args)
        found = batches(engine, specs, max(args.n, 2 * max(BATCHES)), make)
        print(json.dumps(found, indent=2)) if args.json else print_batches(found)
        return
    result = compared(engine, specs, args)
    if args.json:
        print(json.dumps({"router": args.router, "by_tokens": result}, indent=2))
        return
    print(
        f"One decision of router {args.router}, CPU time on one thread ({args.n} distinct "
        f"{'real' if args.data else 'made'} prompts)\n"
    )
    print(f"{'tokens':>6}  {'what':<13} {'p50 ms':>9} {'p99 ms':>9} {'times turnout':>14}")
    for tokens, rows in result.items():
        for name, row in rows.items():
            print(
                f"{tokens:>6}  {name:<13} {row['p50_ms']:>9.3f} {row['p99_ms']:>9.3f} "
                f"{row['ratio_p50']:>13.1f}x"
            )


if __name__ == "__main__":
    main()
