"""The bert router: trained, converted and served. Training skips where torch is not installed."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from turnout.artifacts.opening import open_router
from turnout.cli import cli
from turnout.data.table import OutcomeTable, build_table
from turnout.encoders.named import NamedEncoders
from turnout.encoders.onnx import fingerprint
from turnout.encoders.opening import open_encoder
from turnout.encoders.transformer import TokenModel, read_tokenizer, token_ids
from turnout.errors import ArtifactError, InputError, UnknownNameError
from turnout.settings import read_encoders
from turnout.training.checkpoint import read_checkpoint
from turnout.training.graph import build_onnx
from turnout.training.routellm_bert import convert_bert
from turnout.types import Candidate, Outcome, Query

pytest.importorskip("onnx", reason="needs the extra bert: pip install 'turnout[bert]'")
pytest.importorskip("onnxruntime", reason="needs the extra onnx: pip install 'turnout[onnx]'")
needs_torch = pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed")
needs_transformers = pytest.mark.skipif(
    find_spec("torch") is None or find_spec("transformers") is None,
    reason="torch and transformers are not installed",
)
WORDS = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "easy", "hard", "sum", "proof", "of", "two", "words"]
WIDTH, LAYERS = 16, 2
PAIR = [Candidate(name="big"), Candidate(name="small")]


def tokenizer() -> str:
    made = Tokenizer(WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    made.pre_tokenizer = Whitespace()
    made.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    return str(made.to_str())


def base(folder: Path, *, family: str = "bert", labels: int | None = None, seed: int = 3) -> Path:
    """A tiny checkpoint of random weights in Hugging Face's layout."""
    rng = np.random.default_rng(seed)
    roberta = family != "bert"
    weights: dict[str, Any] = {}

    def linear(name: str, out: int, width: int) -> None:
        weights[f"{name}.weight"] = rng.normal(0, 0.3, (out, width))
        weights[f"{name}.bias"] = rng.normal(0, 0.1, out)

    def norm(name: str) -> None:
        weights[f"{name}.weight"] = rng.normal(1, 0.1, WIDTH)
        weights[f"{name}.bias"] = rng.normal(0, 0.1, WIDTH)

    prefix = "roberta." if roberta else "bert."
    for table, rows in (
        ("word", len(WORDS)),
        ("position", 66),
        ("token_type", 1 if roberta else 2),
    ):
        weights[f"{prefix}embeddings.{table}_embeddings.weight"] = rng.normal(0, 1, (rows, WIDTH))
    norm(f"{prefix}embeddings.LayerNorm")
    for layer in range(LAYERS):
        key = f"{prefix}encoder.layer.{layer}"
        for part in ("query", "key", "value"):
            linear(f"{key}.attention.self.{part}", WIDTH, WIDTH)
        linear(f"{key}.attention.output.dense", WIDTH, WIDTH)
        norm(f"{key}.attention.output.LayerNorm")
        linear(f"{key}.intermediate.dense", 2 * WIDTH, WIDTH)
        linear(f"{key}.output.dense", WIDTH, 2 * WIDTH)
        norm(f"{key}.output.LayerNorm")
    if labels is not None:
        linear("classifier.dense" if roberta else "bert.pooler.dense", WIDTH, WIDTH)
        linear("classifier.out_proj" if roberta else "classifier", labels, WIDTH)
    folder.mkdir()
    arrays = {k: np.asarray(v, dtype=np.float32) for k, v in weights.items()}
    save_file(arrays, folder / "model.safetensors", metadata={"format": "pt"})
    config = {
        "model_type": family,
        "architectures": ["X"],
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 4,
        "hidden_size": WIDTH,
        "intermediate_size": 2 * WIDTH,
        "vocab_size": len(WORDS),
        "max_position_embeddings": 66,
        "type_vocab_size": 1 if roberta else 2,
        "pad_token_id": 3 if roberta else 0,  # a word that no text here has
        "num_labels": labels or 2,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-5,
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text(tokenizer())
    return folder


def outcomes(n: int = 200) -> OutcomeTable:
    """The small model fails whenever a prompt says hard."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(n):
        hard = i % 2 == 0
        words = " ".join(rng.choice(WORDS[6:], size=9))
        prompt = f"{'hard' if hard else 'easy'} {words} {'x' * (i + 1)}"
        rows.append(Outcome(prompt=prompt, model="big", score=0.9, group=str(i)))
        score = 0.05 if hard else 0.9
        rows.append(Outcome(prompt=prompt, model="small", score=score, group=str(i)))
    return build_table(rows)


@pytest.mark.parametrize("family", ["bert", "xlm-roberta"])
def test_a_converted_checkpoint_serves_three_labels_as_a_win_rate(
    tmp_path: Path, family: str
) -> None:
    convert_bert(base(tmp_path / "in", family=family, labels=3), tmp_path / "out", tokens=32)
    router = open_router("bert", artifact=tmp_path / "out")
    queries = [Query.of("hard proof of two words"), Query.of("easy sum " * 60), Query.of("")]
    found = router.predict(queries, PAIR)
    assert found.quality.shape == (3, 2)
    assert [bool(note) for note in found.notes] == [False, True, False]
    rate = found.win_rate("big", "small")
    assert len(set(np.round(rate, 6).tolist())) == 3
    alone = router.predict(queries[1:2], PAIR)
    np.testing.assert_array_equal(alone.quality[0], found.quality[1])
    assert router.predict([], PAIR).quality.shape == (0, 2)
    with pytest.raises(InputError, match="a strong and a weak model"):
        router.check([*PAIR, Candidate(name="third")])


@needs_transformers
@pytest.mark.parametrize("family", ["bert", "xlm-roberta"])
def test_a_converted_checkpoint_gives_the_logits_of_transformers(
    tmp_path: Path, family: str
) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification

    folder = base(tmp_path / "in", family=family, labels=3)
    theirs = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    for int8, close in ((False, 1e-5), (True, 0.08)):
        out = tmp_path / f"out{int8}"
        convert_bert(folder, out, tokens=32, int8=int8)
        router = open_router("bert", artifact=out)
        for text in ("hard proof of two words", "easy", "sum of two sum of two"):
            reader = read_tokenizer(tokenizer().encode(), "test")
            ids, _ = token_ids(reader, text, 32)
            with torch.no_grad():
                shares = torch.softmax(theirs(torch.tensor(ids)[None]).logits[0], 0)
            expected = 1.0 - float(shares[1] + shares[2])
            found = router.predict([Query.of(text)], PAIR).win_rate("big", "small")
            assert found[0] == pytest.approx(expected, abs=close)


def test_the_command_converts(tmp_path: Path) -> None:
    folder = base(tmp_path / "in", labels=3)
    call = [
        "convert",
        "routellm-bert",
        str(folder),
        "--out",
        str(tmp_path / "out"),
        "--tokens",
        "16",
    ]
    result = CliRunner().invoke(cli, call)
    assert result.exit_code == 0, result.output
    assert open_router("bert", artifact=tmp_path / "out").name == "bert"


def test_none_ships_and_the_error_says_what_to_do() -> None:
    with pytest.raises(ArtifactError, match="turnout train bert"):
        open_router("bert")


def test_checkpoints_that_are_not_routellms_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected strong wins"):
        convert_bert(base(tmp_path / "two", labels=2), tmp_path / "out")
    other = base(tmp_path / "other", labels=3)
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, "model_type": "gpt2"}))
    with pytest.raises(InputError, match="model_type"):
        convert_bert(other, tmp_path / "out")
    with pytest.raises(InputError, match="No such file"):
        convert_bert(tmp_path / "absent", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_long_text_keeps_its_head_and_tail() -> None:
    reader = read_tokenizer(tokenizer().encode(), "test")
    ids, cut = token_ids(reader, "hard " + "sum " * 100 + "proof", 16)
    assert cut
    assert len(ids) == 16
    assert [ids[0], ids[1], ids[-2], ids[-1]] == [1, 5, 7, 2]
    assert not token_ids(reader, "hard", 16)[1]


def encoder_folder(path: Path, source: Path) -> Path:
    made = read_checkpoint(source)
    model = build_onnx(made.weights, made.shape, top="tokens")
    path.mkdir()
    (path / "model.onnx").write_bytes(model)
    (path / "tokenizer.json").write_bytes(made.tokenizer)
    own = fingerprint(model, made.tokenizer, pooling="mean", max_tokens=32)
    stated = {"name": "tiny", "dimension": WIDTH, "pooling": "mean", "max_tokens": 32}
    (path / "manifest.json").write_text(json.dumps({**stated, "fingerprint": own}))
    return path


def test_an_encoder_is_found_by_folder_or_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = encoder_folder(tmp_path / "tiny", base(tmp_path / "in"))
    encoder = open_encoder(f"onnx:{folder}")
    rows = encoder.encode(["hard proof", "easy sum", ""])
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-5)
    assert float(rows[0] @ rows[1]) < 0.999
    assert encoder.name == "onnx:tiny"
    named = NamedEncoders(read_encoders({"mine": {"onnx": str(folder)}}))["mine"]
    assert (named.name, named.fingerprint) == (encoder.name, encoder.fingerprint)
    np.testing.assert_array_equal(named.encode(["one two"]), encoder.encode(["one two"]))
    monkeypatch.setenv("TURNOUT_ENCODERS", str(tmp_path))
    assert open_encoder(encoder.name).fingerprint == encoder.fingerprint
    (folder / "tokenizer.json").write_text(tokenizer() + " ")
    with pytest.raises(ArtifactError, match="corrupt"):
        open_encoder(f"onnx:{folder}/")
    with pytest.raises(ArtifactError, match="TURNOUT_ENCODERS"):
        open_encoder("onnx:absent")


def test_a_model_that_is_none_is_refused() -> None:
    with pytest.raises(ArtifactError, match="cannot be opened"):
        TokenModel(b"nothing", tokenizer().encode(), most_tokens=16, where="test")


@needs_torch
def test_it_learns_what_a_prompt_says_and_resumes(tmp_path: Path) -> None:
    from turnout.training.bert import train_bert

    folder, table, said = base(tmp_path / "in"), outcomes(), []
    options: dict[str, Any] = {
        "base": str(folder),
        "layers": 0,
        "tokens": 32,
        "epochs": 4,
        "rate": 0.01,
    }
    kept = str(tmp_path / "kept")
    fitted = train_bert(table, **options, checkpoints=kept, progress=said.append)
    assert fitted.manifest["measured"]["brier_skill"] > 0.5
    (last,) = list((tmp_path / "kept").iterdir())
    files = sorted(last.iterdir())
    files[-1].unlink()
    again = train_bert(table, **options, checkpoints=kept, progress=said.append)
    assert any("taken from" in line for line in said)
    assert again.files["model.onnx"] == fitted.files["model.onnx"]
    fitted.write(tmp_path / "out")
    router = open_router("bert", artifact=tmp_path / "out")
    found = router.predict([Query.of("hard sum of two"), Query.of("easy sum of two")], PAIR)
    rates = found.win_rate("big", "small")
    assert rates[0] > rates[1] + 0.2
    assert 0.0 < router.threshold_for_share(PAIR, 0.5) < 1.0  # type: ignore[attr-defined]
    with pytest.raises(UnknownNameError, match="known_as"):
        router.check([Candidate(name="unheard")])


@needs_torch
def test_options_out_of_range_are_refused(tmp_path: Path) -> None:
    from turnout.training.bert import train_bert

    folder = str(base(tmp_path / "in"))
    for bad in ({"epochs": 0}, {"layers": 7}, {"tokens": 4}, {"rate": 2.0}, {"base": ""}):
        with pytest.raises(InputError):
            train_bert(outcomes(), **{"base": folder, "layers": 0, "tokens": 32, **bad})
