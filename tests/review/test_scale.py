"""The same numbers to the last digit: from the cache, after a kill, with many workers, on a cluster."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from log_samples import SAMPLES
from review_made import NOW, STRONG, WEAK, made_calls, mapper, write_log
from turnout.errors import InputError
from turnout.review import Asked, Review, review
from turnout.review.engines import runner
from turnout.review.work import Opening

CHUNK = 15_000
OPENING = Opening(router="blend", candidates=(STRONG, WEAK))
ASKED = Asked(replicates=50, chunk_bytes=CHUNK)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_log(tmp_path_factory.mktemp("logs") / "log.jsonl", made_calls(100))


@pytest.fixture(scope="module")
def expected(log: Path) -> str:
    return review([log], OPENING, ASKED, now=NOW).to_json()


class Told:
    """Progress that was told."""

    calls = kept = parts = 0

    def __call__(self, size: int, total: int, calls: int, kept: int) -> None:
        assert size <= total
        self.calls, self.kept, self.parts = calls, kept, self.parts + 1


@pytest.mark.parametrize("chunk_bytes", [3_000, 10_000_000])
def test_where_a_file_is_cut_moves_nothing_but_rounding(
    log: Path, expected: str, chunk_bytes: int
) -> None:
    """A matrix product rounds by its shape, so only the last digits may differ."""
    found = review([log], OPENING, replace(ASKED, chunk_bytes=chunk_bytes), now=NOW)
    said, other = json.loads(expected), json.loads(found.to_json())
    for name in ("calls", "conversations", "models", "caching", "findings"):
        assert other[name] == said[name]
    for mine, yours in zip(other["floors"], said["floors"], strict=True):
        assert mine["route"] == yours["route"]
        assert mine["saving"] == pytest.approx(yours["saving"], abs=1e-6)
        assert mine["kept"] == pytest.approx(yours["kept"], abs=1e-6)


def test_a_second_run_comes_from_the_cache_and_new_prices_need_no_predictions(
    log: Path, expected: str, tmp_path: Path
) -> None:
    asked = replace(ASKED, cache=tmp_path / "cache")
    first, second = Told(), Told()
    assert review([log], OPENING, asked, now=NOW, progress=first).to_json() == expected
    assert first.kept == 0 < first.parts
    assert review([log], OPENING, asked, now=NOW, progress=second).to_json() == expected
    assert second.kept == second.parts
    dearer = replace(OPENING, candidates=(STRONG, replace(WEAK, price=STRONG.price)))
    third = Told()
    review([log], dearer, asked, now=NOW, progress=third)
    assert third.kept == third.parts


def test_the_cache_holds_no_text(log: Path, tmp_path: Path) -> None:
    review([log], OPENING, replace(ASKED, cache=tmp_path), now=NOW)
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    row = json.loads(log.read_text(encoding="utf-8").splitlines()[0])
    assert b"Be kind" not in kept
    for word in ("invoice", "passport", "python", row["id"], "assistant"):
        assert word.encode() not in kept


def test_a_file_that_has_grown_is_read_from_where_it_grew(log: Path, tmp_path: Path) -> None:
    rows = log.read_text(encoding="utf-8").splitlines(keepends=True)
    grown = tmp_path / "grown.jsonl"
    asked = replace(ASKED, cache=tmp_path / "cache")
    grown.write_text("".join(rows[:150]), encoding="utf-8")
    review([grown], OPENING, asked, now=NOW)
    grown.write_text("".join(rows), encoding="utf-8")
    told = Told()
    review([grown], OPENING, asked, now=NOW, progress=told)
    assert 0 < told.kept < told.parts


def test_a_broken_result_is_made_again(log: Path, expected: str, tmp_path: Path) -> None:
    asked = replace(ASKED, cache=tmp_path)
    review([log], OPENING, asked, now=NOW)
    broken = sorted(tmp_path.glob("*.safetensors"))[1]
    broken.write_bytes(broken.read_bytes()[:100])
    assert review([log], OPENING, asked, now=NOW).to_json() == expected


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = {path!r}
from test_scale import ASKED, NOW, OPENING, replace, review

def progress(size, total, calls, kept):
    if size > total / 3:
        os.kill(os.getpid(), signal.SIGKILL)

review([{log!r}], OPENING, replace(ASKED, cache=Path({cache!r})), now=NOW, progress=progress)
"""


def test_a_review_that_was_killed_goes_on_and_says_the_same(
    log: Path, expected: str, tmp_path: Path
) -> None:
    tests = Path(__file__).parents[1]
    code = KILLED.format(
        path=[str(tests), str(tests / "review")], log=str(log), cache=str(tmp_path)
    )
    killed = subprocess.run([sys.executable, "-c", code], check=False)
    assert killed.returncode == -signal.SIGKILL
    told = Told()
    asked = replace(ASKED, cache=tmp_path)
    assert review([log], OPENING, asked, now=NOW, progress=told).to_json() == expected
    assert 0 < told.kept < told.parts


def test_two_processes_say_what_one_says(log: Path, expected: str) -> None:
    assert review([log], OPENING, replace(ASKED, workers=2), now=NOW).to_json() == expected


def test_files_that_need_others_or_cannot_be_cut_say_the_same_in_two_processes(
    tmp_path: Path,
) -> None:
    for i, name in enumerate(("langfuse-legacy", "openai-batch", "helicone csv", "llm-cli")):
        (tmp_path / str(i)).mkdir()
        SAMPLES[name][0](tmp_path / str(i))
    one = review([tmp_path], OPENING, ASKED, now=NOW)
    two = review([tmp_path], OPENING, replace(ASKED, workers=2), now=NOW)
    assert one.to_json() == two.to_json()


def test_a_dask_cluster_says_what_one_process_says(
    log: Path, expected: str, tmp_path: Path
) -> None:
    pytest.importorskip("distributed", reason="needs the extra dask")
    asked = replace(ASKED, engine="dask", workers=2, cache=tmp_path)
    assert review([log], OPENING, asked, now=NOW).to_json() == expected


def test_an_engine_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match="local, dask"):
        runner("spark", workers=1, address=None)
    with pytest.raises(InputError, match="--engine dask"):
        runner("local", workers=1, address="tcp://127.0.0.1:1")


def test_packed_files_of_many_runs_are_read_in_order(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gzip

    packed = tmp_path / "log.jsonl"
    packed.write_bytes(gzip.compress(log.read_bytes()))
    monkeypatch.setattr("turnout.review.work.SHARD_RECORDS", 50)
    asked = replace(ASKED, cache=tmp_path / "cache", examples=True)

    def said(path: Path) -> Review:
        return replace(review([path], mapper(), asked, now=NOW), command="")

    assert said(packed).to_json() == said(log).to_json()
    assert len(list((tmp_path / "cache").glob("*-[0-9]*-*.safetensors"))) >= 6
