"""A file of routes: a name, example utterances, and what follows where a prompt is like them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from turnout.errors import SettingsError, UnknownNameError, suggest
from turnout.routers.matching import MATCHERS

NONE = "none"
"""The name of no route: what a prompt that is like none of them gets."""

_ACTIONS = ("win_rate", "use", "scores")
_ROUTE = ("name", "utterances", "threshold", *_ACTIONS)
_FILE = ("routes", "none", "matching", "encoder")


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """What a match means; exactly one of the three is given."""

    win_rate: float | None = None
    """Of the strongest over the weakest candidate."""
    use: str | None = None
    """`strong`, `weak`, or a candidate's name."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """Quality of each candidate, in [0, 1]."""

    def to_dict(self) -> dict[str, Any]:
        """As the file has it."""
        if self.win_rate is not None:
            return {"win_rate": self.win_rate}
        return {"use": self.use} if self.use is not None else {"scores": dict(self.scores)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One route of the file."""

    name: str
    utterances: tuple[str, ...]
    action: Action
    threshold: float = 0.0
    """Least match score in [0, 1]; below it the prompt is like none of the routes."""


@dataclass(frozen=True, kw_only=True)
class RouteFile:
    """All routes of a file, and what holds where none matches."""

    routes: tuple[Route, ...]
    none: Action
    matching: str = "logistic"
    encoder: str | None = None
    fingerprint: str | None = None

    def to_yaml(self) -> str:
        """The file's text, which `parse_routes` reads back."""
        found: dict[str, Any] = {"matching": self.matching}
        if self.encoder:
            found["encoder"] = self.encoder
        found["routes"] = [
            {
                "name": r.name,
                **({"threshold": r.threshold} if r.threshold else {}),
                **r.action.to_dict(),
                "utterances": list(r.utterances),
            }
            for r in self.routes
        ]
        found["none"] = self.none.to_dict()
        return str(yaml.safe_dump(found, sort_keys=False, allow_unicode=True, width=100))


def read_routes(file: Path | str) -> RouteFile:
    """Read a file of routes.

    Raises:
        SettingsError: not readable, not YAML, or a key that is unknown or unusable.
    """
    path = Path(file)
    try:
        data = path.read_bytes()
        parsed = yaml.safe_load(data)
    except OSError as error:
        raise SettingsError("file", str(path), f"cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        why = " ".join(str(error).split())
        raise SettingsError("file", str(path), f"write valid YAML in UTF-8: {why}") from error
    return parse_routes(parsed, fingerprint=hashlib.sha256(data).hexdigest()[:16])


def parse_routes(parsed: Any, *, fingerprint: str | None = None) -> RouteFile:
    """Routes from what a YAML file holds.

    Raises:
        SettingsError: a key that is missing, unknown or unusable.
    """
    if not isinstance(parsed, dict) or not isinstance(parsed.get("routes"), list):
        raise SettingsError(
            "routes", type(parsed).__name__, "give a list of routes under `routes:`"
        )
    _only(parsed, _FILE, "file")
    if len(parsed["routes"]) < 1:
        raise SettingsError("routes", [], "give at least one route")
    if "none" not in parsed:
        raise SettingsError(
            "none", None, "say what holds where no route matches: `none: {win_rate: 0.5}`"
        )
    matching = parsed.get("matching", "logistic")
    if matching not in MATCHERS:
        raise UnknownNameError("way of matching (matching)", str(matching), MATCHERS)
    encoder = parsed.get("encoder")
    if encoder is not None and not isinstance(encoder, str):
        raise SettingsError("encoder", encoder, "give the name of an encoder")
    routes = tuple(_route(i, entry) for i, entry in enumerate(parsed["routes"]))
    _refuse_repeats(routes)
    none = _mapping(parsed["none"], "none")
    _only(none, _ACTIONS, "none")
    return RouteFile(
        routes=routes,
        none=_action(none, "none"),
        matching=matching,
        encoder=encoder,
        fingerprint=fingerprint,
    )


def _route(i: int, entry: Any) -> Route:
    where = f"routes[{i}]"
    _only(_mapping(entry, where), _ROUTE, where)
    name = entry.get("name")
    if not isinstance(name, str) or not name.strip() or name == NONE:
        raise SettingsError(f"{where}.name", name, f"give a text that is not empty nor {NONE!r}")
    said = entry.get("utterances")
    if not isinstance(said, list) or not said:
        raise SettingsError(f"{where}.utterances", said, "give a list of example texts")
    for text in said:
        if not isinstance(text, str) or not text.strip():
            raise SettingsError(f"{where}.utterances", text, "give texts that are not empty")
    return Route(
        name=name,
        utterances=tuple(dict.fromkeys(said)),
        action=_action(entry, where),
        threshold=_share(entry.get("threshold", 0.0), f"{where}.threshold"),
    )


def _action(entry: Mapping[str, Any], where: str) -> Action:
    given = [key for key in _ACTIONS if key in entry]
    if len(given) != 1:
        raise SettingsError(where, given, "give exactly one of `win_rate`, `use`, `scores`")
    if "win_rate" in entry:
        return Action(win_rate=_share(entry["win_rate"], f"{where}.win_rate"))
    if "use" in entry:
        if not isinstance(entry["use"], str) or not entry["use"]:
            raise SettingsError(f"{where}.use", entry["use"], "give strong, weak or a candidate")
        return Action(use=entry["use"])
    scores = _mapping(entry["scores"], f"{where}.scores")
    if not scores:
        raise SettingsError(f"{where}.scores", scores, "give a score for each candidate")
    return Action(scores={str(k): _share(v, f"{where}.scores.{k}") for k, v in scores.items()})


def _refuse_repeats(routes: Sequence[Route]) -> None:
    names: set[str] = set()
    owner: dict[str, str] = {}
    for route in routes:
        if route.name in names:
            raise SettingsError("routes", route.name, "name each route once")
        names.add(route.name)
        for text in route.utterances:
            if text in owner:
                remedy = f"it stands in {owner[text]!r} and {route.name!r}; keep one"
                raise SettingsError("utterances", text, remedy)
            owner[text] = route.name


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise SettingsError(where, value, "give a mapping")
    return value


def _only(entry: Mapping[Any, Any], known: Sequence[str], where: str) -> None:
    for key in entry:
        if key not in known:
            listed = ", ".join(known)
            raise SettingsError(
                where, key, f"unknown key; known: {listed}.{suggest(str(key), known)}"
            )


def _share(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value <= 1.0:
        raise SettingsError(where, value, "give a number from 0 to 1")
    return float(value)
