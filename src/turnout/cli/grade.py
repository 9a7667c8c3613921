"""`turnout grade`: score the answers of drawn prompts, by exact match or by a judge with a cap."""

from __future__ import annotations

from pathlib import Path

import click

from turnout.cli.pool import parse_price
from turnout.errors import InputError
from turnout.pricing import list_price
from turnout.scorers.base import Scorer
from turnout.types import Price


@click.command()
@click.argument("labels", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--by",
    type=click.Choice(["exact", "judge"]),
    required=True,
    help="exact: against the reference of each row; judge: by a model.",
)
@click.option(
    "--answers",
    multiple=True,
    metavar="MODEL=FILE",
    help="A batch's output file with answers of a candidate; repeat it.",
)
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="Default: LABELS itself."
)
@click.option("--judge-url", help="The judge's endpoint, such as http://127.0.0.1:8000/v1.")
@click.option("--judge-model", help="The judge's name there.")
@click.option(
    "--judge-price", metavar="IN,OUT", help="USD per million tokens; default: list price."
)
@click.option("--api-key-env", help="The environment variable with the judge's key.")
@click.option("--cap-usd", type=float, help="Most that the judge may spend.")
@click.option("--timeout-s", type=float, default=60.0, show_default=True)
def grade(
    labels: Path,
    by: str,
    answers: tuple[str, ...],
    out: Path | None,
    judge_url: str | None,
    judge_model: str | None,
    judge_price: str | None,
    api_key_env: str | None,
    cap_usd: float | None,
    timeout_s: float,
) -> None:
    """Fill in scores of the prompts that `turnout review --label` drew.

    Scores that are there are kept, so grading by hand, by match and by judge can be mixed.
    """
    from turnout.review.grading import Answers, grade_file

    scorer: Scorer
    if by == "exact":
        from turnout.scorers.exact import ExactScorer

        scorer = ExactScorer()
        spent = None
    else:
        from turnout.providers.posting import JsonEndpoint, read_key
        from turnout.scorers.judge import JudgeScorer

        url, model = _needed("judge_url", judge_url), _needed("judge_model", judge_model)
        if cap_usd is None:
            raise InputError("cap_usd", None, "give the most USD that the judge may spend")
        endpoint = JsonEndpoint(
            f"the judge {model}",
            url,
            api_key=read_key(api_key_env),
            timeout_s=timeout_s,
            connections=1,
            option="judge_url",
        )
        scorer = spent = JudgeScorer(
            endpoint, model, price=_price(model, judge_price), cap_usd=cap_usd
        )
    given = Answers()
    for text in answers:
        name, equals, path = text.partition("=")
        if not (name and equals and Path(path).is_file()):
            raise InputError("answers", text, "give MODEL=FILE with the output of a batch")
        given.read(name, Path(path))
    counts = grade_file(labels, out or labels, scorer, given)
    cost = "" if spent is None else f"; {spent.spent_usd:.4f} USD in {spent.calls:,} calls"
    click.echo(f"{counts}{cost}")


def _needed(option: str, value: str | None) -> str:
    if not value:
        raise InputError(option, value, "a judge needs --judge-url, --judge-model and --cap-usd")
    return value


def _price(model: str, given: str | None) -> Price:
    if given is None:
        found = list_price(model)
        if found is None:
            remedy = "no list price is known, and a cap without one cannot be kept; give IN,OUT"
            raise InputError("judge_price", model, remedy)
        return found
    return parse_price(given, option="judge_price")
