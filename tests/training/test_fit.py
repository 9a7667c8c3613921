from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from planted import CANDIDATES, SUCCESS, planted_prompts, planted_table
from turnout.data.groups import group_folds
from turnout.data.table import OutcomeTable, build_table
from turnout.errors import DataError, UnknownNameError
from turnout.routers.pairs import fit_pair_rule
from turnout.training.fit import Fitted, _groups, check_table, data_fingerprint, fit_router
from turnout.types import Candidate, Outcome, Query


def refit(name: str, table: OutcomeTable, seed: int = 0) -> Fitted:
    return fit_router(name, table, encoder="hashing-64", seed=seed)


NAMES = ("linear", "knn", "mf", "clusters", "blend")


@pytest.mark.parametrize("name", NAMES)
def test_a_signal_shows_out_of_fold(name: str, fitted: dict[str, Fitted]) -> None:
    measured = fitted[name].manifest["measured"]
    assert measured["brier_skill"] > 0.05
    assert measured["brier_out_of_fold"] < measured["brier_of_means"]


@pytest.mark.parametrize("name", NAMES)
def test_noise_shows_no_skill_out_of_fold(name: str) -> None:
    assert refit(name, planted_table(48, noise=True)).manifest["measured"]["brier_skill"] <= 0.05


def test_duplicates_do_not_make_noise_look_like_skill() -> None:
    """Each prompt stands three times with the same coin: a leak would be learned by heart."""
    table = planted_table(24, noise=True)
    outcomes = [
        Outcome(prompt=text, model=model, score=float(table.score[i, j]), group=f"{i}/{k}")
        for i, prompt in enumerate(table.prompts)
        for k, text in enumerate((prompt, prompt.upper() + "!", f"  {prompt}  ?"))
        for j, model in enumerate(table.models)
    ]
    made = refit("knn", build_table(outcomes))
    assert made.manifest["data"]["groups"] <= 24
    assert made.manifest["measured"]["brier_skill"] <= 0.05


def test_near_duplicates_of_distinct_groups_stay_in_one_fold() -> None:
    table = planted_table(40)
    prompts = (*table.prompts[:20], *(p.upper() for p in table.prompts[:20]))
    groups = _groups(replace(table, prompts=prompts, groups=np.arange(40)))
    assert (groups[:20] == groups[20:]).all()
    fold = group_folds(groups, 5)
    assert (fold[:20] == fold[20:]).all()


def test_groups_that_the_caller_knows_stay_whole() -> None:
    table = replace(planted_table(40), groups=np.arange(40) // 10)
    groups = _groups(table)
    assert all(len(set(groups[i * 10 : i * 10 + 10])) == 1 for i in range(4))


@pytest.mark.parametrize("parts", [2, 3])
def test_few_groups_are_enough(parts: int) -> None:
    table = replace(planted_table(24), groups=np.arange(24) % parts)
    made = refit("linear", table)
    assert made.manifest["data"]["groups"] <= parts


def test_the_same_seed_gives_the_same_artifact(fitted: dict[str, Fitted]) -> None:
    again = refit("blend", planted_table(60))
    first = fitted["blend"]
    assert again.arrays.keys() == first.arrays.keys()
    for name, array in first.arrays.items():
        np.testing.assert_array_equal(again.arrays[name], array)
    assert again.manifest == first.manifest
    assert again.card == first.card


def test_the_fingerprint_of_data_moves_with_any_of_it() -> None:
    table = planted_table(20)
    changed = table.score.copy()
    changed[3, 1] = 1 - changed[3, 1]
    found = {
        data_fingerprint(t)
        for t in (
            table,
            replace(table, score=changed),
            replace(table, prompts=(*table.prompts[:-1], "other \ud800")),
            replace(table, models=("large", "medium", "tiny")),
        )
    }
    assert len(found) == 4
    assert data_fingerprint(planted_table(20)) in found


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (planted_table(30, models=["large"]), "models.*at least two models"),
        (planted_table(19), "prompts: 19 .*at least 20 labelled prompts"),
        (
            replace(planted_table(30), score=np.ones((30, 3), dtype=np.float32)),
            "every outcome is the same",
        ),
        (
            replace(
                planted_table(30),
                score=np.where(np.arange(3) == 1, np.nan, planted_table(30).score),
            ),
            "models: 'medium'.*no score on any prompt: leave it out",
        ),
    ],
    ids=["one model", "few prompts", "all the same", "a model without scores"],
)
def test_outcomes_that_teach_nothing_are_refused(table: OutcomeTable, message: str) -> None:
    with pytest.raises(DataError, match=message):
        refit("linear", table)


def test_only_what_can_be_trained_is() -> None:
    with pytest.raises(UnknownNameError, match=r"no trainable router named 'rules'.*linear"):
        refit("rules", planted_table(30))
    with pytest.raises(UnknownNameError, match="Did you mean 'blend'"):
        refit("blind", planted_table(30))
    with pytest.raises(UnknownNameError, match="no encoder named 'word2vec'"):
        fit_router("linear", planted_table(30), encoder="word2vec")


def test_notes_say_what_the_data_cannot_carry() -> None:
    table = planted_table(30)
    score = table.score.copy()
    score[:, 0] = 1.0
    notes = check_table(replace(table, score=score))
    assert notes[0] == "large scored 1 on every prompt it was given"
    assert notes[1].startswith("30 prompts: below 300 labels")
    assert check_table(planted_table(300)) == []


def test_notes_of_the_data_stand_in_the_card() -> None:
    made = refit("knn", replace(planted_table(24), notes=("4 rows were merged",)))
    assert made.manifest["notes"][0] == "4 rows were merged"
    assert "- 4 rows were merged" in made.card
    assert "`turnout train knn`" in made.card


def test_holes_in_the_table_are_no_hindrance() -> None:
    table = planted_table(60)
    score = table.score.copy()
    score[np.random.default_rng(0).random(score.shape) < 0.3] = np.nan
    made = refit("linear", replace(table, score=score))
    assert made.manifest["data"]["outcomes"] == int(np.isfinite(score).sum())
    quality = made.open().predict([Query.of("anything")], CANDIDATES).quality
    assert np.isfinite(quality).all()


def test_prompts_of_odd_texts_are_fitted() -> None:
    texts = ["lone \ud83d", "\0", "?!", "é", "👩‍👩‍👧‍👦", "x" * 50_000]
    outcomes = [
        Outcome(prompt=f"{texts[i % 6]}{' ' * (i // 6)}{i}", model=m, score=float((i + j) % 2))
        for i in range(30)
        for j, m in enumerate(SUCCESS)
    ]
    made = refit("blend", build_table(outcomes))
    assert np.isfinite(made.open().predict([Query.of("hi")], CANDIDATES).quality).all()


def test_a_win_rate_is_the_truth_in_aggregate_on_new_prompts() -> None:
    router = refit("linear", planted_table(120)).open()
    assert router.pair.kind == "logistic"
    assert router.pair.a > 0 > router.pair.b
    queries = [Query.of(p) for p in planted_prompts(400, seed=5)]
    for strong, weak in (("large", "medium"), ("large", "small"), ("medium", "small")):
        pair = [Candidate(name=strong), Candidate(name=weak)]
        rate = router.predict(queries, pair).win_rate(strong, weak)
        # Models fail independently here, so the strong one alone is right on s (1 - w).
        truth = np.mean([s * (1 - w) for s, w in zip(SUCCESS[strong], SUCCESS[weak], strict=True)])
        assert float(rate.mean()) == pytest.approx(truth, abs=0.1)


def test_a_pair_rule_recovers_a_logistic_law() -> None:
    rng = np.random.default_rng(0)
    predicted = rng.random((4_000, 2))
    chance = 1 / (1 + np.exp(-(4 * (predicted[:, 0] - predicted[:, 1]) - 1)))
    wins = rng.random(4_000) < chance
    score = np.stack([np.where(wins, 1.0, 0.5), np.where(wins, 0.0, 0.5)], axis=1)
    rule = fit_pair_rule(predicted, score)
    assert rule.kind == "logistic"
    assert rule.a == pytest.approx(4, abs=0.5)
    assert rule.b == pytest.approx(-4, abs=0.5)
    assert rule.c == pytest.approx(-1, abs=0.4)


def test_a_pair_rule_may_lean_to_where_the_weak_model_fails() -> None:
    rng = np.random.default_rng(0)
    predicted = rng.random((4_000, 2))
    wins = rng.random(4_000) < 1 / (1 + np.exp(-(2 * predicted[:, 0] - 4 * predicted[:, 1])))
    score = np.stack([np.where(wins, 1.0, 0.5), np.where(wins, 0.0, 0.5)], axis=1)
    rule = fit_pair_rule(predicted, score, strong=0.5)
    assert rule.a == pytest.approx(2, abs=0.3)
    assert rule.b == pytest.approx(-4, abs=0.6)
    assert rule.a == pytest.approx(-0.5 * rule.b)


@pytest.mark.parametrize(
    ("predicted", "score"),
    [
        (np.full((20, 2), 0.5), np.tile([1.0, 0.0], (20, 1))),
        (np.full((200, 2), 0.5), np.tile([1.0, 0.0], (200, 1))),
        (np.tile([1.0, 0.0], (200, 1)), np.tile([1.0, 0.0], (200, 1))),
        (np.full((200, 2), 0.5), np.ones((200, 2))),
        (np.tile([[0.2, 0.8]], (200, 1)), np.tile([[np.nan, 1.0], [1.0, np.nan]], (100, 1))),
    ],
    ids=["few rows", "always a win", "always a win, as predicted", "never a win", "never both"],
)
def test_where_the_data_cannot_carry_it_the_plain_difference_is_used(
    predicted: np.ndarray, score: np.ndarray
) -> None:
    assert fit_pair_rule(predicted, score).kind == "difference"


def test_progress_is_told() -> None:
    told: list[str] = []
    fit_router("clusters", planted_table(20), encoder="hashing-16", progress=told.append)
    assert told[0] == "encoding 20 prompts"
    assert any("fold 1 of 5" in text for text in told)
