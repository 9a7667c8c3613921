"""A review of made-up logs, against what a plain loop over the same calls says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from review_made import KINDS, NOW, STRONG, WEAK, Oracle, hardness, made_calls, mapper, write_log
from turnout.errors import DataError, InputError
from turnout.pricing import list_cache_price
from turnout.review import Asked, Review, review
from turnout.review.html import to_html
from turnout.types import Candidate, Price, Query


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_log(tmp_path_factory.mktemp("logs") / "log.jsonl", made_calls(300))


@pytest.fixture(scope="module")
def found(log: Path) -> Review:
    return review([log], mapper(), Asked(replicates=200), now=NOW)


def rows_of(log: Path) -> list[dict]:
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]


def usd(row: dict, candidate: Candidate) -> float:
    price, cache = candidate.price, list_cache_price(candidate.name, candidate.price)
    assert price is not None
    fresh = row["input_tokens"] - row["cached_tokens"]
    return (
        fresh * price.input_picousd
        + row["cached_tokens"] * cache.read_picousd
        + row["output_tokens"] * price.output_picousd
    ) / 1e12


def test_costs_are_those_of_a_plain_loop(log: Path, found: Review) -> None:
    rows, ways = rows_of(log), {w.name: w for w in found.ways}
    paid = sum(usd(row, STRONG) for row in rows)
    assert ways["as paid"].cost_usd == pytest.approx(paid)
    assert ways["always gpt-4o"].cost_usd == pytest.approx(paid)
    weak = sum(usd(row, WEAK) for row in rows)
    assert ways["always gpt-4o-mini"].cost_usd == pytest.approx(weak)
    assert ways["always gpt-4o-mini"].saving.value == pytest.approx(1 - weak / paid)


def test_routed_cost_counts_the_caches_that_switches_leave_cold(log: Path, found: Review) -> None:
    threshold = float(found.at_floor.route.rpartition("-")[2])
    total = lost = 0.0
    switches, before = 0, {}
    for row in rows_of(log):
        hard = np.float32(hardness(row["messages"][1]["content"]))
        quality = 1.0 - np.float32([0.2, 0.9]) * hard
        weak = np.clip(quality[0] - quality[1], 0, 1) < threshold
        chosen = WEAK if weak else STRONG
        total += usd(row, chosen)
        session = row["session_id"]
        if before.get(session, chosen) is not chosen:
            switches += 1
            cache = list_cache_price(chosen.name, chosen.price)
            assert chosen.price is not None
            per_token = max(chosen.price.input_picousd, cache.write_picousd) - cache.read_picousd
            lost += row["cached_tokens"] * per_token / 1e12
        before[session] = chosen
    ways = {w.name: w for w in found.ways}
    assert found.caching.switches == switches > 0
    assert found.caching.switching_usd == pytest.approx(lost)
    assert ways[found.at_floor.route].cost_usd == pytest.approx(total + lost)


def test_the_floor_is_kept_by_as_many_cheap_calls_as_can_be(log: Path, found: Review) -> None:
    hard = np.asarray([hardness(r["messages"][1]["content"]) for r in rows_of(log)])
    gap, strong = 0.7 * hard, 1.0 - 0.2 * hard
    loss = np.cumsum(np.sort(gap)) / strong.sum()
    best = float((loss <= 0.05).mean())
    assert found.at_floor.kept >= 0.95 - 1e-6
    assert best - 0.011 <= found.at_floor.cheap_share.value <= best + 1e-9  # steps of 1%


def test_a_lower_floor_never_serves_fewer_calls_cheaper(found: Review) -> None:
    rows = sorted(found.floors, key=lambda r: -r.floor)
    shares = [r.cheap_share.value for r in rows]
    assert shares == sorted(shares)
    for row in rows:
        assert row.kept >= row.floor - 1e-6
        assert row.cheap_share.low <= row.cheap_share.value <= row.cheap_share.high


def test_kinds_are_told_apart_by_their_words(found: Review) -> None:
    assert len(found.clusters) >= 3
    named = set(", ".join(c.name for c in found.clusters).split(", "))
    for words in KINDS.values():
        assert len(named & set(words.split())) >= 2
    assert sum(c.calls for c in found.clusters) == found.calls
    assert sum(c.paid_usd for c in found.clusters) == pytest.approx(found.ways[0].cost_usd)


def test_names_hold_no_word_that_few_prompts_hold(tmp_path: Path) -> None:
    rows = list(made_calls(60))
    rows[0]["messages"][1]["content"] = "Zebulon Quizzlewort " * 30 + "hard 0.5"
    found = review([write_log(tmp_path / "x", rows)], mapper(), Asked(replicates=20), now=NOW)
    assert "quizzlewort" not in " ".join(c.name for c in found.clusters).lower()


def test_no_prompt_is_in_a_report_that_was_not_asked_for_examples(log: Path, found: Review) -> None:
    shown = review([log], mapper(), Asked(replicates=20, examples=True), now=NOW)
    texts = [r["messages"][1]["content"] for r in rows_of(log)]
    for page in (found.to_text(), found.to_json(), to_html(found)):
        assert not any(text in page for text in texts)
    assert any(text in shown.to_text() for text in texts)
    assert any(text in to_html(shown) for text in texts)


def test_what_comes_from_logs_is_escaped_and_the_page_stands_alone(tmp_path: Path) -> None:
    rows = list(made_calls(40))
    for row in rows:
        row["model"] = "<script>alert(1)</script>"
        row["cost_usd"] = 0.01
        row["messages"][1]["content"] = "<b>bold</b> " + row["messages"][1]["content"]
    asked = Asked(replicates=20, examples=True)
    page = to_html(review([write_log(tmp_path / "x", rows)], mapper(), asked, now=NOW))
    assert "<script" not in page
    assert "<b>bold" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert not any(mark in page for mark in ("http:", "https:", "src=", "@import", "url("))


def test_repeats_are_counted_and_priced(tmp_path: Path) -> None:
    rows = list(made_calls(30))
    again = [{**row, "id": f"again-{row['id']}"} for row in rows[:7]]
    near = {**rows[8], "id": "near", "messages": json.loads(json.dumps(rows[8]["messages"]))}
    near["messages"][1]["content"] = "Please, " + near["messages"][1]["content"].upper().replace(
        "HARD", "hard"
    )
    log = write_log(tmp_path / "x", [*rows, *again, near])
    found = review([log], mapper(), Asked(replicates=20), now=NOW).caching
    assert (found.exact_repeats, found.near_repeats) == (7, 8)
    assert found.exact_usd == pytest.approx(sum(usd(row, STRONG) for row in rows[:7]))


def test_an_id_given_twice_is_one_call_and_a_conflict_is_named(tmp_path: Path) -> None:
    rows = list(made_calls(20))
    other = json.loads(json.dumps(rows[3]))
    other["messages"][1]["content"] = "something else hard 0.1"
    log = write_log(tmp_path / "x", [*rows, rows[2], other])
    found = review([log], mapper(), Asked(replicates=20), now=NOW)
    assert found.calls == len(rows)
    n = len(rows)
    counts = {f.reason: (f.count, f.first) for f in found.findings}
    assert counts == {"repeated": (1, f"x:{n + 1}"), "conflicting": (1, f"x:{n + 2}")}


def test_a_wrong_clock_and_unknown_prices_are_named(tmp_path: Path) -> None:
    rows = list(made_calls(40))
    rows[5]["timestamp"] = NOW + 1e7
    rows[6]["timestamp"] = 1000
    rows[7]["model"] = "home-made"
    rows[8]["model"], rows[8]["cost_usd"] = "home-made", 0.5
    found = review([write_log(tmp_path / "x", rows)], mapper(), Asked(replicates=20), now=NOW)
    assert {f.reason: (f.count, f.first) for f in found.findings} == {"wrong_clock": (2, "x:6")}
    assert found.unpriced == ("home-made",)
    assert (found.calls, found.priced) == (len(rows), len(rows) - 1)
    assert any("home-made" in said for said in found.unknown)


def test_a_log_without_tokens_has_shares_and_estimates_but_says_so(tmp_path: Path) -> None:
    log = write_log(tmp_path / "x", made_calls(60, tokens=False))
    found = review([log], mapper(), Asked(replicates=20), now=NOW)
    assert found.priced == 0
    assert np.isnan(found.at_floor.saving.value)
    assert found.at_floor.cheap_share.value > 0
    assert "unknown" in found.to_text()
    assert json.loads(found.to_json())["at_floor"]["saving"]["value"] is None
    to_html(found)


def test_few_conversations_get_no_interval(tmp_path: Path) -> None:
    found = review(
        [write_log(tmp_path / "x", made_calls(5))], mapper(), Asked(replicates=20), now=NOW
    )
    assert np.isnan(found.at_floor.cheap_share.low)
    assert "too few conversations for intervals" in found.notes


def test_a_model_that_cannot_hold_a_request_does_not_get_it(tmp_path: Path) -> None:
    rows = list(made_calls(50))
    for row in rows[:10]:
        row["messages"][1]["content"] = "word " * 3000 + "hard 0.0"
    small = replace(WEAK, context_tokens=1000)
    log = write_log(tmp_path / "x", rows)
    found = review([log], mapper((STRONG, small)), Asked(floor=0.5, replicates=20), now=NOW)
    assert found.at_floor.cheap_share.value <= 1 - 10 / len(rows) + 1e-9
    assert "cannot serve 10 calls" in found.to_text()


def test_more_than_two_candidates_take_the_price_knob(log: Path) -> None:
    middle = Candidate(name="middle", price=Price.per_million(1, 4))
    pool = (STRONG, middle, WEAK)
    found = review([log], mapper(pool), Asked(replicates=50), now=NOW)
    assert found.at_floor.route.startswith("router-oracle-")
    assert found.at_floor.kept >= 0.95
    assert found.at_floor.saving.value > 0
    names = [w.name for w in found.ways]
    assert {"always gpt-4o", "always middle", "always gpt-4o-mini"} < set(names)


def test_off_policy_estimates_find_the_value_of_routing(tmp_path: Path) -> None:
    log = write_log(tmp_path / "x", made_calls(1500, scores=True))
    found = review([log], mapper(), Asked(replicates=200), now=NOW)
    o = found.off_policy
    assert o is not None
    hard = np.asarray([hardness(r["messages"][1]["content"]) for r in rows_of(log)])
    threshold = float(found.at_floor.route.rpartition("-")[2])
    truth = float(np.where(0.7 * hard < threshold, 1 - 0.9 * hard, 1 - 0.2 * hard).mean())
    for estimate in (o.ips, o.snips, o.dr):
        assert estimate.low <= truth <= estimate.high
    assert o.dr.high - o.dr.low < o.ips.high - o.ips.low
    assert o.largest_weight == pytest.approx(1 / 0.3)


def test_files_of_which_nothing_can_be_read_and_empty_reviews_are_errors(tmp_path: Path) -> None:
    good = write_log(tmp_path / "good", made_calls(3))
    bad = tmp_path / "bad.jsonl"
    bad.write_text('\n{"a": 1}\n{"b": 2}\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"bad\.jsonl:2"):
        review([good, bad], mapper(), Asked(), now=NOW)
    empty = write_log(tmp_path / "none", [{"messages": []}])
    with pytest.raises(DataError, match="no call could be used: 1 x"):
        review([empty], mapper(), Asked(), now=NOW)
    with pytest.raises(InputError, match="floor"):
        review([good], mapper(), Asked(floor=1.5), now=NOW)
    with pytest.raises(InputError, match="price"):
        review([good], mapper((STRONG, Candidate(name="home"))), Asked(), now=NOW)


def test_the_oracle_says_what_its_prompt_says() -> None:
    [row] = Oracle().predict([Query.of("hard 0.5")], [STRONG, WEAK]).quality
    assert row.tolist() == pytest.approx([0.9, 0.55])
