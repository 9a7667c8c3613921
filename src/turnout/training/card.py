"""The card of an artifact: what a person should know before trusting it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


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
    lines += [f"| {name.replace('_', ' ')} | {value} |" for name, value in measured.items()]
    lines += [
        "",
        "Measured out of fold on the data above: whole groups of near-duplicates were held out. "
        "It says how well the router knows prompts like these, and nothing about other traffic.",
    ]
    if manifest.get("notes"):
        lines += ["", "## Notes", "", *(f"- {note}" for note in manifest["notes"])]
    return "\n".join(lines) + ("\n\n" + more.strip() if more else "") + "\n"
