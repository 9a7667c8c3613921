"""`turnout check`: what is wrong with a settings file, before a gateway serves by it."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

import click

from turnout.checking.findings import Finding, Report
from turnout.checking.run import DEADLINE_S, check_file
from turnout.errors import SettingsError
from turnout.settings import MINIMAL


@click.command()
@click.argument("config", required=False, type=click.Path(path_type=Path), envvar="TURNOUT_CONFIG")
@click.option("--online", is_flag=True, help="Ask each provider for its models, too.")
@click.option(
    "--deadline",
    type=click.FloatRange(min=0.1, max=600),
    default=DEADLINE_S,
    show_default=True,
    metavar="SECONDS",
    help="Longest wait for what is asked online.",
)
@click.option("--strict", is_flag=True, help="Exit code 1 where there are warnings.")
@click.option("--json", "as_json", is_flag=True, help="For machines: one JSON object.")
@click.option("--reference", is_flag=True, help="Print the reference of all settings, as Markdown.")
def check(
    config: Path | None,
    *,
    online: bool,
    deadline: float,
    strict: bool,
    as_json: bool,
    reference: bool,
) -> None:
    """Say what is wrong with the settings file CONFIG [env: TURNOUT_CONFIG], all in one go.

    Everything that it names is opened as `turnout serve` does, and nothing is called or changed.
    Exit code 2: a gateway would not start or could not serve. Warnings are of what is legal but
    likely wrong.
    """
    if reference:
        from turnout.checking.reference import reference_page

        click.echo(reference_page(), nl=False)
        return
    if config is None:
        remedy = f"give one: turnout check FILE. A file as short as this serves:\n\n{MINIMAL}"
        raise SettingsError("config", None, remedy)
    # What opening logs comes back as findings.
    logging.getLogger("turnout").addHandler(logging.NullHandler())
    report = check_file(config, online=online, deadline_s=deadline)
    if as_json:
        click.echo(json.dumps(report.to_dict(), ensure_ascii=False))
    else:
        _show(report)
    sys.exit(report.exit_code(strict=strict))


def _show(report: Report) -> None:
    for found in report.findings:
        click.echo(_line(report.file, found))
    if report.findings:
        click.echo()
    for line in _facts(report.facts):
        click.echo(line)
    errors, warnings = report.count("error"), report.count("warning")
    said = (
        "well"
        if not errors + warnings
        else f"{_some(errors, 'error')}, {_some(warnings, 'warning')}"
    )
    click.echo(f"{report.file}: {said}")


def _line(file: str, found: Finding) -> str:
    """`turnout.yaml:7: error: candidates[0].provider: …`, as editors and CI read it."""
    place = f"{file}:{found.line}" if found.line else file
    parts = [place, found.level, found.field, found.message]
    text = ": ".join(part for part in parts if part)
    if found.remedy:
        text += f": {found.remedy.rstrip()}" if found.level == "error" else f"; {found.remedy}"
    return text if found.level == "error" else f"{text} [{found.code}]"


def _facts(facts: dict[str, Any]) -> list[str]:
    lines = []
    secrets = facts.get("secrets", [])
    if secrets:
        there = [s["name"] for s in secrets if s["present"]]
        lines.append(f"  secrets     {len(there)} of {len(secrets)} are there: {_names(there)}")
    if "candidates" in facts:
        prices = facts["prices"]
        lines.append(f"  candidates  {_names(facts['candidates'])}")
        lines.append(
            f"  prices      {len(prices['own'])} of the settings, {len(prices['list'])} of the list, "
            f"{len(prices['none'])} not known"
        )
        routers = [f"{n} {f}" if f else n for n, f in facts["routers"].items()]
        lines.append(f"  routers     {_names(routers)}")
    if "store" in facts:
        lines.append(f"  store       {facts['store']['where']}: {facts['store']['state']}")
    lines += [
        f"  online      {name}: {_some(told['models'], 'model') if told['models'] else told['why']}"
        for name, told in facts.get("online", {}).items()
    ]
    return lines


def _names(names: list[str]) -> str:
    return ", ".join(names) or "none"


def _some(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
