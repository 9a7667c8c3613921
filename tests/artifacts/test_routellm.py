"""RouteLLM's checkpoints give RouteLLM's win rates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from safetensors.numpy import save_file

from turnout.artifacts.opening import open_router
from turnout.artifacts.routellm import MODELS, convert_mf
from turnout.cli import cli
from turnout.client.controller import Controller
from turnout.encoders.opening import open_encoder
from turnout.errors import InputError, TurnoutError, UnknownNameError
from turnout.types import Candidate, Query

STRONG, WEAK = "gpt-4-1106-preview", "mixtral-8x7b-instruct-v0.1"
PROMPTS = ["hello there", "prove that 2 is prime", "write a quick sort in C", "", "7 * 8?"] * 4
ENCODER, WIDTH = "hashing-96", 96
Arrays = dict[str, NDArray[Any]]


def checkpoint(scale: float = 3.0) -> Arrays:
    rng = np.random.default_rng(5)
    shapes = {"P": (64, 16), "text_proj.0": (16, WIDTH), "classifier.0": (1, 16)}
    return {
        f"{key}.weight": (scale * rng.normal(size=shape)).astype(np.float32)
        for key, shape in shapes.items()
    }


def training_keys(arrays: Arrays) -> Arrays:
    renamed = {key.replace(".0.", "."): array for key, array in arrays.items()}
    return {**renamed, "Q.weight": np.ones((30, WIDTH), dtype=np.float32)}


def forward(arrays: Arrays, strong: int, weak: int, e: NDArray[Any]) -> float:
    """The checkpoint's own formula, one prompt at a time."""
    h = arrays["text_proj.0.weight"].astype(np.float64) @ e
    logits = []
    for m in (strong, weak):
        v = arrays["P.weight"][m].astype(np.float64)
        logits.append(float(arrays["classifier.0.weight"][0] @ (v / np.linalg.norm(v) * h)))
    return float(1.0 / (1.0 + np.exp(logits[1] - logits[0])))


def candidates(*names: str) -> list[Candidate]:
    return [Candidate(name=name) for name in names]


@pytest.mark.parametrize("training", [False, True])
def test_win_rates_are_the_checkpoints(tmp_path: Path, training: bool) -> None:
    arrays = checkpoint()
    file = tmp_path / "model.safetensors"
    save_file(training_keys(arrays) if training else arrays, file)
    convert_mf(tmp_path, tmp_path / "out", encoder=ENCODER)
    router = open_router("routellm_mf", artifact=tmp_path / "out")
    vectors = open_encoder(ENCODER).encode(PROMPTS)
    spread = []
    for strong, weak in ((24, 36), (36, 24), (0, 63)):
        names = (MODELS[strong], MODELS[weak])
        found = router.predict([Query(text=p) for p in PROMPTS], candidates(*names))
        exact = [forward(arrays, strong, weak, e) for e in vectors.astype(np.float64)]
        np.testing.assert_allclose(found.win_rate(*names), exact, atol=1e-4)
        spread.append(np.ptp(exact))
    assert max(spread) > 0.5  # else the comparison would say little


def test_places_of_the_default_pair() -> None:
    assert (len(MODELS), MODELS.index(STRONG), MODELS.index(WEAK)) == (64, 24, 36)
    assert list(MODELS) == sorted(MODELS)


def test_an_encoder_of_another_dimension_is_refused(tmp_path: Path) -> None:
    save_file(checkpoint(), tmp_path / "mf.safetensors")
    with pytest.raises(InputError, match=r"256 dimensions, but mf\.safetensors was fitted on 96"):
        convert_mf(tmp_path / "mf.safetensors", tmp_path / "out", encoder="static-256")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"P.weight": np.ones((63, 16), np.float32)}, "expected (64, 16)"),
        ({"classifier.0.weight": np.ones((1, 15), np.float32)}, "expected (1, 16)"),
        ({"P.weight": np.full((64, 16), np.nan, np.float32)}, "finite"),
        ({"P.weight": None}, "it has no P.weight"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    arrays = {k: a for k, a in {**checkpoint(), **change}.items() if a is not None}
    save_file(arrays, tmp_path / "model.safetensors")
    with pytest.raises(InputError) as caught:
        convert_mf(tmp_path, tmp_path / "out", encoder=ENCODER)
    assert says in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no tensors")
    for path, says in ((tmp_path / "absent", "No such file"), (tmp_path / "text", "not safetens")):
        with pytest.raises(InputError, match=says):
            convert_mf(path, tmp_path / "out", encoder=ENCODER)


def test_models_that_the_checkpoint_does_not_have(tmp_path: Path) -> None:
    save_file(checkpoint(), tmp_path / "model.safetensors")
    convert_mf(tmp_path, tmp_path / "out", encoder=ENCODER)
    router = open_router("routellm_mf", artifact=tmp_path / "out")
    with pytest.raises(UnknownNameError, match="known_as"):
        router.check(candidates("gpt-9", WEAK))
    router.check([Candidate(name="gpt-9", known_as=STRONG), *candidates(WEAK)])


def test_the_command_and_the_controller(tmp_path: Path) -> None:
    save_file(checkpoint(), tmp_path / "model.safetensors")
    out = tmp_path / "out"
    args = ["convert", "routellm-mf", str(tmp_path), "--out", str(out), "--encoder", ENCODER]
    done = CliRunner().invoke(cli, args)
    assert done.exit_code == 0, done.output
    controller = Controller(
        ["routellm_mf"], STRONG, WEAK, config={"routellm_mf": {"artifact": str(out)}}
    )
    rates = controller.batch_calculate_win_rate(PROMPTS[:2], "routellm_mf")
    vectors = open_encoder(ENCODER).encode(PROMPTS[:2]).astype(np.float64)
    np.testing.assert_allclose(
        rates, [forward(checkpoint(), 24, 36, e) for e in vectors], atol=1e-4
    )
    with pytest.raises(TurnoutError, match="turnout convert routellm-mf"):
        Controller(["mf"], STRONG, WEAK, config={"mf": {"checkpoint_path": "x"}})
