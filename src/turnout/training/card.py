"""The card of an artifact: what a person should know before trusting it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from turnout.training.above_length import sentence

_OWN_SECTIONS = ("brier_interval", "above_length", "models")
NOT_FOR = """## What it is not good for

- Prompts of another kind, language or length than those above: measure on your own before you rely on it.
- Models that are not among its columns, or that have changed since the scores were made.
- Deciding on safety, permissions or content: it predicts the quality of answers and nothing else."""


def render_card(manifest: Mapping[str, Any], *, more: str = "") -> str:
    """Markdown from a manifest.

    Args:
        manifest: as in `training.fit`.
        more: sections that only the caller knows: licences, splits, what it is not good for.
    """
    data, measured, encoder = manifest["data"], manifest["measured"], manifest["encoder"]
    lines = [
        f"# Router `{manifest['router']}`",
        "",
        f"Fitted by Turnout {manifest['turnout']} with `{manifest['recipe']['command']}` "
        f"(seed {manifest['recipe']['seed']}).",
        "",
        "| | |",
        "|---|---|",
        f"| outcomes | {data['outcomes']} on {data['prompts']} prompts, {data['groups']} groups |",
        f"| source | {data['source']} |",
        f"| data fingerprint | `{data['fingerprint']}` |",
        f"| encoder | `{encoder['name']}` `{encoder['fingerprint']}` |",
        f"| columns | {', '.join(f'`{name}`' for name in manifest['columns']['names'])} |",
    ]
    lines += [
        f"| {name.replace('_', ' ')} | {_shown(name, value, measured)} |"
        for name, value in measured.items()
        if name not in _OWN_SECTIONS
    ]
    lines += [
        "",
        "Measured out of fold on the data above: whole groups of near-duplicates were held out. "
        "It says how well the router knows prompts like these, and nothing about other traffic.",
    ]
    lines += _models(measured.get("models", {}))
    if "above_length" in measured:
        lines += ["", "## Against prompt length", "", f"The router is {_words(measured)}."]
    if manifest.get("notes"):
        lines += ["", "## Notes", "", *(f"- {note}" for note in manifest["notes"])]
    if "above_length" in measured:  # an artifact of the user's own: nobody else says this
        lines += ["", NOT_FOR, "", "## Licence", ""]
        lines += ["Whatever the outcomes allow; Turnout adds no condition. No prompt text is kept."]
    return "\n".join(lines) + ("\n\n" + more.strip() if more else "") + "\n"


def _shown(name: str, value: object, measured: Mapping[str, Any]) -> str:
    interval = measured.get("brier_interval") if name == "brier_out_of_fold" else None
    return f"{value} [{interval[0]} {interval[1]}]" if interval else f"{value}"


def _models(models: Mapping[str, Mapping[str, Any]]) -> list[str]:
    if not models:
        return []
    rows = [
        f"| `{name}` | {found['prompts']} | {found['mean_score']} | {found['brier']} |"
        for name, found in models.items()
    ]
    head = ["| model | prompts | mean score | Brier out of fold |", "|---|---|---|---|"]
    return ["", "## By model", "", *head, *rows]


def _words(measured: Mapping[str, Any]) -> str:
    return sentence(measured["above_length"])
