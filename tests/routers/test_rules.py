from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from turnout.errors import SettingsError, TurnoutError, UnknownNameError
from turnout.routers.rules import RulesRouter, open_rules
from turnout.types import Candidate, Query

THREE = tuple(Candidate(name=name) for name in ("large", "medium", "small"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def rules(folder: Path, text: str) -> RulesRouter:
    path = folder / "rules.yaml"
    path.write_text(text, encoding="utf-8")
    return open_rules(path)


def one(folder: Path, when: str) -> RulesRouter:
    """Win rate 1 under a condition, else 0."""
    return rules(folder, f"rules:\n - when: {{{when}}}\n   win_rate: 1\n - win_rate: 0\n")


def win_rate(router: RulesRouter, query: Query | str, m: int = 2) -> float:
    asked = Query.of(query) if isinstance(query, str) else query
    found = router.predict([asked], THREE[:m])
    return float(found.win_rate("large", THREE[m - 1].name)[0])


CODE = "def total(values):\n    return sum(x for x in values if x == 1);"
ENGLISH = "What is the capital of the country where you were born?"


@pytest.mark.parametrize(
    ("when", "yes", "no"),
    [
        ("min_characters: 5", "12345", "1234"),
        ("max_characters: 4", "1234", "12345"),
        ("min_tokens: 2", "12345", "1234"),
        ("max_tokens: 1", "1234", "12345"),
        ("min_turns: 2", replace(Query.of("x"), turns=2), "x"),
        ("max_turns: 1", "x", replace(Query.of("x"), turns=2)),
        ("code: true", CODE, ENGLISH),
        ("code: false", ENGLISH, CODE),
        ("maths: true", r"Solve $x^2 + 3 = \frac{1}{2}$ for x", ENGLISH),
        ("language: [en, fr]", ENGLISH, "ما هي عاصمة البلد الذي ولدت فيه وكم عدد سكانها؟"),
        ("keywords: [prove, 'step by step']", "Go STEP by step", "an improvement"),
        ("keywords: c++", "in C++ please", "in c"),
        ("pattern: '^Q[0-9]+'", "Q12: why", "why Q12"),
        ("needs: vision", replace(Query.of("x"), needs=frozenset({"vision"})), "x"),
        ("min_characters: 3, max_characters: 5", "1234", "123456"),
    ],
)
def test_conditions_hold_where_they_should(
    folder: Path, when: str, yes: Query | str, no: Query | str
) -> None:
    router = one(folder, when)
    assert win_rate(router, yes) == 1.0
    assert win_rate(router, no) == 0.0


def test_the_first_rule_that_matches_decides(folder: Path) -> None:
    router = rules(
        folder,
        "rules: [{when: {keywords: a}, win_rate: 0.25}, {when: {keywords: b}, win_rate: 0.5}, "
        "{win_rate: 0.75}]",
    )
    assert [win_rate(router, t) for t in ("a b", "b", "c")] == [0.25, 0.5, 0.75]


@pytest.mark.parametrize(
    ("use", "best"), [("strong", "large"), ("medium", "medium"), ("weak", None)]
)
def test_a_rule_may_name_who_serves(folder: Path, use: str, best: str | None) -> None:
    router = rules(folder, f"rules: [{{use: {use}}}]")
    router.check(THREE)
    quality = router.predict([Query.of("x")], THREE).quality[0]
    if best is None:  # all alike, so that the cheapest serves
        assert quality.tolist() == [1, 1, 1]
    else:
        assert THREE[int(quality.argmax())].name == best


def test_a_rule_for_a_candidate_that_is_out_leaves_the_strongest(folder: Path) -> None:
    router = rules(folder, "rules: [{use: small}]")
    assert router.predict([Query.of("x")], THREE[:2]).quality[0].tolist() == [1, 0]


def test_a_rule_for_a_candidate_that_does_not_exist_is_refused(folder: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"rule 'mine'.*'tiny'.*large, medium, small"):
        rules(folder, "rules: [{name: mine, use: tiny}]").check(THREE)


def test_the_win_rate_is_of_the_strongest_over_the_weakest(folder: Path) -> None:
    router = rules(folder, "rules: [{win_rate: 0.5}]")
    assert router.predict([Query.of("x")], THREE).quality[0].tolist() == [1.0, 0.75, 0.5]
    assert win_rate(router, "x", m=3) == 0.5


@pytest.mark.parametrize(("low", "high"), [(1.0, 5.0), (5.0, 1.0)])
def test_a_ramp_rises_or_falls_between_its_ends(folder: Path, low: float, high: float) -> None:
    ramp = f"ramp: {{feature: log_chars, low: {low}, high: {high}}}"
    router = rules(folder, f"rules: [{{{ramp}}}]")
    rates = [win_rate(router, "x" * n) for n in (0, 10, 30, 100, 1_000)]
    assert rates == sorted(rates, reverse=low > high)
    assert {rates[0], rates[-1]} == {0.0, 1.0}


def test_rules_that_ship_can_be_read_and_rank_plainly() -> None:
    router = open_rules()
    assert win_rate(router, "hi") < win_rate(router, "Prove this theorem.")
    assert router.fingerprint == open_rules().fingerprint


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "give a list of rules under `rules:`"),
        ("- a\n- b", "give a list of rules"),
        ("rules: {}", "give a list of rules"),
        ("rules: []", "at least one rule"),
        ("rules: [{win_rate: 1}]\nextra: 1", "unknown key; known: rules"),
        ("rules: [3]", r"rules\[0\]: 3.*give a mapping"),
        ("rules: [{when: {code: true}, win_rate: 1}]", "let the last rule match everything"),
        ("rules: [{}]", "exactly one of"),
        ("rules: [{win_rate: 1, use: strong}]", "exactly one of"),
        ("rules: [{win_rat: 1}]", "Did you mean 'win_rate'"),
        ("rules: [{win_rate: 2}]", r"rules\[0\].win_rate: 2 .*from 0 to 1"),
        ("rules: [{win_rate: true}]", "from 0 to 1"),
        ("rules: [{win_rate: .nan}]", "from 0 to 1"),
        ("rules: [{win_rate: high}]", "from 0 to 1"),
        ("rules: [{when: 3, win_rate: 1}]", "mapping of conditions"),
        ("rules: [{when: {keyword: x}, win_rate: 1}]", "Did you mean 'keywords'"),
        ("rules: [{when: {keywords: []}, win_rate: 1}]", "a text or a list of texts"),
        ("rules: [{when: {code: 1}, win_rate: 1}]", "give true or false"),
        ("rules: [{when: {min_turns: -1}, win_rate: 1}]", "from 0"),
        ("rules: [{when: {pattern: '('}, win_rate: 1}]", "valid regular expression"),
        ("rules: [{when: {needs: sight}, win_rate: 1}]", "no capability.*'sight'.*vision"),
        ("rules: [{ramp: 1}]", "give `feature`, `low` and `high`"),
        ("rules: [{ramp: {feature: size, low: 0, high: 1}}]", "no feature.*'size'"),
        ("rules: [{ramp: {feature: code, low: 0}}]", "ramp.high: None"),
        ("rules: [{ramp: {feature: code, low: 1, high: 1}}]", "that differ"),
        ("rules: [unclosed", "write valid YAML"),
        ("rules: !!python/object/apply:os.getcwd []", "write valid YAML"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused(folder: Path, text: str, message: str) -> None:
    with pytest.raises(TurnoutError, match=message) as caught:
        rules(folder, text)
    assert isinstance(caught.value, SettingsError | UnknownNameError)
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_refused(folder: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        open_rules(folder / "nowhere.yaml")
    (folder / "binary.yaml").write_bytes(b"\xff\xfe\x00rules")
    with pytest.raises(SettingsError):
        open_rules(folder / "binary.yaml")
