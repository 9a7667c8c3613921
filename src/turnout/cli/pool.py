"""The options that say which candidates and which router a command works with."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from turnout.artifacts.certificates import certificates_of, open_watches
from turnout.artifacts.opening import open_router
from turnout.engine import Engine
from turnout.errors import InputError, UnknownNameError
from turnout.pricing import with_list_values
from turnout.types import Candidate, Pool, Price

F = TypeVar("F", bound=Callable[..., Any])

STRONG, WEAK = "gpt-4o", "gpt-4o-mini"


def pool_options(command: F) -> F:
    """`--strong`, `--weak`, `--model` (repeated, strongest first), `--price`, or `--config`."""
    for option in (
        click.option(
            "--config",
            type=click.Path(path_type=Path),
            help="Take candidates, prices and routers from this turnout.yaml instead.",
        ),
        click.option(
            "--price",
            "prices",
            multiple=True,
            metavar="MODEL=IN,OUT",
            help="USD per million tokens of a model that the price list lacks; repeat it.",
        ),
        click.option(
            "--model",
            "models",
            multiple=True,
            help="A candidate, strongest first; give three or more instead of --strong/--weak.",
        ),
        click.option("--weak", default=WEAK, show_default=True, help="The cheap model."),
        click.option("--strong", default=STRONG, show_default=True, help="The strong model."),
    ):
        command = option(command)
    return command


def router_options(command: F) -> F:
    """`--router`, `--artifact`."""
    for option in (
        click.option(
            "--artifact",
            type=click.Path(path_type=Path),
            help="A folder made by `turnout train`; default: the artifact in the package.",
        ),
        click.option("--router", default="blend", show_default=True, help="Which router predicts."),
    ):
        command = option(command)
    return command


option_option = click.option(
    "--option",
    "options",
    multiple=True,
    metavar="NAME=VALUE",
    help="An option of the router, such as file=routes.yaml; repeat it.",
)


def read_options(given: Sequence[str]) -> dict[str, Any]:
    """The options of a router: numbers, true and false as such, all else as text.

    Raises:
        InputError: one that is not NAME=VALUE.
    """
    found = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise InputError("option", text, "give NAME=VALUE")
        plain = re.fullmatch(r"true|false|-?\d{1,15}(\.\d{1,15})?", value)
        found[name] = json.loads(value) if plain and not re.match(r"-?0\d", value) else value
    return found


def make_pool(*, strong: str, weak: str, models: Sequence[str], prices: Sequence[str] = ()) -> Pool:
    """The pool that the options mean, with list prices and windows where they are known.

    Raises:
        InputError: a model is named twice or has no name, a price is not of a candidate or not a
            number, or an option would have no effect.
    """
    if models:
        refuse_without_effect(("strong", "weak"), "with --model, name every candidate by it")
    names = list(models) if models else [strong, weak]
    for name in names:
        if not name.strip():
            raise InputError("models", name, "give the name of a model")
        if names.count(name) > 1:
            raise InputError("models", name, "name each candidate once")
    given = dict(read_price(text, names) for text in prices)
    return Pool(candidates=tuple(_candidate(n, given.get(n)) for n in names), default=names[0])


def engine_from_options(
    *,
    router: str,
    artifact: Path | None,
    strong: str,
    weak: str,
    models: Sequence[str],
    prices: Sequence[str],
    config: Path | None,
    router_options: Mapping[str, Any] | None = None,
    certificate: Path | None = None,
) -> Engine:
    """The engine that `router_options` and `pool_options` of a command mean.

    Raises:
        UnknownNameError: no such router, or the configuration does not have it.
        TurnoutError: an option cannot be used.
    """
    if config is not None:
        if certificate is not None:
            remedy = "with --config, name it there, at its router"
            raise InputError("certificate", str(certificate), remedy)
        engine = _from_config(config, artifact)
    else:
        pool = make_pool(strong=strong, weak=weak, models=models, prices=prices)
        opened = open_router(router, artifact=artifact, options=router_options)
        certificates = {router: certificates_of(artifact, certificate)}
        watches = open_watches(certificates, {router: opened}, pool.candidates)
        engine = Engine(pool, {router: opened}, watches=watches)
    if router not in engine.routers:
        raise UnknownNameError("router", router, engine.routers)
    return engine


def _from_config(config: Path, artifact: Path | None) -> Engine:
    """The engine of a turnout.yaml: its candidates, prices and routers.

    Raises:
        InputError: an artifact, a candidate or a price is given as well.
        TurnoutError: the configuration cannot be used.
    """
    from turnout.gateway.setup.building import build_engine
    from turnout.settings import load_settings

    if artifact is not None:
        raise InputError("artifact", str(artifact), "with --config, name it in the configuration")
    refuse_without_effect(
        ("strong", "weak", "models", "prices"), "with --config, candidates and prices stand there"
    )
    return build_engine(load_settings(config))


def refuse_without_effect(options: Sequence[str], remedy: str) -> None:
    """Refuse options that were given on the command line and would change nothing."""
    context = click.get_current_context(silent=True)
    if context is None:
        return
    for name in options:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise InputError(name.removesuffix("s"), context.params[name], remedy)


def read_price(text: str, names: Sequence[str]) -> tuple[str, Price]:
    """`MODEL=IN,OUT`, in USD per million tokens, of one of these candidates.

    Raises:
        InputError: it is not, or not a price.
    """
    name, _, numbers = text.rpartition("=")
    if name not in names:
        raise InputError("price", text, f"give MODEL=IN,OUT for one of {', '.join(names)}")
    return name, parse_price(numbers, form="MODEL=IN,OUT")


def parse_price(numbers: str, *, option: str = "price", form: str = "IN,OUT") -> Price:
    """The price that `IN,OUT` means, in USD per million tokens.

    Raises:
        InputError: not two numbers that are not negative.
    """
    try:
        usd_in, usd_out = (float(number) for number in numbers.split(","))
    except ValueError:
        raise InputError(option, numbers, f"give USD per million tokens as {form}") from None
    if not (0 <= usd_in < float("inf") and 0 <= usd_out < float("inf")):
        raise InputError(option, numbers, "give numbers that are not negative")
    return Price.per_million(usd_in, usd_out)


def _candidate(name: str, price: Price | None) -> Candidate:
    return with_list_values(Candidate(name=name, price=price))
