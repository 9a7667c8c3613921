"""Small made-up files in the published layout of each benchmark, all of the same outcomes."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MODELS = ("big/V1.2", "small")
PRICES = {"big/V1.2": (5.0, 20.0), "small": (0.5, 2.0)}
"""USD per million tokens."""


@dataclass(frozen=True)
class Made:
    """What one model scored on one prompt."""

    prompt: str
    model: str
    score: Any
    category: str = "maths"
    input_tokens: int = 100
    output_tokens: int = 50

    @property
    def cost_usd(self) -> float:
        usd_in, usd_out = PRICES[self.model]
        return (self.input_tokens * usd_in + self.output_tokens * usd_out) / 1e6


def made(n: int = 40) -> list[Made]:
    """n prompts without near-duplicates; the big model is right on all, the small on half."""
    words = "river copper orbit ledger violin harbor cactus meadow falcon lantern marble".split()
    return [
        Made(
            f"{words[i % 11]} {words[i // 11]} number {'abcdefgh'[i % 8]}",
            model,
            float(model == MODELS[0] or i % 2),
            category=("maths", "code")[i % 3 == 0],
        )
        for i in range(n)
        for model in MODELS
    ]


def _by_prompt(rows: Sequence[Made]) -> list[list[Made]]:
    """Each run of rows of one prompt."""
    found: list[list[Made]] = []
    for row in rows:
        if found and found[-1][0].prompt == row.prompt and len(found[-1]) < len(MODELS):
            found[-1].append(row)
        else:
            found.append([row])
    return found


def routerbench_wide(folder: Path, rows: Sequence[Made]) -> Path:
    """`routerbench_0shot.pkl` as pandas exports it to CSV."""
    path = folder / "routerbench_0shot.csv"
    names = list(dict.fromkeys(row.model for row in rows))
    header = ["sample_id", "prompt", "eval_name", *names]
    header += [f"{n}|model_response" for n in names] + [f"{n}|total_cost" for n in names]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*header, "oracle_model_to_route_to"])
        for i, cells in enumerate(_by_prompt(rows)):
            first, by = cells[0], {c.model: c for c in cells}
            scores = [by[n].score if n in by else "" for n in names]
            costs = [by[n].cost_usd if n in by else "" for n in names]
            writer.writerow(
                [f"{first.category}.dev.{i}", repr([first.prompt]), first.category, *scores]
                + ["['an answer']"] * len(names)
                + [*costs, "no_model_correct"]
            )
    return path


def routerbench_long(folder: Path, rows: Sequence[Made]) -> Path:
    """`routerbench_raw.pkl` as pandas exports it to Parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder / "routerbench_raw.parquet"
    columns = {
        "sample_id": [f"{row.category}.dev.{i}" for i, row in enumerate(rows)],
        "prompt": [[row.prompt] for row in rows],
        "eval_name": [row.category for row in rows],
        "model_name": [row.model for row in rows],
        "performance": [row.score for row in rows],
        "cost": [row.cost_usd for row in rows],
        "model_response": ["an answer"] * len(rows),
    }
    pq.write_table(pa.table(columns), path)
    return path


def routerarena_cache(folder: Path, rows: Sequence[Made]) -> Path:
    """`cached_results/`: a JSONL file a model."""
    for model in dict.fromkeys(row.model for row in rows):
        lines = [
            {
                "global_index": f"{row.category}_{i}",
                "question": row.prompt,
                "llm_selected": model,
                "generated_answer": "an answer",
                "token_usage": {
                    "input_tokens": row.input_tokens,
                    "output_tokens": row.output_tokens,
                    "total_tokens": row.input_tokens + row.output_tokens,
                },
                "success": True,
                "evaluation_result": {"score": row.score, "inference_cost": row.cost_usd},
            }
            for i, row in enumerate(rows)
            if row.model == model
        ]
        file = folder / f"{model.replace('/', '_')}.jsonl"
        file.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return folder


def routerarena_predictions(folder: Path, rows: Sequence[Made]) -> Path:
    """A graded submission with its entries for optimality."""
    path = folder / "my-router.json"
    entries = [
        {
            "global index": f"{row.category}_{i // len(MODELS)}",
            "prompt": row.prompt,
            "prediction": row.model,
            "generated_result": {
                "generated_answer": "an answer",
                "success": True,
                "token_usage": {
                    "input_tokens": row.input_tokens,
                    "output_tokens": row.output_tokens,
                },
            },
            "cost": row.cost_usd,
            "accuracy": row.score,
            "for_optimality": i % len(MODELS) > 0,
        }
        for i, row in enumerate(rows)
    ]
    path.write_text(json.dumps(entries, indent=2), encoding="utf-8")
    return path


def llmrouter_routing(folder: Path, rows: Sequence[Made]) -> Path:
    """`data/example_data`, with its prices."""
    routing, candidates = folder / "routing_data", folder / "llm_candidates"
    routing.mkdir(exist_ok=True)
    candidates.mkdir(exist_ok=True)
    lines = [
        {
            "task_name": row.category,
            "query": row.prompt,
            "ground_truth": "42",
            "metric": "em",
            "model_name": row.model,
            "response": "an answer",
            "input_tokens": row.input_tokens,
            "output_tokens": row.output_tokens,
            "performance": row.score,
            "embedding_id": 1,
        }
        for row in rows
    ]
    half = len(lines) // 2
    for part, some in (("train", lines[:half]), ("test", lines[half:])):
        file = routing / f"default_routing_{part}_data.jsonl"
        file.write_text("\n".join(map(json.dumps, some)), encoding="utf-8")
    stated = {
        model: {"size": "7B", "input_price": usd_in, "output_price": usd_out}
        for model, (usd_in, usd_out) in PRICES.items()
    }
    (candidates / "default_llm.json").write_text(json.dumps(stated), encoding="utf-8")
    return folder


def llmrouter_scores(folder: Path, rows: Sequence[Made]) -> Path:
    """`dcrouter_preprocessed/test.json`: scores alone."""
    path = folder / "test.json"
    found = [
        {"question": cells[0].prompt, "scores": {cell.model: cell.score for cell in cells}}
        for cells in _by_prompt(rows)
    ]
    path.write_text(json.dumps(found), encoding="utf-8")
    return path


def llmrouterbench(folder: Path, rows: Sequence[Made]) -> Path:
    """`results/bench`, with an older run beside that must not count."""
    keys = dict.fromkeys((row.category, row.model) for row in rows)
    for dataset, model in keys:
        place = folder / dataset / "test" / model.replace("/", "_")
        place.mkdir(parents=True, exist_ok=True)
        records = [
            {
                "index": i,
                "origin_query": row.prompt,
                "prompt": row.prompt,
                "prediction": "42",
                "ground_truth": "42",
                "score": row.score,
                "prompt_tokens": row.input_tokens,
                "completion_tokens": row.output_tokens,
                "cost": row.cost_usd,
                "raw_output": "an answer",
            }
            for i, row in enumerate(rows)
            if (row.category, row.model) == (dataset, model)
        ]
        result = {
            "performance": 0.5,
            "demo": False,
            "dataset_name": dataset,
            "split": "test",
            "model_name": model,
            "records": records,
        }
        stem = f"{dataset}-test-{model.replace('/', '_')}"
        (place / f"{stem}-20250102_000000.json").write_text(json.dumps(result), encoding="utf-8")
        old = {**result, "records": [{**records[0], "score": 0.123}]}
        (place / f"{stem}-20250101_000000.json").write_text(json.dumps(old), encoding="utf-8")
    return folder


def plain_csv(folder: Path, rows: Sequence[Made]) -> Path:
    """The user's own outcomes."""
    path = folder / "mine.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        names = ["prompt", "category", "model", "score", "cost_usd", "input_tokens"]
        writer.writerow([*names, "output_tokens"])
        for r in rows:
            tokens = [r.input_tokens, r.output_tokens]
            writer.writerow([r.prompt, r.category, r.model, r.score, r.cost_usd, *tokens])
    return path


@dataclass(frozen=True)
class Layout:
    """A published layout: its benchmark, how to write it, and where an error must point."""

    benchmark: str
    write: Callable[[Path, Sequence[Made]], Path]
    place: str
    """A pattern of file and line of the first row."""
    spoil: tuple[str, str]
    """Text of the files to replace so that there is a field `invented`."""
    has_costs: bool = True
    has_categories: bool = True


ADDED = ("{", '{"invented": 1, ')
ORACLE = ("oracle_model_to_route_to", "invented")
SAMPLE = ("sample_id", "invented")
RECORD = ('{"index"', '{"invented": 1, "index"')

LAYOUTS = {
    "routerbench, wide": Layout(
        "routerbench", routerbench_wide, r"routerbench_0shot\.csv:2", ORACLE
    ),
    "routerbench, long": Layout(
        "routerbench", routerbench_long, r"routerbench_raw\.parquet:1", SAMPLE
    ),
    "routerarena, cache": Layout("routerarena", routerarena_cache, r"big_V1\.2\.jsonl:1", ADDED),
    "routerarena, predictions": Layout(
        "routerarena", routerarena_predictions, r"my-router\.json:1", ADDED
    ),
    "llmrouter, routing": Layout(
        "llmrouter", llmrouter_routing, r"default_routing_train_data\.jsonl:1", ADDED
    ),
    "llmrouter, scores": Layout(
        "llmrouter", llmrouter_scores, r"test\.json:1", ADDED, has_costs=False, has_categories=False
    ),
    "llmrouterbench": Layout("llmrouterbench", llmrouterbench, r"20250102_000000\.json:1", RECORD),
    "outcomes, csv": Layout("outcomes", plain_csv, r"mine\.csv:2", ("input_tokens", "invented")),
}
