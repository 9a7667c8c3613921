"""`turnout replay`: stored predictions with other thresholds, prices and pools, at no cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click
import yaml

from turnout.artifacts.opening import open_router
from turnout.cli.pool import read_price
from turnout.data.files import CSV_SUFFIXES, read_rows
from turnout.data.flat import number
from turnout.data.lines import at
from turnout.data.outcomes import read_outcomes
from turnout.errors import DataError, InputError, TurnoutError
from turnout.evaluation.intervals import REPLICATES
from turnout.evaluation.replay import POLICIES, PolicyName, Replay
from turnout.evaluation.replay_decisions import read_decisions
from turnout.evaluation.replay_folder import load
from turnout.evaluation.replay_measure import replay_report, sweep
from turnout.evaluation.replay_predictions import StoredPredictions
from turnout.knobs import HasReference
from turnout.types import Price

P = TypeVar("P")

SWEEP = 11
"""Settings that are tried where none is named."""


@click.command()
@click.argument("predictions", type=click.Path(path_type=Path, allow_dash=True))
@click.option(
    "--threshold", "thresholds", type=float, multiple=True, help="A setting to try; repeat it."
)
@click.option(
    "--sweep",
    "steps",
    type=click.IntRange(min=2, max=1000),
    help=f"Try this many settings, from best to cheapest [{SWEEP} where none is named or recorded].",
)
@click.option(
    "--price",
    "prices",
    multiple=True,
    metavar="MODEL=IN,OUT",
    help="USD per million tokens of a model; repeat it. The others keep their price.",
)
@click.option(
    "--prices",
    "price_file",
    type=click.Path(path_type=Path),
    help="A price list: YAML or JSON of MODEL: {input_usd, output_usd}, or CSV with a column model.",
)
@click.option("--models", "models", help="Keep these models, strongest first, with commas between.")
@click.option("--drop", "dropped", multiple=True, metavar="MODEL", help="Leave out; repeat it.")
@click.option(
    "--policy",
    type=click.Choice(POLICIES),
    help="How to choose [a threshold between two models, the hull of more].",
)
@click.option("--router", help="Whose decisions to replay, where a file has those of several.")
@click.option(
    "--artifact",
    type=click.Path(path_type=Path),
    help="The router's artifact, for operating points of recorded decisions among three or more.",
)
@click.option(
    "--outcomes",
    type=click.Path(path_type=Path),
    help="Outcomes of the same prompts, to measure quality and cost by.",
)
@click.option("--replicates", type=click.IntRange(min=20), default=REPLICATES, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of the table.")
def replay(
    predictions: Path,
    thresholds: tuple[float, ...],
    steps: int | None,
    prices: tuple[str, ...],
    price_file: Path | None,
    models: str | None,
    dropped: tuple[str, ...],
    policy: PolicyName | None,
    router: str | None,
    artifact: Path | None,
    outcomes: Path | None,
    replicates: int,
    seed: int,
    as_json: bool,
) -> None:
    """Decide PREDICTIONS again with other thresholds, prices and pools. Nothing is called.

    PREDICTIONS is a folder written by `turnout evaluate --save-predictions`, or JSONL of decisions,
    as `turnout route --json --file` prints them.
    """
    stored = _read(predictions, router=router, artifact=artifact, policy=policy)
    if outcomes is not None:
        stored = stored.with_outcomes(read_outcomes(outcomes, least_models=1))
    given, note = _prices(prices, price_file, stored.names)
    if note:
        stored = replace(stored, notes=(*stored.notes, note))
    over = Replay(stored, prices=given, models=_models(models, dropped, stored), policy=policy)
    report = replay_report(
        stored, over, _settings(stored, over, thresholds, steps), replicates=replicates, seed=seed
    )
    click.echo(report.to_json() if as_json else report.to_text(), nl=False)


def _read(
    path: Path, *, router: str | None, artifact: Path | None, policy: PolicyName | None
) -> StoredPredictions:
    if path.is_dir():
        if artifact is not None:
            remedy = "a folder of predictions has what is needed of it; leave it out"
            raise InputError("artifact", str(artifact), remedy)
        stored = load(path)
        if router not in (None, stored.router):
            raise InputError("router", router, f"these are predictions of {stored.router}")
        return stored
    stored = read_decisions(path, router=router)
    if stored.recorded is None or stored.recorded.policy != "hull" or policy not in (None, "hull"):
        return stored
    return _with_reference(stored, artifact)


def _with_reference(stored: StoredPredictions, artifact: Path | None) -> StoredPredictions:
    """The decisions with what their router's artifact knows of the candidates.

    Raises:
        InputError: the artifact that decided is not at hand.
        TurnoutError: the one that was named cannot be opened.
    """
    remedy = (
        f"they were chosen on the hull of artifact {stored.artifact or 'unknown'}; give its folder "
        "with --artifact, or --policy within_price"
    )
    try:
        opened = open_router(stored.router, artifact=artifact)
    except TurnoutError:
        if artifact is not None:
            raise
        raise InputError("decisions", stored.source, remedy) from None
    if opened.fingerprint != stored.artifact or not isinstance(opened, HasReference):
        raise InputError("artifact", opened.fingerprint, remedy)
    return replace(stored, reference=opened.reference(stored.candidates))


def _models(
    listed: str | None, dropped: Sequence[str], stored: StoredPredictions
) -> list[str] | None:
    if listed is None and not dropped:
        return None
    names = list(stored.names)
    if listed is not None:
        names = [name.strip() for name in listed.split(",") if name.strip()]
    for name in dropped:
        if name not in names:
            raise InputError("drop", name, f"give one of {', '.join(names)}")
    return [name for name in names if name not in dropped]


def _settings(
    stored: StoredPredictions, over: Replay, thresholds: Sequence[float], steps: int | None
) -> list[float | None]:
    for value in thresholds:
        if not 0.0 <= value <= 1.0:
            raise InputError("threshold", value, "give a number from 0 to 1")
    found: list[float | None] = list(thresholds)
    if not thresholds and stored.recorded is not None:
        found.append(None)
    if steps is not None or not found:
        found += sweep(over, stored, steps or SWEEP)
    return list(dict.fromkeys(found))


def _prices(
    given: Sequence[str], file: Path | None, names: Sequence[str]
) -> tuple[dict[str, Price], str]:
    """Prices by model, those of the command line over those of the list, and a note on the list."""
    found, note = {}, ""
    if file is not None:
        listed = _price_list(file)
        found = {name: price for name, price in listed.items() if name in names}
        if not found:
            remedy = f"{file.name} has a price of none of {', '.join(names)}"
            raise InputError("prices", sorted(listed)[:10], remedy)
        kept = [name for name in names if name not in found]
        note = f"{file.name} prices {len(found)} of {len(names)} models"
        note += f"; {', '.join(kept)} keep theirs" if kept else ""
    return found | _once("price", [read_price(text, names) for text in given]), note


def _price_list(file: Path) -> dict[str, Price]:
    """Model → price, of a YAML, JSON or CSV file.

    Raises:
        DataError: it cannot be read, or a model has no price in it; file, model and value are named.
    """
    if file.suffix.lower() in CSV_SUFFIXES:
        rows = [_listed(at(file, line), row.get("model"), row) for line, row in read_rows(file)]
        return _once(file.name, rows)
    try:
        text = file.read_text(encoding="utf-8")
        stated, node = yaml.safe_load(text), yaml.compose(text, yaml.SafeLoader)
    except (OSError, ValueError, yaml.YAMLError) as error:
        why = str(error).partition("\n")[0]
        raise DataError("prices", str(file), f"it cannot be read as YAML or JSON: {why}") from None
    if not isinstance(stated, dict) or not stated:
        raise DataError("prices", str(file), "give MODEL: {input_usd: …, output_usd: …}")
    if isinstance(node, yaml.MappingNode):  # a key that stands twice is lost in `stated`
        _once(file.name, [(str(key.value), None) for key, _ in node.value])
    return dict(_listed(file.name, name, about) for name, about in stated.items())


def _once(where: str, prices: Sequence[tuple[str, P]]) -> dict[str, P]:
    """Prices by model.

    Raises:
        InputError: a model has two.
    """
    names = [name for name, _ in prices]
    for name in names:
        if names.count(name) > 1:
            raise InputError(where, name, "give one price for each model")
    return dict(prices)


def _listed(where: str, name: object, about: Any) -> tuple[str, Price]:
    if not isinstance(name, str) or not name:
        raise DataError(f"{where} model", name, "give the model's name")
    if not isinstance(about, Mapping):
        raise DataError(f"{where} {name}", about, "give {input_usd: …, output_usd: …}")
    both = []
    for field in ("input_usd", "output_usd"):
        usd = number(about.get(field))
        if isinstance(usd, bool) or not isinstance(usd, int | float) or not 0 <= usd < 1e6:
            raise DataError(f"{where} {name} {field}", usd, "give USD per million tokens")
        both.append(float(usd))
    return name, Price.per_million(*both)
