"""The filter of prompts that artifacts were fitted on: what it finds, what it does not, what it keeps."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from turnout.artifacts.opening import PRETRAINED
from turnout.data.seen import SHIPPED, SeenPrompts
from turnout.errors import ArtifactError

WORDS = [f"word{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(600)]


def texts(n: int, seed: int, least: int = 20, most: int = 80) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, int(rng.integers(least, most)))) for _ in range(n)]


def filter_of(prompts: list[str]) -> SeenPrompts:
    bits = np.asarray([1 + i % 3 for i in range(len(prompts))], dtype=np.uint8)
    return SeenPrompts.of(prompts, bits, [("a", "b"), ("c",)])


def test_case_and_marks_do_not_hide_a_prompt_and_its_artifacts_are_named() -> None:
    known = texts(30, 0)
    found = filter_of(known).look_up([f"{k.upper()}!!" for k in known])
    assert found.exact.tolist() == [1 + i % 3 for i in range(30)]
    assert not found.near.any()
    exact_a, _ = found.by_artifact("b") or (None, None)
    assert exact_a is not None
    assert exact_a.tolist() == [i % 3 != 1 for i in range(30)]
    assert found.by_artifact("other") is None


def test_other_numbers_are_near_and_not_the_same() -> None:
    known = "a train leaves the station at 9 with forty sleepy people aboard and 3 small dogs"
    found = filter_of([known]).look_up([known.replace("9", "17"), known])
    assert (found.exact.tolist(), found.near.tolist()) == ([0, 1], [1, 0])


def test_altered_prompts_are_mostly_found() -> None:
    known = texts(300, 1, least=40)
    rng = np.random.default_rng(2)

    def altered(text: str, share: float) -> str:
        words = text.split()
        for i in rng.permutation(len(words))[: round(share * len(words))]:
            words[i] = "changed"
        return "Please answer this: " + " ".join(words) + " Thank you very much indeed."

    made = filter_of(known)
    found = {s: (made.look_up([altered(k, s) for k in known]).near != 0).mean() for s in (0, 0.03)}
    assert found[0] > 0.99
    assert found[0.03] > 0.8


def test_unrelated_prompts_are_hardly_ever_found() -> None:
    made = filter_of(texts(3_000, 3))
    found = made.look_up(texts(3_000, 4))
    assert not (found.exact | found.near).any()
    short = made.look_up(["hello", "", "?!", "what is 2 + 2", "\ud800"])
    assert not (short.exact | short.near).any()


def test_boilerplate_joins_nobody() -> None:
    shell = "answer the following question with one word only and explain nothing at all: "
    known = [shell + text for text in texts(60, 5)]
    other = [shell + text for text in texts(60, 6)]
    assert not filter_of(known).look_up(other).near.any()


def test_it_is_written_and_read_and_holds_no_text(tmp_path: Path) -> None:
    known = texts(20, 7)
    file = tmp_path / "seen.safetensors"
    filter_of(known).save(file)
    raw = file.read_bytes()
    assert not any(word.encode() in raw for text in known for word in text.split())
    assert len(raw) < 20 * 21 + 1_000  # 21 bytes a prompt, and the header
    assert SeenPrompts.load(file).look_up(known).exact.all()
    file.write_bytes(b"nothing")
    with pytest.raises(ArtifactError, match="install it again"):
        SeenPrompts.load(file)
    with pytest.raises(ArtifactError, match="install it again"):
        SeenPrompts.load(tmp_path / "absent")


def test_the_shipped_filter_is_small_and_of_the_shipped_artifacts() -> None:
    assert SHIPPED.stat().st_size < 300_000
    shipped = SeenPrompts.load()
    assert {"blend", "knn", "mf", "universal"} <= {n for names in shipped.artifacts for n in names}
    for name, fingerprint in shipped.facts["data"].items():
        manifest = json.loads((PRETRAINED / name / "manifest.json").read_text("utf-8"))
        assert manifest["data"]["fingerprint"] == fingerprint, "run recipes/build_seen.py again"
        both = shipped.look_up(texts(2_000, 8, most=300)).by_artifact(name)
        assert both is not None
        assert sum(int(part.sum()) for part in both) == 0


@pytest.mark.skipif("TURNOUT_DATA" not in os.environ, reason="TURNOUT_DATA is not set")
def test_the_shipped_filter_tells_fitted_prompts_from_those_kept_out() -> None:
    """Train prompts are found; RouteLLM's evaluation prompts, which were kept out, hardly ever."""
    pq = pytest.importorskip("pyarrow.parquet")
    import csv

    folder = Path(os.environ["TURNOUT_DATA"])
    table = pq.read_table(
        folder / "outcomes" / "livecodebench.parquet", columns=["prompt", "role"]
    ).to_pylist()
    train = sorted({row["prompt"] for row in table if row["role"] == "train"})
    shipped = SeenPrompts.load()
    found = shipped.look_up(train)
    assert (found.exact != 0).mean() > 0.95  # some were dropped: close to an evaluation prompt
    with (folder / "routellm" / "gsm8k" / "gsm8k_responses.csv").open(encoding="utf-8") as lines:
        kept_out = [row["prompt"] for row in csv.DictReader(lines)]
    other = shipped.look_up(kept_out)
    assert (other.exact != 0).sum() == 0
    assert (other.near != 0).mean() < 0.005
