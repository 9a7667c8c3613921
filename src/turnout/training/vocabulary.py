"""Leave out the word pieces that prompts seldom use: most of a small model's size is its vocabulary."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from turnout.encoders.text import clip
from turnout.encoders.transformer import read_tokenizer
from turnout.errors import InputError
from turnout.training.checkpoint import WORDS, Checkpoint

_BATCH = 512
_ENDS = ("cls", "sep")
"""Keys of a BertProcessing: each holds a piece and its number."""


def prune_vocabulary(model: Checkpoint, texts: Iterable[str], most: int) -> Checkpoint:
    """The same model with at most `most` word pieces.

    Special tokens and pieces of one character always stay, so that every word that could be written
    in pieces before still can: what is left out is spelled in shorter pieces, and nothing becomes
    unknown. The other places go to the pieces that stand in most texts. A piece that stays keeps
    its vector.

    Args:
        model: with a WordPiece tokenizer (BERT's).
        texts: whose pieces are counted; a long one is clipped as when it is read.
        most: pieces to keep.

    Raises:
        InputError: a tokenizer of another kind, or fewer pieces than must stay.
    """
    stated = json.loads(model.tokenizer)
    vocabulary = _word_pieces(stated)
    prefix = stated["model"].get("continuing_subword_prefix", "##")
    special = _special(stated)
    needed = sorted(
        i for p, i in vocabulary.items() if p in special or len(p.removeprefix(prefix)) == 1
    )
    if most < len(needed):
        raise InputError(
            "pieces", most, f"special tokens and single characters alone are {len(needed)}"
        )
    count = piece_counts(model.tokenizer, texts, size=max(vocabulary.values()) + 1)
    count[needed] = 0
    ranked = [int(i) for i in np.argsort(-count, kind="stable") if count[i] > 0]
    kept = np.asarray(sorted({*needed, *ranked[: most - len(needed)]}), dtype=np.intp)
    weights = {**model.weights, WORDS: model.weights[WORDS][kept]}
    return replace(model, weights=weights, tokenizer=_renumbered(stated, kept))


def piece_counts(tokenizer: bytes, texts: Iterable[str], *, size: int) -> NDArray[np.int64]:
    """(size,) in how many texts each piece stands, by its number."""
    reader = read_tokenizer(tokenizer, "tokenizer.json")
    count = np.zeros(size, dtype=np.int64)
    rest = iter(texts)
    while part := list(islice(rest, _BATCH)):
        for found in reader.encode_batch([clip(text) for text in part]):
            count[np.unique(np.asarray(found.ids, dtype=np.intp))] += 1
    return count


def _word_pieces(stated: dict[str, Any]) -> dict[str, int]:
    kind = stated.get("model", {}).get("type")
    if kind != "WordPiece":
        raise InputError(
            "tokenizer", kind, "only the vocabulary of a WordPiece tokenizer can be cut: give 0"
        )
    return dict(stated["model"]["vocab"])


def _special(stated: dict[str, Any]) -> set[str]:
    after = stated.get("post_processor") or {}
    return {
        stated["model"]["unk_token"],
        *(token["content"] for token in stated.get("added_tokens", [])),
        *after.get("special_tokens", {}),
        *(after[name][0] for name in _ENDS if name in after),
    }


def _renumbered(stated: dict[str, Any], kept: Sequence[int] | NDArray[np.intp]) -> bytes:
    """`tokenizer.json` with the kept pieces alone, numbered afresh in their old order."""
    fresh = {int(old): new for new, old in enumerate(kept)}
    model = stated["model"]
    vocabulary = {p: fresh[i] for p, i in model["vocab"].items() if i in fresh}
    added = [{**t, "id": fresh[t["id"]]} for t in stated.get("added_tokens", [])]
    after = stated.get("post_processor") or {}
    if "special_tokens" in after:
        tokens = {
            name: {**token, "ids": [fresh[i] for i in token["ids"]]}
            for name, token in after["special_tokens"].items()
        }
        after = {**after, "special_tokens": tokens}
    for name in _ENDS:
        if name in after:
            piece, old = after[name]
            after = {**after, name: [piece, fresh[old]]}
    made = {
        **stated,
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "post_processor": after or None,
        "model": {**model, "vocab": vocabulary},
    }
    return json.dumps(made, ensure_ascii=False, separators=(",", ":")).encode()
