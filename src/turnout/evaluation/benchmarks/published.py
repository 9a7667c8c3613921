"""What RouteLLM's authors printed for its three benchmarks (arXiv:2406.18665v4, tables 1 to 3).

GPT-4-1106-preview against Mixtral-8x7B. These routers need an embedding API, a GPU or a checkpoint
of another lineage, so that they are quoted, not run.
"""

from __future__ import annotations

from typing import Final

from turnout.evaluation.benchmarks.base import PublishedRow

SOURCE = "RouteLLM, arXiv:2406.18665, tables 1-3"

# (training data, router) → CPT50 in percent, CPT80 in percent, APGR
_MT_BENCH: Final = {
    ("arena", "BERT"): (78.09, 87.64, 0.391),
    ("arena", "causal LLM"): (28.82, 77.53, 0.573),
    ("arena", "MF"): (25.32, 74.26, 0.580),
    ("arena", "SW"): (37.85, 58.99, 0.610),
    ("arena + judge", "BERT"): (19.58, 34.02, 0.751),
    ("arena + judge", "causal LLM"): (31.50, 48.75, 0.679),
    ("arena + judge", "MF"): (13.40, 31.31, 0.802),
    ("arena + judge", "SW"): (23.21, 36.04, 0.759),
}
# "gold": about 1,500 labelled prompts of MMLU's own validation part.
_MMLU: Final = {
    ("arena", "BERT"): (49.43, 77.80, 0.502),
    ("arena", "causal LLM"): (48.88, 77.93, 0.499),
    ("arena", "MF"): (45.00, 76.86, 0.524),
    ("arena", "SW"): (55.82, 80.25, 0.473),
    ("arena + gold", "BERT"): (41.30, 72.20, 0.572),
    ("arena + gold", "causal LLM"): (35.49, 70.31, 0.600),
    ("arena + gold", "MF"): (35.46, 71.40, 0.597),
    ("arena + gold", "SW"): (35.40, 71.55, 0.603),
}
_GSM8K: Final = {
    ("arena", "BERT"): (58.78, 83.84, 0.438),
    ("arena", "causal LLM"): (56.09, 83.56, 0.461),
    ("arena", "MF"): (53.59, 85.24, 0.4746),
    ("arena", "SW"): (54.43, 82.11, 0.4753),
    ("arena + judge", "BERT"): (44.76, 79.09, 0.531),
    ("arena + judge", "causal LLM"): (33.64, 63.26, 0.622),
    ("arena + judge", "MF"): (38.82, 72.62, 0.565),
    ("arena + judge", "SW"): (41.21, 72.20, 0.568),
}


def _rows(table: dict[tuple[str, str], tuple[float, float, float]]) -> tuple[PublishedRow, ...]:
    return tuple(
        PublishedRow(
            router=f"RouteLLM {router} ({data})",
            cpt50=cpt50 / 100,
            cpt80=cpt80 / 100,
            apgr=apgr,
            source=SOURCE,
        )
        for (data, router), (cpt50, cpt80, apgr) in table.items()
    )


MT_BENCH = _rows(_MT_BENCH)
MMLU = _rows(_MMLU)
GSM8K = _rows(_GSM8K)
