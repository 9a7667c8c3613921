"""The bert that ships: it opens without torch, knows models by name, and says what it left unread."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from turnout.artifacts.folder import read_file
from turnout.artifacts.opening import PRETRAINED, open_router
from turnout.encoders.transformer import read_tokenizer, token_ids
from turnout.errors import MissingExtraError
from turnout.routers.bert import MODEL, TOKENIZER, BertRouter
from turnout.routers.columns import normalise
from turnout.types import Candidate, Query

FOLDER = PRETRAINED / "bert"
MANIFEST = json.loads((FOLDER / "manifest.json").read_text("utf-8"))
MOST_BYTES = 7_500_000
PAIR = [Candidate(name="gpt-4"), Candidate(name="gpt-3.5-turbo")]
TEXTS = (
    "",
    "\ud800",
    "a",
    "Hi!",
    "What is the capital of France?",
    "Prove that every bounded sequence of real numbers has a convergent subsequence.",
    "اكتب قصيدة قصيرة عن البحر",
    "写一首关于海的诗",
    "👩‍👩‍👧‍👦🔥" * 20,
    "x" * 100_000,
    "word " * 20_000,
)


@pytest.fixture(scope="module")
def router() -> BertRouter:
    pytest.importorskip("onnxruntime", reason="needs the extra onnx: pip install 'turnout[onnx]'")
    opened = open_router("bert")
    assert isinstance(opened, BertRouter)
    return opened


def test_it_predicts_qualities_of_any_text(router: BertRouter) -> None:
    candidates = [*PAIR, Candidate(name="unheard-of")]
    queries = [Query.of(text) for text in TEXTS]
    made = router.predict(queries, candidates)
    assert made.quality.shape == (len(TEXTS), 3)
    assert np.isfinite(made.quality).all()
    assert made.quality.min() >= 0.0
    assert made.quality.max() <= 1.0
    alone = router.predict(queries[5:6], candidates)
    np.testing.assert_array_equal(alone.quality[0], made.quality[5])
    assert len(np.unique(made.quality[:, 0])) > 5, "it tells prompts apart"


def test_a_strong_model_is_never_expected_to_be_worse(router: BertRouter) -> None:
    for strong, weak in (
        ("gpt-4", "gpt-3.5-turbo"),
        ("gpt-4o-2024-08-06", "gpt-4o-mini-2024-07-18"),
        ("unknown-big", "unknown-small"),
    ):
        pair = [Candidate(name=strong), Candidate(name=weak)]
        made = router.predict([Query.of(text) for text in TEXTS], pair)
        assert (made.quality[:, 0] >= made.quality[:, 1] - 1e-6).all()
        measured = not strong.startswith("unknown")
        assert made.basis[0].startswith("measured outcomes of" if measured else "prior: ")


def test_what_is_left_unread_is_said(router: BertRouter) -> None:
    made = router.predict([Query.of("Hi!"), Query.of("word " * 300)], PAIR)
    assert made.notes[0] == ""
    assert f"{MANIFEST['max_tokens']} tokens at most" in made.notes[1]


def test_neither_courtesies_nor_capitals_count(router: BertRouter) -> None:
    plain = "Prove that the square root of two is irrational."
    texts = (plain, f"Hello, could you please help me with this? {plain}", plain.upper())
    made = router.predict([Query.of(text) for text in texts], PAIR)
    np.testing.assert_array_equal(made.quality[0], made.quality[1])
    np.testing.assert_array_equal(made.quality[0], made.quality[2])


def test_a_share_can_be_set_without_labels(router: BertRouter) -> None:
    for share in (0.1, 0.5, 0.9):
        threshold = router.threshold_for_share(PAIR, share)
        called = float((router.reference_win_rates(PAIR) >= threshold).mean())
        assert called == pytest.approx(share, abs=0.03)


def test_the_int8_file_says_what_its_own_weights_say_in_32_bits(router: BertRouter) -> None:
    pytest.importorskip("onnx", reason="needs the extra bert: pip install 'turnout[bert]'")
    from turnout.encoders.transformer import TokenModel
    from turnout.training.graph import build_onnx
    from turnout.training.graph_weights import read_graph

    file, tokenizer = (read_file(FOLDER, MANIFEST, name) for name in (MODEL, TOKENIZER))
    held = read_graph(file, tokenizer, where="shipped")
    exact, small = (
        TokenModel(
            build_onnx(held.weights, held.shape, top="tokens", int8=int8),
            tokenizer,
            most_tokens=MANIFEST["max_tokens"],
            where="shipped",
        )
        for int8 in (False, True)
    )
    for text in TEXTS[2:6]:
        a, b = (m.run(text)[0].mean(axis=0) for m in (exact, small))
        assert a @ b / (np.linalg.norm(a) * np.linalg.norm(b)) > 0.99


def test_words_that_were_left_out_are_spelled_in_pieces() -> None:
    reader = read_tokenizer(read_file(FOLDER, MANIFEST, TOKENIZER), "shipped")
    assert reader.get_vocab_size() == MANIFEST["base"]["pieces"]
    ids, _ = token_ids(reader, "floccinaucinihilipilification naïveté Übermut привет 漢", 96)
    assert reader.token_to_id("[UNK]") not in ids.tolist()


def test_manifest_and_card_say_what_it_is() -> None:
    assert MANIFEST["router"] == "bert"
    assert all(normalise(key) == key for key in MANIFEST["columns"]["ladder"])
    measured = MANIFEST["measured"]
    assert 0.4 < measured["loso_apgr"] < 0.6
    assert measured["loso_squared_error"] < measured["loso_squared_error_of_tier_means"]
    card = (FOLDER / "card.md").read_text("utf-8")
    words = ("Apache-2.0", "no licence", "prompt length", "not good for", "word pieces", "Transfer")
    for word in words:
        assert word in card, word
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) <= MOST_BYTES


def test_without_onnxruntime_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'turnout\[onnx\]'"):
        open_router("bert")


def test_it_serves_without_torch_and_onnx(router: BertRouter) -> None:
    code = (
        "import sys; from turnout import Candidate, Query, open_router; r = open_router('bert');"
        "r.predict([Query.of('Hi')], [Candidate(name='a'), Candidate(name='b')]);"
        "assert not {'torch', 'onnx', 'sklearn', 'scipy', 'pandas'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
