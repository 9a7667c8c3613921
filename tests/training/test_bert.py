"""The bert router: trained, converted and served. Training skips where torch is not installed."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from tiny_bert import PIECES, WIDTH, base, tokenizer
from turnout.artifacts.opening import open_router
from turnout.cli import cli
from turnout.data.table import OutcomeTable, build_table
from turnout.encoders.named import NamedEncoders
from turnout.encoders.onnx import fingerprint
from turnout.encoders.opening import open_encoder
from turnout.encoders.transformer import TokenModel, read_tokenizer, token_ids
from turnout.errors import ArtifactError, InputError, UnknownNameError
from turnout.settings import read_encoders
from turnout.training.checkpoint import POSITIONS, read_checkpoint
from turnout.training.graph import build_onnx
from turnout.training.graph_weights import read_graph
from turnout.training.routellm_bert import convert_bert
from turnout.types import Candidate, Outcome, Query

pytest.importorskip("onnx", reason="needs the extra bert: pip install 'turnout[bert]'")
pytest.importorskip("onnxruntime", reason="needs the extra onnx: pip install 'turnout[onnx]'")
needs_torch = pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed")
needs_transformers = pytest.mark.skipif(
    find_spec("torch") is None or find_spec("transformers") is None,
    reason="torch and transformers are not installed",
)
PAIR = [Candidate(name="big"), Candidate(name="small")]


def outcomes(n: int = 200) -> OutcomeTable:
    """The small model fails whenever a prompt says hard."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(n):
        hard = i % 2 == 0
        words = " ".join(rng.choice(PIECES[6:], size=9))
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


def test_what_a_file_holds_is_read_back(tmp_path: Path) -> None:
    made = read_checkpoint(base(tmp_path / "in")).shortened(32)
    for int8, close in ((False, 1e-6), (True, 0.012)):
        file = build_onnx(made.weights, made.shape, top="tokens", int8=int8)
        found = read_graph(file, made.tokenizer, where="test")
        assert found.shape == made.shape
        assert len(found.weights[POSITIONS]) == 32
        for name, value in found.weights.items():
            if name != POSITIONS:
                scale = np.abs(made.weights[name]).max()
                np.testing.assert_allclose(value, made.weights[name], atol=close * scale)
        again = build_onnx(found.weights, found.shape, top="tokens", int8=int8)
        models = [
            TokenModel(f, made.tokenizer, most_tokens=32, where="test") for f in (file, again)
        ]
        rows = [m.run("hard proof of two words")[0] for m in models]
        np.testing.assert_allclose(rows[0], rows[1], atol=10 * close)
    with pytest.raises(ArtifactError, match="train it again"):
        read_graph(_anonymous(file), made.tokenizer, where="test")
    with pytest.raises(ArtifactError, match="cannot be read"):
        read_graph(b"nothing", made.tokenizer, where="test")


def _anonymous(file: bytes) -> bytes:
    """The same model without what says how it is built."""
    import onnx

    model = onnx.load_from_string(file)
    del model.metadata_props[:]
    return bytes(model.SerializeToString())


def test_a_place_beyond_the_table_is_refused(tmp_path: Path) -> None:
    made = read_checkpoint(base(tmp_path / "in"))
    for tokens in (4, 67):
        with pytest.raises(InputError, match="give 8 to 66"):
            made.shortened(tokens)


OPTIONS: dict[str, Any] = {"layers": 0, "tokens": 32, "epochs": 4, "rate": 0.01}


@needs_torch
def test_it_learns_what_a_prompt_says_and_resumes(tmp_path: Path) -> None:
    from turnout.training.bert import train_bert

    folder, table, said = base(tmp_path / "in"), outcomes(), []
    options = {**OPTIONS, "base": str(folder)}
    kept = tmp_path / "kept"
    fitted = train_bert(table, **options, checkpoint=kept, progress=said.append)
    assert fitted.manifest["measured"]["brier_skill"] > 0.5
    (last,) = list((tmp_path / "kept").iterdir())
    files = sorted(last.iterdir())
    files[-1].unlink()
    again = train_bert(table, **options, checkpoint=kept, progress=said.append)
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
    polite = router.predict([Query.of("Could you please help me with this? hard sum of two")], PAIR)
    np.testing.assert_array_equal(polite.quality[0], found.quality[0])


@needs_torch
def test_the_int8_network_predicts_what_the_fitted_one_does(tmp_path: Path) -> None:
    from turnout.training.bert_fit import Plan, Texts, fit_network
    from turnout.training.bert_network import Steps

    model, table = read_checkpoint(base(tmp_path / "in")).shortened(32), outcomes()
    texts = Texts.of(table.prompts, model.tokenizer, 32)
    every = np.arange(len(table.prompts))
    plan = Plan(epochs=2, rate=0.01, batch=16, seed=0)
    made = fit_network(
        model, texts, table.score, every, fit=every % 5 > 0, stop=every % 5 == 0, plan=plan
    )
    exact = made.network.predict(texts.ids, made.term.rows(texts.features))
    weights, shape = made.network.numpy(), model.shape
    for int8, close in ((False, 1e-4), (True, 0.4)):
        file = build_onnx(weights, shape, top="mean", int8=int8)
        served = TokenModel(file, model.tokenizer, most_tokens=32, where="test")
        rows = np.stack([served.run(p)[0] for p in table.prompts]) + made.term.of(table.prompts)
        np.testing.assert_allclose(rows, exact, atol=close)
        assert np.corrcoef(rows[:, 1], exact[:, 1])[0, 1] > 0.99
    steps = Steps(made.network, rate=0.01, batch=16, epochs=1, seed=0)
    steps.epoch(0, texts.ids, made.term.rows(texts.features), table.score)
    after = made.network.numpy()
    moved = {k for k, v in weights.items() if (v != after[k]).any()}
    assert {"encoder.layer.0.attention.self.query.weight", "head.weight", "head.features"} < moved
    assert not [k for k in moved if k.startswith("embeddings.")]


@needs_torch
def test_an_epoch_takes_every_prompt_once_and_like_lengths_together(tmp_path: Path) -> None:
    from turnout.training.bert_network import Network, Steps

    model = read_checkpoint(base(tmp_path / "in"))
    steps = Steps(Network.of(model.weights, model.shape, {}), rate=0.1, batch=8, epochs=2, seed=1)
    lengths = np.random.default_rng(0).integers(3, 60, 203).tolist()
    parts = steps.steps(0, lengths)
    assert sorted(np.concatenate(parts).tolist()) == list(range(203))
    assert max(len(part) for part in parts) == 8
    padded = sum(len(part) * max(lengths[i] for i in part) for part in parts)
    assert padded < 1.2 * sum(lengths)
    assert [p.tolist() for p in parts] == [p.tolist() for p in steps.steps(0, lengths)]
    assert [p.tolist() for p in parts] != [p.tolist() for p in steps.steps(1, lengths)]


@needs_torch
def test_a_frozen_base_gets_a_head_that_ridge_regression_finds(tmp_path: Path) -> None:
    from turnout.training.bert import train_bert

    fitted = train_bert(outcomes(), **{**OPTIONS, "base": str(base(tmp_path / "in")), "epochs": 0})
    assert fitted.manifest["measured"]["brier_skill"] > 0.3
    assert any(note.startswith("kept: the frozen base") for note in fitted.manifest["notes"])
    assert fitted.manifest["recipe"]["epochs"] == 0


@needs_torch
def test_an_artifact_is_a_base_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from turnout.training import bert

    options = {**OPTIONS, "epochs": 0}
    first = bert.train_bert(outcomes(), **{**options, "base": str(base(tmp_path / "in"))})
    first.write(tmp_path / "bert")
    monkeypatch.setattr(bert, "shipped", lambda name: tmp_path / name)
    second = bert.train_bert(outcomes(), **options)
    assert second.manifest["recipe"]["base"] == "shipped bert"
    assert second.manifest["measured"]["brier_skill"] > 0.3
    with pytest.raises(InputError, match="give 8 to 32"):
        bert.train_bert(outcomes(), **{**options, "tokens": 64})


@needs_torch
def test_the_command_of_the_guide_trains_from_what_ships(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    words = "river stone light market court cell train water force year city people".split()
    rows = [
        {
            "prompt": f"{kind} {' '.join(rng.choice(words, 8))}.",
            "models": {"big": 1, "small": int(kind == "Name")},
        }
        for _ in range(60)
        for kind in ("Prove", "Name")
    ]
    data = tmp_path / "outcomes.jsonl"
    data.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    call = ["train", "bert", "--data", str(data), "--out", str(tmp_path / "my-bert")]
    result = CliRunner().invoke(cli, call)
    assert result.exit_code == 0, result.output
    router = open_router("bert", artifact=tmp_path / "my-bert")
    asked = [Query.of(f"{kind} stone court year light city.") for kind in ("Prove", "Name")]
    quality = router.predict(asked, PAIR).quality
    assert quality[0, 1] < quality[1, 1]
    assert "shipped bert" in (tmp_path / "my-bert" / "card.md").read_text("utf-8")


@needs_torch
def test_options_out_of_range_are_refused(tmp_path: Path) -> None:
    from turnout.training.bert import train_bert

    folder = str(base(tmp_path / "in"))
    for bad in (
        {"epochs": -1},
        {"batch": 0},
        {"layers": 7},
        {"tokens": 4},
        {"rate": 2.0},
        {"pieces": 2},
        {"base": f"{tmp_path}/absent"},
        {"encoder": "hashing-64"},
    ):
        with pytest.raises(InputError):
            train_bert(outcomes(), **{"base": folder, "layers": 0, "tokens": 32, **bad})
