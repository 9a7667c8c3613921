"""Cutting a vocabulary: what stays keeps its vector, and no text becomes harder to write in pieces."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import BertProcessing, TemplateProcessing

from turnout.encoders.text import clip
from turnout.encoders.transformer import read_tokenizer
from turnout.errors import InputError
from turnout.training.checkpoint import WORDS, Checkpoint, Shape
from turnout.training.vocabulary import piece_counts, prune_vocabulary

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,?!éßжя漢"
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
LONGER = ["the", "##ing", "sum", "##s", "prove", "even", "number", "##ber", "num", "rare", "##ly"]
PIECES = list(dict.fromkeys([*SPECIAL, *LETTERS, *(f"##{c}" for c in LETTERS), *LONGER]))
TEXTS = ["prove the sum", "the numbers", "sums, the sums", "even the number", "the sum is even"]
WIDTH = 4


def model(*, bert: bool = False) -> Checkpoint:
    """A vocabulary whose vectors say which piece they are of."""
    numbers = {piece: i for i, piece in enumerate(PIECES)}
    made = Tokenizer(WordPiece(numbers, unk_token="[UNK]", max_input_chars_per_word=40))
    made.normalizer = BertNormalizer()
    made.pre_tokenizer = BertPreTokenizer()
    made.add_special_tokens(SPECIAL)
    ends = [("[CLS]", numbers["[CLS]"]), ("[SEP]", numbers["[SEP]"])]
    made.post_processor = (
        BertProcessing(ends[1], ends[0])
        if bert
        else TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    )
    made.enable_padding(length=32)
    made.enable_truncation(32)
    rows = np.repeat(np.arange(len(PIECES), dtype=np.float32)[:, None], WIDTH, axis=1)
    shape = Shape(layers=0, heads=1, epsilon=1e-12, first_position=0, most_tokens=64)
    return Checkpoint(shape=shape, weights={WORDS: rows}, tokenizer=str(made.to_str()).encode())


NEEDED = len(PIECES) - len([p for p in LONGER if len(p.removeprefix("##")) > 1])
FULL = model()
CUT = prune_vocabulary(FULL, TEXTS, NEEDED + 3)


def pieces(made: Checkpoint, text: str) -> list[str]:
    return list(read_tokenizer(made.tokenizer, "test").encode(clip(text)).tokens)


def test_the_pieces_of_most_texts_stay_and_keep_their_vectors() -> None:
    numbers = read_tokenizer(CUT.tokenizer, "test").get_vocab()
    assert len(numbers) == len(CUT.weights[WORDS]) == NEEDED + 3
    assert {"the", "sum", "even"} < numbers.keys()
    assert not {"rare", "##ly", "prove"} & numbers.keys()
    assert sorted(numbers.values()) == list(range(len(numbers)))
    for piece, number in numbers.items():
        assert CUT.weights[WORDS][number].tolist() == [PIECES.index(piece)] * WIDTH


@pytest.mark.parametrize("bert", [False, True])
def test_texts_still_begin_and_end_with_their_special_tokens(bert: bool) -> None:
    found = pieces(prune_vocabulary(model(bert=bert), TEXTS, NEEDED), "rare sums")
    assert found == ["[CLS]", *"rare"[:1], "##a", "##r", "##e", "s", "##u", "##m", "##s", "[SEP]"]


@given(st.text(max_size=80) | st.text(alphabet=LETTERS + " ", max_size=80))
def test_no_text_fails_or_becomes_less_known(text: str) -> None:
    before, after = pieces(FULL, text), pieces(CUT, text)
    assert before.count("[UNK]") == after.count("[UNK]")
    spelled = [
        "".join(p.removeprefix("##") for p in found if p not in SPECIAL)
        for found in (before, after)
    ]
    assert spelled[0] == spelled[1]
    kept = read_tokenizer(CUT.tokenizer, "test").get_vocab()
    if all(piece in kept for piece in before):
        assert before == after


def test_a_piece_counts_once_a_text() -> None:
    count = piece_counts(FULL.tokenizer, (t for t in TEXTS), size=len(PIECES))
    assert count[PIECES.index("the")] == 5
    assert count[PIECES.index("##s")] == 3
    assert count[PIECES.index("rare")] == 0


def test_what_cannot_be_cut_is_refused() -> None:
    with pytest.raises(InputError, match=f"single characters alone are {NEEDED}"):
        prune_vocabulary(FULL, TEXTS, NEEDED - 1)
    stated = json.loads(FULL.tokenizer)
    stated["model"] = {"type": "BPE", "vocab": {"a": 0}, "merges": []}
    other = replace(FULL, tokenizer=json.dumps(stated).encode())
    with pytest.raises(InputError, match="WordPiece"):
        prune_vocabulary(other, TEXTS, 100)
