"""What a shipped artifact's card says beyond its manifest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pretrained.loso import Result, difference

TRANSFER = Path(__file__).parent / "transfer.json"
"""Rows measured with the shipped artifacts on RouteLLM's benchmarks; written after they were final."""

SOURCES = (
    ("mmlu_pro", "MMLU-Pro, without the questions of MMLU", "Apache-2.0 / MIT"),
    ("llmrouter_uiuc", "LLMRouter-9, 9 tasks", "MIT"),
    ("bfcl_2024_08", "Berkeley function calling", "prompts Apache-2.0; results: no licence file"),
    ("livecodebench", "LiveCodeBench to September 2024", "no licence stated"),
    ("routerbench", "RouterBench: ARC, Winogrande, MBPP", "MIT code; data without licence"),
    ("zeroeval_crux", "ZeroEval CRUX", "Apache-2.0"),
    ("zeroeval_math-l5", "ZeroEval MATH level 5", "Apache-2.0"),
    ("zeroeval_numersense-v2", "ZeroEval NumerSense", "Apache-2.0"),
    ("evalarena_humanevalplus", "HumanEval+ results", "no licence stated"),
    ("evalarena_mbppplus", "MBPP+ results", "no licence stated"),
    ("lineage_bench", "lineage-bench, abilities only", "MIT"),
)

_TRANSFER_TITLE = "## Transfer to RouteLLM's benchmarks"
_LIMITS_TITLE = "## What it is not good for"
_LIMITS = f"""\
{_LIMITS_TITLE}

- There is no evidence that it beats prompt length on a benchmark that it has not seen. Fit it on
  your own labels (`turnout train`) before you count on it.
- Open-ended chat: almost all outcomes are questions with one right answer, code, or tool calls.
- Languages other than English.
- Models newer than the data (2023 to early 2025): an unknown name stands at a prior place, and the
  decision says so.
- Several places on the ladder rest on code tasks alone; trust the order of models that many sets
  share more than the place of one that a single set holds."""


def sections(name: str, result: Result, length: Result, facts: Mapping[str, Any]) -> str:
    """Markdown below the manifest's table."""
    parts = [_data(facts), _left_out(facts), _loso(result, length), _transfer(name), _LIMITS]
    return "\n\n".join(part for part in parts if part)


def with_transfer(card: str, name: str) -> str:
    """A card with its section of transfer as it was measured last."""
    head, limits = card.split(f"{_LIMITS_TITLE}\n", 1)
    head = head.split(_TRANSFER_TITLE, 1)[0].rstrip()
    parts = (head, _transfer(name), f"{_LIMITS_TITLE}\n{limits}")
    return "\n\n".join(part for part in parts if part)


def _data(facts: Mapping[str, Any]) -> str:
    counts = facts["sets"]
    lines = [
        "## Fitted on",
        "",
        "Weights only: no prompt and no outcome is part of the artifact. Heads are fitted on the",
        "train part; abilities of models and difficulties of prompts on both parts.",
        "",
        "| set | what | licence | prompts train / dev | models |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| `{key}` | {what} | {licence} | {counts[key][0]:,} / {counts[key][1]:,} "
        f"| {counts[key][2]} |"
        for key, what, licence in SOURCES
        if key in counts
    ]
    return "\n".join(lines)


def _left_out(facts: Mapping[str, Any]) -> str:
    by_set = ", ".join(f"{count} of `{name}`" for name, count in facts["dropped"].items())
    return (
        "## Left out\n\n"
        "- `llmrouter_uiuc`: its MMLU, GSM8K and MGSM parts, which hold RouteLLM's questions.\n"
        f"- {sum(facts['dropped'].values())} prompts close to one of RouteLLM's "
        f"{facts['evaluation_prompts']:,} evaluation prompts (half of their runs of eight words, "
        f"or a cosine above 0.95; many only share a topic): {by_set or 'none'}.\n"
        f"- {facts['unsound']} of {facts['entries']} (set, model) columns that are off their "
        "model's line by more than 1.3, such as runs in another mode: not in tier scores.\n"
        "- No label of RouteLLM's files was fitted on."
    )


def _loso(result: Result, length: Result) -> str:
    gap, error, wins = difference(result, length)
    lines = [
        "## Measured with each source left out",
        "",
        f"APGR, exact curve, mean of {len(result.families)} families of tasks and "
        f"{len(result.mixtures)} mixtures that were held out whole; up to 40 pairs of models each.",
        "",
        "| | this router | prompt length | random |",
        "|---|---|---|---|",
        f"| mean | {result.total:.4f} | {length.total:.4f} | 0.5000 |",
        *(
            f"| {family} | {value:.3f} | {length.families[family]:.3f} | 0.500 |"
            for family, value in result.families.items()
        ),
        *(
            f"| {name} | {value:.3f} | {length.mixtures[name]:.3f} | 0.500 |"
            for name, value in result.mixtures.items()
        ),
        "",
        f"Families, this router less prompt length: {gap:+.4f}, 95% interval "
        f"[{gap - 2.16 * error:+.4f}, {gap + 2.16 * error:+.4f}] over families "
        f"(above it on {wins} of {len(result.families)}). Mixtures reuse rows of the families. "
        "Forms were chosen on these numbers, so they are somewhat optimistic.",
    ]
    return "\n".join(lines)


def _transfer(name: str) -> str:
    if not TRANSFER.is_file():
        return ""
    read = json.loads(TRANSFER.read_text("utf-8"))
    if name not in read["arrays"]:
        return ""
    lines = [
        _TRANSFER_TITLE,
        "",
        "No label of these was used to fit, and nothing was changed after they were measured once, "
        f"with arrays `{read['arrays'][name]}`. GPT-4 Turbo against Mixtral 8x7B; RouteLLM's ten "
        "bins; 95% bootstrap intervals over near-duplicate groups; the difference is of exact "
        "areas, paired.",
        "",
        "| benchmark | router | APGR | less prompt length | CPT(50%) | CPT(80%) |",
        "|---|---|---|---|---|---|",
    ]
    for benchmark, rows in read["benchmarks"].items():
        lines += [
            f"| {benchmark} | {router} | {' | '.join(rows[router])} |"
            for router in (name, "prompt length", "random")
            if router in rows
        ]
    return "\n".join(lines)
