"""A LiteLLM proxy config, read as settings of a gateway."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from turnout.errors import DataError
from turnout.importing.litellm_models import candidates_of, embeddings_of, read_deployments
from turnout.importing.litellm_providers import Endpoints
from turnout.importing.litellm_settings import (
    credentials_of,
    finish_budget,
    read_rest,
    timeouts_of,
)
from turnout.importing.notes import Notes
from turnout.pricing import list_price
from turnout.settings import parse_settings

_STAND_IN = "https://stand-in.invalid/v1"
"""What every variable holds while the result is checked: a URL, and long enough for a key."""


@dataclass(frozen=True, slots=True)
class Imported:
    """Settings, as text, and what is to be said of them."""

    text: str
    """YAML; what is said stands at its end as comments."""
    notes: Notes


def import_litellm(text: str, *, source: str = "config.yaml") -> Imported:
    """Read a LiteLLM proxy config as settings.

    Args:
        text: YAML.
        source: what the config is called.

    Raises:
        DataError: it is no such config, or none of its models can be called from here.
        SettingsError: a name or a number in it that no settings take; names the setting.
    """
    config = _read(text, source)
    notes = Notes()
    endpoints = Endpoints(notes, timeouts_of(config))
    deployments = read_deployments(config["model_list"], endpoints, credentials_of(config), notes)
    candidates = candidates_of(deployments, notes)
    if not candidates:
        why = "; ".join(f"{where}: {what}" for where, what in notes.left_out.items())
        remedy = f"give at least one chat model that can be called from here ({why})"
        raise DataError(f"{source}: model_list", "its models", remedy)
    settings: dict[str, Any] = {
        "providers": endpoints.found,
        "candidates": _ordered(candidates, notes),
    }
    embeddings = embeddings_of(deployments, notes)
    if embeddings:
        settings["embeddings"] = embeddings
    read_rest(config, settings, endpoints)
    finish_budget(settings, notes)
    settings["providers"] = _used(settings)
    written = _written(settings, notes, source)
    parse_settings(written, _Environment())
    return Imported(written, notes)


def _read(text: str, source: str) -> dict[str, Any]:
    try:
        config = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}" if mark else "the file"
        raise DataError(source, where, f"write valid YAML: {error.problem}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DataError(source, "the file", f"write valid YAML: {type(error).__name__}") from None
    models = config.get("model_list") if isinstance(config, dict) else None
    if not isinstance(models, list) or not models:
        remedy = "give a LiteLLM proxy config with a model_list"
        raise DataError(source, type(config).__name__, remedy)
    return dict(config)


def _ordered(candidates: list[dict[str, Any]], notes: Notes) -> list[dict[str, Any]]:
    """Dearest first, as far as prices are known, since routers take the order for strength.

    Among three and more candidates prices decide, so that none may be without: one that nobody knows
    is 0, as LiteLLM counts what it does not know.
    """
    usual = {c["name"]: _usual(c) for c in candidates}
    for candidate in candidates:
        own = candidate.pop("_own", False)
        if usual[candidate["name"]] is None and (own or len(candidates) > 2):
            candidate["price"] = {"input_usd": 0.0, "output_usd": 0.0}
            notes.change(
                f"the price of {candidate['name']}",
                "is 0: it is run by you"
                if own
                else "is 0: the list here does not have it; give it",
            )
    found = sorted(candidates, key=lambda c: usual[c["name"]] or 0.0, reverse=True)
    if len(found) > 1:
        notes.change(
            "the order of model_list",
            "candidates stand dearest first, as routers take their order for strength: correct it where "
            "price does not tell",
        )
    return found


def _usual(candidate: Mapping[str, Any]) -> float | None:
    """A price to compare by: three tokens read for one written."""
    price = candidate.get("price")
    if price is not None:
        return float(3 * price["input_usd"] + price["output_usd"])
    if candidate.get("_own"):
        return None
    for name in (candidate.get("model"), candidate["name"]):
        listed = None if name is None else list_price(str(name))
        if listed is not None:
            return (3 * listed.input_picousd + listed.output_picousd) / 1e6
    return None


def _used(settings: Mapping[str, Any]) -> dict[str, Any]:
    models = [*settings["candidates"], *settings.get("embeddings", [])]
    used = {m["provider"] for m in models} | {
        r["provider"] for m in models for r in m.get("replicas", [])
    }
    return {name: p for name, p in settings["providers"].items() if name in used}


def _written(settings: Mapping[str, Any], notes: Notes, source: str) -> str:
    lines = [
        f"# From {source}, a LiteLLM proxy config. What changed on the way stands at the end.",
        "",
    ]
    for section, value in settings.items():
        dumped = yaml.safe_dump(
            {section: value},
            sort_keys=False,
            default_flow_style=None if isinstance(value, dict | list) else False,
            width=110,
            allow_unicode=True,
        )
        lines.append(dumped)
    lines += [f"# {line}" if not line.startswith("-") else f"#   {line}" for line in notes.lines()]
    return "\n".join(lines).rstrip() + "\n"


class _Environment(Mapping[str, str]):
    """An environment in which every variable that can be a secret or a URL is set."""

    def __getitem__(self, name: str) -> str:
        if name in ("TURNOUT_HOST", "TURNOUT_PORT"):
            raise KeyError(name)
        return _STAND_IN

    def __contains__(self, name: object) -> bool:
        return name not in ("TURNOUT_HOST", "TURNOUT_PORT")

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0
