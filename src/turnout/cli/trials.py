"""`turnout trials`: what experiments, shadow routes and mirrors have shown."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from turnout.evaluation.trials import Trials

_DAY_MS = 86_400_000


@click.command()
@click.option(
    "--config",
    required=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The gateway's settings; their store is read.",
)
@click.option("--days", type=click.FloatRange(min=0, min_open=True), help="The latest ones alone.")
@click.option("--source", help="Count the feedback of this source alone.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def trials(config: Path, days: float | None, source: str | None, as_json: bool) -> None:
    """Compare the arms of experiments, and say what shadow routes would have saved."""
    from turnout.errors import SettingsError
    from turnout.evaluation.trials import read_trials
    from turnout.gateway.setup.building import open_store
    from turnout.settings import load_settings
    from turnout.store.feedback import FeedbackTable
    from turnout.store.records import RecordTable

    settings = load_settings(config)
    if settings.store is None:
        raise SettingsError("store", None, "keep records, such as store: {path: turnout.db}")
    arms = {name: tuple(given.arms) for name, given in settings.experiments.items()}
    since_ms = 0 if days is None else int(time.time() * 1000 - days * _DAY_MS)
    database = open_store(settings.store)
    try:
        scores = FeedbackTable(database).scores(source=source)
        found = read_trials(RecordTable(database).since(since_ms), scores, arms)
    finally:
        database.close()
    click.echo(json.dumps(found.to_dict(), indent=2) if as_json else "\n".join(_lines(found)))


def _lines(found: Trials) -> list[str]:
    from turnout.evaluation.tables import cell
    from turnout.evaluation.trials import verdict

    lines: list[str] = []
    for name, arms in found.experiments.items():
        rows = [
            [
                arm.name,
                *(str(n) for n in (arm.users, arm.requests, arm.failed, arm.graded)),
                cell(arm.quality),
                _usd(arm.cost_usd.value),
            ]
            for arm in arms
        ]
        head = ["arm", "users", "requests", "failed", "graded", "quality", "USD a request"]
        lines += [f"experiment {name}", *_table(head, rows)[:-1]]
        lines += [*(verdict(arms[0], other) for other in arms[1:]), ""]
    shadows = [
        [
            shadow.route,
            str(shadow.requests),
            str(shadow.elsewhere),
            _usd(shadow.cost_usd),
            cell(shadow.saving, percent=True),
        ]
        for shadow in found.shadows
    ]
    lines += _table(["shadow route", "requests", "elsewhere", "paid USD", "would save %"], shadows)
    mirrors = [
        [
            mirror.candidate,
            str(mirror.calls),
            str(mirror.failed),
            _usd(mirror.cost_usd),
            cell(mirror.cost_ratio),
            _whole(mirror.median_ms),
        ]
        for mirror in found.mirrors
    ]
    lines += _table(["mirror", "calls", "failed", "USD", "cost ratio", "median ms"], mirrors)
    return lines or ["no experiment, shadow route or mirror in these records"]


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    from turnout.evaluation.tables import align

    return [*align([head, *rows]), ""] if rows else []


def _usd(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.6f}"


def _whole(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.0f}"
