"""Heuristics that people write and read: length, language, code, maths, keywords, turns.

A file of rules is read top to bottom; the first that matches sets the win rate of the strongest
candidate over the weakest, or names the candidate to use. See `docs/guides/rules.md`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from turnout.errors import SettingsError, UnknownNameError, suggest
from turnout.features import FEATURES, feature_vector, language
from turnout.types import CAPABILITIES, Candidate, Floats, PairRule, Prediction, Query

SHIPPED = Path(__file__).parent / "shipped" / "rules.yaml"

CODE_FROM = 1.0
"""`code: true` from this value of the feature `code` (about two code-like tokens)."""
MATHS_FROM = 0.01
"""`maths: true` from this share of mathematical symbols, or any TeX."""


class _Seen:
    """A query with what conditions look at, computed once and only if asked for."""

    def __init__(self, query: Query) -> None:
        self.query = query
        self.lower = query.text.lower()

    @cached_property
    def features(self) -> dict[str, float]:
        return dict(zip(FEATURES, feature_vector(self.query.text), strict=True))

    @cached_property
    def language(self) -> str:
        return language(self.query.text)

    @property
    def code(self) -> bool:
        return self.features["code"] >= CODE_FROM

    @property
    def maths(self) -> bool:
        return self.features["math_share"] >= MATHS_FROM or self.features["latex"] > 0


Test = Callable[[_Seen], bool]
Score = Callable[[_Seen], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One line of the file: tests that must all hold, and what then."""

    name: str
    tests: tuple[Test, ...]
    win_rate: Score | None
    use: str | None


@dataclass(frozen=True)
class RulesRouter:
    """Predicts by the first rule that matches.

    The strongest candidate has quality 1, the weakest 1 - win rate, and those between lie evenly
    between, so that the win rate of the strongest over the weakest is the rule's.
    """

    rules: tuple[Rule, ...]
    fingerprint: str | None = None
    name: str = field(default="rules")

    def check(self, candidates: Sequence[Candidate]) -> None:
        """Every candidate that a rule uses must exist.

        Raises:
            UnknownNameError: one does not.
        """
        names = [c.name for c in candidates]
        for rule in self.rules:
            if rule.use is not None and rule.use not in (*names, "strong", "weak"):
                raise UnknownNameError(f"candidate (rule {rule.name!r})", rule.use, names)

    def predict(self, queries: Sequence[Query], candidates: Sequence[Candidate]) -> Prediction:
        """(n, m) quality by the first matching rule."""
        m = len(candidates)
        strength = np.linspace(1.0, 0.0, m, dtype=np.float32) if m > 1 else np.ones(1, np.float32)
        quality = np.empty((len(queries), m), dtype=np.float32)
        for i, query in enumerate(queries):
            quality[i] = self._row(_Seen(query), candidates, strength)
        return Prediction(
            candidates=tuple(c.name for c in candidates),
            quality=quality,
            pair=PairRule("difference"),
            basis=("rules",) * m,
        )

    def _row(self, seen: _Seen, candidates: Sequence[Candidate], strength: Floats) -> Floats:
        rule = next(r for r in self.rules if all(test(seen) for test in r.tests))
        if rule.win_rate is not None:
            return np.asarray(1.0 - rule.win_rate(seen) * (1.0 - strength), dtype=np.float32)
        if rule.use == "strong":
            return strength
        if rule.use == "weak":
            return np.ones_like(strength)
        chosen = np.asarray([c.name == rule.use for c in candidates], dtype=np.float32)
        return chosen if chosen.any() else strength  # put out by constraints: the strongest left


def open_rules(file: Path | str = SHIPPED) -> RulesRouter:
    """Read a file of rules.

    Raises:
        SettingsError: not readable, not YAML, or a rule with an unknown or unusable key.
    """
    path = Path(file)
    try:
        data = path.read_bytes()
        parsed = yaml.safe_load(data)
    except OSError as error:
        raise SettingsError("file", str(path), f"cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        why = " ".join(str(error).split())
        raise SettingsError("file", str(path), f"write valid YAML: {why}") from error
    if not isinstance(parsed, dict) or not isinstance(parsed.get("rules"), list):
        raise SettingsError("rules", type(parsed).__name__, "give a list of rules under `rules:`")
    _only(parsed, ("rules",), "file")
    if not parsed["rules"]:
        raise SettingsError("rules", [], "give at least one rule")
    rules = tuple(_rule(i, entry) for i, entry in enumerate(parsed["rules"]))
    if rules[-1].tests:
        raise SettingsError(
            "rules", rules[-1].name, "let the last rule match everything: leave out its `when`"
        )
    return RulesRouter(rules, fingerprint=hashlib.sha256(data).hexdigest()[:16])


def _rule(i: int, entry: Any) -> Rule:
    where = f"rules[{i}]"
    if not isinstance(entry, dict):
        raise SettingsError(
            where, entry, "give a mapping with `when` and `win_rate`, `ramp` or `use`"
        )
    _only(entry, ("name", "when", "win_rate", "ramp", "use"), where)
    actions = [key for key in ("win_rate", "ramp", "use") if key in entry]
    if len(actions) != 1:
        raise SettingsError(where, actions, "give exactly one of `win_rate`, `ramp`, `use`")
    when = entry.get("when") or {}
    if not isinstance(when, dict):
        raise SettingsError(f"{where}.when", when, "give a mapping of conditions")
    _only(when, tuple(_CONDITIONS), f"{where}.when")
    return Rule(
        name=str(entry.get("name", where)),
        tests=tuple(_CONDITIONS[key](value, f"{where}.when.{key}") for key, value in when.items()),
        win_rate=None if "use" in entry else _score(entry, where),
        use=str(entry["use"]) if "use" in entry else None,
    )


def _score(entry: Mapping[str, Any], where: str) -> Score:
    if "win_rate" in entry:
        rate = _number(entry["win_rate"], f"{where}.win_rate", low=0.0, high=1.0)
        return lambda _: rate
    ramp = entry["ramp"]
    if not isinstance(ramp, dict):
        raise SettingsError(f"{where}.ramp", ramp, "give `feature`, `low` and `high`")
    _only(ramp, ("feature", "low", "high"), f"{where}.ramp")
    name = ramp.get("feature")
    if name not in FEATURES:
        raise UnknownNameError(f"feature ({where}.ramp.feature)", str(name), FEATURES)
    low = _number(ramp.get("low"), f"{where}.ramp.low")
    high = _number(ramp.get("high"), f"{where}.ramp.high")
    if low == high:
        raise SettingsError(f"{where}.ramp", ramp, "give `low` and `high` that differ")
    return lambda seen: min(1.0, max(0.0, (seen.features[name] - low) / (high - low)))


def _only(entry: Mapping[Any, Any], known: Sequence[str], where: str) -> None:
    for key in entry:
        if key not in known:
            raise SettingsError(
                where, key, f"unknown key; known: {', '.join(known)}.{suggest(str(key), known)}"
            )


def _number(
    value: Any, where: str, *, low: float = float("-inf"), high: float = float("inf")
) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise SettingsError(where, value, f"give a number from {low:g} to {high:g}")
    return float(value)


def _at_least(read: Callable[[_Seen], float]) -> Callable[[Any, str], Test]:
    def make(value: Any, where: str) -> Test:
        bound = _number(value, where, low=0.0)
        return lambda seen: read(seen) >= bound

    return make


def _at_most(read: Callable[[_Seen], float]) -> Callable[[Any, str], Test]:
    def make(value: Any, where: str) -> Test:
        bound = _number(value, where, low=0.0)
        return lambda seen: read(seen) <= bound

    return make


def _flag(read: Callable[[_Seen], bool]) -> Callable[[Any, str], Test]:
    def make(value: Any, where: str) -> Test:
        if not isinstance(value, bool):
            raise SettingsError(where, value, "give true or false")
        return lambda seen: read(seen) is value

    return make


def _words(value: Any, where: str) -> list[str]:
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, list) or not words or not all(isinstance(w, str) and w for w in words):
        raise SettingsError(where, value, "give a text or a list of texts")
    return words


def _keywords(value: Any, where: str) -> Test:
    joined = "|".join(re.escape(word.lower()) for word in _words(value, where))
    pattern = re.compile(rf"(?<!\w)(?:{joined})(?!\w)")
    return lambda seen: pattern.search(seen.lower) is not None


def _pattern(value: Any, where: str) -> Test:
    try:
        pattern = re.compile(str(value))
    except re.error as error:
        raise SettingsError(where, value, f"write a valid regular expression: {error}") from error
    return lambda seen: pattern.search(seen.query.text) is not None


def _language(value: Any, where: str) -> Test:
    wanted = frozenset(_words(value, where))
    return lambda seen: seen.language in wanted


def _needs(value: Any, where: str) -> Test:
    wanted = _words(value, where)
    for need in wanted:
        if need not in CAPABILITIES:
            raise UnknownNameError(f"capability ({where})", need, CAPABILITIES)
    return lambda seen: bool(seen.query.needs.intersection(wanted))


_CONDITIONS: dict[str, Callable[[Any, str], Test]] = {
    "min_characters": _at_least(lambda seen: len(seen.query.text)),
    "max_characters": _at_most(lambda seen: len(seen.query.text)),
    "min_tokens": _at_least(lambda seen: seen.query.input_tokens),
    "max_tokens": _at_most(lambda seen: seen.query.input_tokens),
    "min_turns": _at_least(lambda seen: seen.query.turns),
    "max_turns": _at_most(lambda seen: seen.query.turns),
    "code": _flag(lambda seen: seen.code),
    "maths": _flag(lambda seen: seen.maths),
    "language": _language,
    "keywords": _keywords,
    "pattern": _pattern,
    "needs": _needs,
}
