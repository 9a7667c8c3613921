"""`bert` beside `blend`: quality on the same prompts, and time beside a full MiniLM-L6 in one run.

    python benchmarks/bert.py quality --data FOLDER [--set LLMRouter-9] [--base FOLDER]
    python benchmarks/bert.py time --base FOLDER

--base holds all-MiniLM-L6-v2; `quality` without it starts from the artifact that ships. `quality` needs
the extras `bert` and `parquet`: both routers are fitted on the part `train`, where bert is also fitted with
its base frozen, and reported on the part `dev`. `time` needs the extra `bert` without torch: CPU times of
one thread, calls interleaved. Its baseline is all six layers with the whole vocabulary in int8, which
reads up to 256 tokens (what the model is used with).
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from decision import prompts
from router_table import Field, markdown, paired, router_row, timed

from turnout import Candidate, Query, open_router
from turnout.encoders.transformer import TokenModel
from turnout.training.checkpoint import read_checkpoint
from turnout.training.graph import build_onnx

LENGTHS = (20, 200, 2_000)
BASELINE, BASELINE_TOKENS = "MiniLM-L6 int8, 256 tokens", 256
WARM, FEWER = 5, 4
"""Calls before the first that counts; the slow baseline makes one call in four."""


def quality(at: Field, title: str, base: str, *, frozen: bool) -> str:
    """A table of `blend` and `bert` on one set of outcomes, and their paired differences."""
    own = {"base": base} if base else {}
    rows = [router_row("blend", at, noise={})]
    ways = {"bert": {}} | ({"bert, frozen base": {"epochs": 0}} if frozen else {})
    for name, options in ways.items():
        rows.append(router_row("bert", at, options={**own, **options}, label=name, noise={}))
    fitted = (name for name in ways if name in at.predicted)
    return "\n".join(
        [markdown(title, at, timed(at, rows)), *(paired(at, n, "blend") for n in fitted)]
    )


def whole_minilm(base: Path) -> TokenModel:
    """All of MiniLM-L6 in int8, as ONNX Runtime runs it."""
    whole = read_checkpoint(base)
    return TokenModel(
        build_onnx(whole.weights, whole.shape, top="tokens"),
        whole.tokenizer,
        most_tokens=BASELINE_TOKENS,
        where=BASELINE,
    )


def times(base: Path, n: int) -> dict[int, dict[str, np.ndarray]]:
    """Per length in words: milliseconds of each call, interleaved."""
    pool = [Candidate(name="gpt-4o"), Candidate(name="gpt-4o-mini")]
    baseline = whole_minilm(base)
    routers = {name: open_router(name) for name in ("bert", "blend")}
    calls: dict[str, Callable[[str], object]] = {
        name: lambda text, router=router: router.predict([Query.of(text)], pool)
        for name, router in routers.items()
    }
    calls[BASELINE] = lambda text: baseline.run(text)[0].mean(axis=0)
    found: dict[int, dict[str, list[float]]] = {}
    for words in LENGTHS:
        spent = found[words] = {name: [] for name in calls}
        for i, text in enumerate(prompts(words, n + WARM)):
            for name, call in calls.items():
                if name == BASELINE and i % FEWER:
                    continue
                started = time.thread_time_ns()
                call(text)
                if i >= WARM:
                    spent[name].append((time.thread_time_ns() - started) / 1e6)
    return {w: {k: np.asarray(v) for k, v in spent.items()} for w, spent in found.items()}


def time_table(found: dict[int, dict[str, np.ndarray]]) -> str:
    """Markdown of the times, and of bert's ratio to each other call."""
    lines = ["| words | what | p50 ms | p99 ms | bert's p50 is |", "|---|---|---|---|---|"]
    for words, spent in found.items():
        ours = float(np.median(spent["bert"]))
        for name, each in spent.items():
            p50, p99 = (float(np.quantile(each, q)) for q in (0.5, 0.99))
            ratio = "" if name == "bert" else f"{ours / p50:.2f} times that"
            lines.append(f"| {words:,} | {name} | {p50:.2f} | {p99:.2f} | {ratio} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("quality", "time"))
    parser.add_argument("--data", type=Path)
    parser.add_argument("--base", default="")
    parser.add_argument("--set", default="LLMRouter-9")
    parser.add_argument("--frozen", action="store_true", help="Also with the base left as it is.")
    parser.add_argument("--n", type=int, default=200)
    args = parser.parse_args()
    if args.what == "time":
        if not args.base:
            parser.error("time needs --base, for the baseline")
        print(time_table(times(Path(args.base), args.n)))
        return
    if args.data is None:
        parser.error("quality needs --data")
    from quality import field_of

    print(
        quality(field_of(args.data / "outcomes", args.set), args.set, args.base, frozen=args.frozen)
    )


if __name__ == "__main__":
    main()
