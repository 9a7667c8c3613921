"""Read the routes of a semantic-router file (0.x and 1.x, JSON or YAML) as ours."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from turnout.errors import DataError
from turnout.routers.routes import RouteFile, parse_routes

# What changes which route is chosen, or what it does: it cannot be left out unsaid.
_UNCARRIED_ROUTE = ("function_schemas", "function_schema", "llm")
_UNCARRIED_FILE = ("sparse_encoder", "calibrator")
_ROUTE_NOTED = ("description", "metadata")
_THRESHOLDS = ("score_threshold", "confidence_threshold")


@dataclass(frozen=True, kw_only=True)
class Imported:
    """Routes, and what was left out."""

    file: RouteFile
    notes: tuple[str, ...]


def import_routes(path: Path, *, win_rate: float = 0.5) -> Imported:
    """Read a semantic-router file.

    Args:
        path: `.json`, `.yaml` or `.yml` as its `to_json`, `to_yaml` or `to_file` write it.
        win_rate: that every route, and none, gets; such a file does not say which model to use.

    Raises:
        DataError: not such a file, or it holds what cannot be carried: a function schema, a
            language model, a sparse encoder, a calibrator, a router that is not an index of
            utterances, utterances that are not text. The message names it.
    """
    parsed = _parsed(path)
    kind = parsed.get("router_type", "indexed")
    if kind != "indexed":
        remedy = "only routers over utterances can be carried; export the indexed one alone"
        raise DataError(f"{path.name} router_type", kind, remedy)
    for key in _UNCARRIED_FILE:
        if parsed.get(key) is not None:
            raise DataError(f"{path.name} {key}", parsed[key], "this cannot be carried: remove it")
    stated = parsed.get("routes")
    if not isinstance(stated, list) or not stated:
        remedy = "it holds no routes (they may be in a remote index): save it with its routes"
        raise DataError(f"{path.name} routes", stated, remedy)
    notes = [_encoder_note(parsed)] if _encoder_note(parsed) else []
    if parsed.get("confidence_threshold") is not None:
        notes.append(_threshold_note("the file", parsed["confidence_threshold"]))
    routes = []
    for i, entry in enumerate(stated):
        if not isinstance(entry, dict):
            raise DataError(f"{path.name} routes[{i}]", entry, "each route must be a mapping")
        notes += _check(entry, f"{path.name} routes[{i}]")
        said = list(entry.get("utterances") or [])
        routes.append({"name": entry.get("name"), "win_rate": win_rate, "utterances": said})
    return Imported(
        file=parse_routes({"routes": routes, "none": {"win_rate": win_rate}}), notes=tuple(notes)
    )


def _check(entry: Mapping[str, Any], where: str) -> list[str]:
    """Notes on what is left out of a route."""
    for key in _UNCARRIED_ROUTE:
        if entry.get(key):
            raise DataError(f"{where}.{key}", entry[key], "this cannot be carried: remove it")
    known = ("name", "utterances", *_UNCARRIED_ROUTE, *_ROUTE_NOTED, *_THRESHOLDS)
    for key in entry:
        if key not in known:
            raise DataError(f"{where}.{key}", entry[key], "this is not known: remove it")
    name = f"route {entry.get('name')}"
    notes = [f"{name}: {key} is left out" for key in _ROUTE_NOTED if entry.get(key)]
    given = [entry[key] for key in _THRESHOLDS if entry.get(key) is not None]
    return notes + [_threshold_note(name, value) for value in given]


def _threshold_note(name: str, value: Any) -> str:
    return f"{name}: threshold {value} is on another scale and left out; use `turnout routes fit`"


def _encoder_note(parsed: Mapping[str, Any]) -> str:
    encoder = parsed.get("encoder")
    stated = encoder if isinstance(encoder, dict) else {}
    kind = stated.get("type", parsed.get("encoder_type"))
    name = stated.get("name", parsed.get("encoder_name"))
    return f"encoder {kind} {name or ''}".rstrip() + " is replaced by ours" if kind else ""


def _parsed(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        parsed = json.loads(text) if path.suffix.lower() == ".json" else yaml.safe_load(text)
    except OSError as error:
        raise DataError("file", str(path), f"cannot be read: {error.strerror}") from error
    except (ValueError, yaml.YAMLError) as error:
        why = " ".join(str(error).split())
        raise DataError("file", str(path), f"not JSON or YAML: {why}") from error
    if not isinstance(parsed, dict):
        raise DataError("file", str(path), "it is not a mapping with `routes`")
    return parsed
