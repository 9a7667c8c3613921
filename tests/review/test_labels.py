"""Prompts to grade: how they are drawn, graded, and folded into a review."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from json_fakes import endpoint
from review_made import NOW, hardness, made_calls, mapper, write_log
from turnout.cli import cli
from turnout.errors import DataError, InputError
from turnout.review import Asked, review
from turnout.review.drawing import allocate
from turnout.review.html import to_html
from turnout.review.labels import read_labels

MODELS = ("gpt-4o", "gpt-4o-mini")


@given(
    st.lists(st.tuples(st.integers(1, 60), st.floats(0.01, 100)), min_size=1, max_size=20),
    st.data(),
)
def test_every_stratum_is_drawn_from_and_none_beyond_its_size(
    strata: list[tuple[int, float]], data: st.DataObject
) -> None:
    size = np.asarray([s for s, _ in strata])
    weight = np.asarray([w for _, w in strata])
    count = data.draw(st.integers(len(strata), int(size.sum())))
    take = allocate(weight, size, count)
    assert take.sum() == count
    assert (take >= 1).all()
    assert (take <= size).all()


def drawn(folder: Path, count: int, conversations: int = 200) -> tuple[Path, list[dict]]:
    log = write_log(folder / "log.jsonl", made_calls(conversations))
    file = folder / "to-label.jsonl"
    review([log], mapper(), Asked(label=count, label_file=file, replicates=20), now=NOW)
    return log, [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def graded(rows: list[dict], folder: Path) -> Path:
    for row in rows:
        hard = hardness(row["prompt"])
        row["models"] = {"gpt-4o": 1 - 0.2 * hard, "gpt-4o-mini": {"score": 1 - 0.9 * hard}}
    path = folder / "graded.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_drawn_prompts_stand_for_all_calls(tmp_path: Path) -> None:
    log, rows = drawn(tmp_path, 100)
    calls = len(log.read_text(encoding="utf-8").splitlines())
    assert len(rows) == len({row["id"] for row in rows}) == 100
    # Horvitz and Thompson's count of the calls: exact, since each stratum is drawn in its share.
    assert sum(row["calls"] / row["inclusion"] for row in rows) == pytest.approx(calls, rel=0.02)
    near = [row["inclusion"] for row in rows if row["stratum"].endswith("near")]
    far = [row["inclusion"] for row in rows if row["stratum"].endswith("far")]
    assert np.mean(near) > np.mean(far)
    assert stat.S_IMODE((tmp_path / "to-label.jsonl").stat().st_mode) == 0o600


def test_a_batch_asks_for_the_answers_that_are_missing(tmp_path: Path) -> None:
    _, rows = drawn(tmp_path, 20)
    asked = (tmp_path / "ask-gpt-4o-mini.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["custom_id"] for line in asked] == [row["id"] for row in rows]
    body = json.loads(asked[0])["body"]
    assert body == {"model": "gpt-4o-mini", "messages": rows[0]["messages"]}


def test_labels_that_agree_with_the_predictions_give_the_same_setting(tmp_path: Path) -> None:
    log, rows = drawn(tmp_path, 120)
    asked = Asked(labels=graded(rows, tmp_path), replicates=200)
    found = review([log], mapper(), asked, now=NOW)
    labelled = found.labelled
    assert labelled is not None
    assert labelled.labels == 120
    assert labelled.at_floor.route == found.at_floor.route
    for name, estimate in labelled.quality.items():
        assert estimate.value == pytest.approx(labelled.predicted[name], abs=1e-4)
    assert "By 120 labels" in found.to_text()
    assert "estimated from labels" in found.headline()
    assert "By 120 labels" in to_html(found)
    assert json.loads(found.to_json())["labelled"]["labels"] == 120


def test_few_labels_give_no_interval_and_say_so(tmp_path: Path) -> None:
    log, rows = drawn(tmp_path, 12)
    found = review([log], mapper(), Asked(labels=graded(rows, tmp_path), replicates=20), now=NOW)
    assert found.labelled is not None
    assert np.isnan(found.labelled.kept.low)
    assert np.isnan(found.labelled.at_floor.cheap_share.low)
    assert any("fewer than 30 labels" in note for note in found.labelled.notes)


def test_what_is_wrong_with_labels_is_counted(tmp_path: Path) -> None:
    log, rows = drawn(tmp_path, 40)
    path = graded(rows, tmp_path)
    rows[0]["models"]["gpt-4o"] = None
    rows[1]["models"]["gpt-4o"] = 7
    again = {**rows[2], "models": {"gpt-4o": 0.0, "gpt-4o-mini": 1.0}}
    other = {**rows[3], "id": "0123456789abcdef"}
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, again, other]))
    found = review([log], mapper(), Asked(labels=path, replicates=20), now=NOW).labelled
    assert found is not None
    assert found.labels == 38
    said = " ".join(found.notes)
    assert "1 prompts without a score of every candidate" in said
    assert "1 prompts with a score outside [0, 1]" in said
    assert "1 prompts given twice with other scores" in said
    assert "1 labelled prompts are not in these logs" in said


@pytest.mark.parametrize(
    ("row", "match"),
    [
        ({"prompt": "x", "models": {}}, r"l\.jsonl:1 id"),
        ({"id": "a", "inclusion": 0, "models": {}}, r"l\.jsonl:1 inclusion"),
        ({"id": "a", "inclusion": 0.5, "models": {"gpt-4o": 1}}, "no label can be used"),
    ],
)
def test_a_file_that_is_no_drawing_is_an_error(row: dict, match: str, tmp_path: Path) -> None:
    path = tmp_path / "l.jsonl"
    path.write_text(json.dumps(row), encoding="utf-8")
    with pytest.raises(DataError, match=match):
        read_labels(path, MODELS)


def test_labels_of_other_logs_are_an_error(tmp_path: Path) -> None:
    _, rows = drawn(tmp_path, 30)
    other = write_log(tmp_path / "other", made_calls(50, seed=9))
    with pytest.raises(DataError, match="none of the labelled prompts"):
        review([other], mapper(), Asked(labels=graded(rows, tmp_path)), now=NOW)


@pytest.mark.parametrize("count", [3, 100_000])
def test_a_count_that_cannot_be_drawn_is_an_error(count: int, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="label"):
        drawn(tmp_path, count, conversations=20)


def run(*arguments: str) -> str:
    result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def output_of(rows: list[dict], answer: str) -> str:
    body = {"choices": [{"message": {"content": answer}}]}
    response = {"status_code": 200, "body": body}
    made = [{"id": "b", "custom_id": r["id"], "response": response, "error": None} for r in rows]
    return "".join(json.dumps(row) + "\n" for row in made)


def test_answers_of_batches_are_graded_by_match_and_scores_by_hand_are_kept(tmp_path: Path) -> None:
    _, rows = drawn(tmp_path, 12)
    for row in rows[:5]:
        row["reference"] = "forty"
    rows[0]["models"]["gpt-4o"] = 0.25
    path = tmp_path / "to-label.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    for model, answer in zip(MODELS, ("The answer is forty.", "fifty"), strict=True):
        (tmp_path / f"{model}.out").write_text(output_of(rows, answer), encoding="utf-8")
    answers = [a for m in MODELS for a in ("--answers", f"{m}={tmp_path / m}.out")]
    said = run("grade", str(path), "--by", "exact", *answers)
    assert "9 answers graded, 1 had a score, 14 could not be graded" in said
    cells = [json.loads(line)["models"] for line in path.read_text(encoding="utf-8").splitlines()]
    assert cells[0] == {"gpt-4o": 0.25, "gpt-4o-mini": 0.0}
    assert cells[1] == {"gpt-4o": 1.0, "gpt-4o-mini": 0.0}
    assert cells[6] == {"gpt-4o": None, "gpt-4o-mini": None}


def test_a_judge_stops_at_its_cap_and_the_rest_stays_ungraded(tmp_path: Path) -> None:
    _, rows = drawn(tmp_path, 20)
    path, outputs = tmp_path / "to-label.jsonl", tmp_path / "out.jsonl"
    outputs.write_text(output_of(rows, "an answer"), encoding="utf-8")

    def answer(_: object) -> dict:
        usage = {"prompt_tokens": 200, "completion_tokens": 1}
        return {"choices": [{"message": {"content": "6"}}], "usage": usage}

    with endpoint(answer) as (url, seen):
        said = run(
            *("grade", str(path), "--by", "judge", "--answers", f"gpt-4o={outputs}"),
            *("--judge-url", url, "--judge-model", "j", "--judge-price", "10,30"),
            *("--cap-usd", "0.04"),
        )
    assert "stopped: cap_usd" in said
    scores = [json.loads(line)["models"]["gpt-4o"] for line in path.read_text().splitlines()]
    assert scores.count(0.6) == len(seen.bodies) > 0
    assert scores.count(None) == 20 - len(seen.bodies) > 0


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (["--by", "judge"], "judge_url"),
        (["--by", "judge", "--judge-url", "http://x/v1", "--judge-model", "m"], "cap_usd"),
        (
            [
                *("--by", "judge", "--judge-url", "http://x/v1", "--judge-model", "home-made"),
                *("--cap-usd", "1"),
            ],
            "judge_price",
        ),
        (["--by", "exact", "--answers", "m"], "answers"),
    ],
)
def test_grading_without_what_it_needs_is_refused(
    options: list[str], match: str, tmp_path: Path
) -> None:
    drawn(tmp_path, 10, conversations=20)
    with pytest.raises(InputError, match=match):
        CliRunner().invoke(
            cli, ["grade", str(tmp_path / "to-label.jsonl"), *options], catch_exceptions=False
        )
