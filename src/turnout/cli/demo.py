"""`turnout demo`: a gateway, two simulated models, and what routing saves on bundled prompts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from turnout.cli.local import serving
from turnout.engine import Engine
from turnout.gateway.app import create_app
from turnout.gateway.setup.building import build_engine
from turnout.names import format_route
from turnout.providers.fake import FakeUpstream
from turnout.settings import parse_settings
from turnout.types import PICO, Query

if TYPE_CHECKING:
    from openai import OpenAI

PROMPTS = Path(__file__).parent / "demo_data" / "prompts.txt"
STRONG, WEAK = "simulated-gpt-4o", "simulated-gpt-4o-mini"
KNOWN_AS = {STRONG: "gpt-4o", WEAK: "gpt-4o-mini"}
SHARE = 0.5
ROUTER = "blend"

_SETTINGS = """
providers:
  strong: {{base_url: "{strong}/v1"}}
  weak: {{base_url: "{weak}/v1"}}
candidates:
  - {{name: {strong_name}, provider: strong, known_as: gpt-4o, price: {strong_price}}}
  - {{name: {weak_name}, provider: weak, known_as: gpt-4o-mini, price: {weak_price}}}
routers: {{blend: {{}}, mf: {{}}}}
"""


@dataclass(frozen=True, slots=True)
class _Row:
    """One routed prompt, and what it cost in simulated tokens at list prices."""

    decision: dict[str, Any]
    cost_picousd: int
    strong_picousd: int


@click.command()
@click.option("--limit", type=click.IntRange(min=1), help="Stop after so many prompts.")
def demo(limit: int | None) -> None:
    """Route the bundled prompts through a gateway with two simulated models."""
    prompts = [line.replace("\\n", "\n") for line in PROMPTS.read_text("utf-8").splitlines()]
    prompts = prompts[:limit]
    with _gateway() as (engine, route, url):
        click.echo("Turnout demo: a real router and a real gateway before two SIMULATED models.")
        click.echo(f"Gateway {url}/v1, asked by the official openai client for model={route!r}.\n")
        click.echo(f"{'':<40} {'predicted quality':^15}")
        click.echo(
            f"{'prompt':<40} {'4o':>7} {'4o-mini':>7}  {'why: win rate':<15} "
            f"{'sent to':<21} {'cost USD':>10}"
        )
        rows = [_print(prompt, row) for prompt, row in _ask(engine, route, url, prompts)]
    _summary(rows, route)


@contextmanager
def _gateway() -> Iterator[tuple[Engine, str, str]]:
    """A gateway before two simulated upstreams; yields its engine, the route and its URL."""
    prices = _prices()
    with ExitStack() as stack:
        upstream = {n: stack.enter_context(serving(FakeUpstream([n]))) for n in (STRONG, WEAK)}
        text = _SETTINGS.format(
            strong=upstream[STRONG],
            weak=upstream[WEAK],
            strong_name=STRONG,
            weak_name=WEAK,
            strong_price=prices[STRONG],
            weak_price=prices[WEAK],
        )
        settings = parse_settings(text, {})
        engine = build_engine(settings)
        route = format_route(engine.route_for_share(ROUTER, SHARE))
        yield engine, route, stack.enter_context(serving(create_app(settings, engine=engine)))


def _prices() -> dict[str, str]:
    """The list prices of the models that are simulated, as settings give them."""
    from turnout.pricing import list_price

    found = {}
    for name, known_as in KNOWN_AS.items():
        price = list_price(known_as)
        if price is None:
            raise LookupError(f"the price list has no {known_as}")
        usd = {"input_usd": price.input_picousd / 1e6, "output_usd": price.output_picousd / 1e6}
        found[name] = json.dumps(usd)
    return found


def _ask(
    engine: Engine, route: str, url: str, prompts: Sequence[str]
) -> Iterator[tuple[str, _Row]]:
    from openai import OpenAI

    with OpenAI(base_url=f"{url}/v1", api_key="none-is-needed") as client:
        for prompt in prompts:
            yield prompt, _one(client, engine, route, prompt)


def _one(client: OpenAI, engine: Engine, route: str, prompt: str) -> _Row:
    reply = client.chat.completions.create(
        model=route, messages=[{"role": "user", "content": prompt}]
    )
    decision = engine.decide(Query.of(prompt), engine.parse(route)).to_dict()
    if reply.model != decision["model"] or reply.usage is None:
        raise AssertionError(f"the gateway sent it to {reply.model}, not {decision['model']}")
    used = (reply.usage.prompt_tokens, reply.usage.completion_tokens)
    return _Row(decision, _cost(engine, reply.model, *used), _cost(engine, STRONG, *used))


def _cost(engine: Engine, model: str, input_tokens: int, output_tokens: int) -> int:
    price = engine.pool[model].price
    if price is None:
        raise LookupError(f"{model} has no price")
    return price.cost_picousd(input_tokens=input_tokens, output_tokens=output_tokens)


def _print(prompt: str, row: _Row) -> _Row:
    shown = " ".join(prompt.split())
    shown = shown if len(shown) <= 39 else f"{shown[:38]}…"
    decision = row.decision
    quality = decision["quality"]
    # The policy compares in 32 bits, so that its own code says which side of the threshold it is.
    sign = ">=" if decision["code"] == "win_rate_reaches_threshold" else "< "
    why = f"{decision['win_rate']:.3f} {sign} {decision['threshold']:.3f}"
    click.echo(
        f"{shown:<40} {quality[STRONG]:7.3f} {quality[WEAK]:7.3f}  {why:<15} "
        f"{decision['model']:<21} {row.cost_picousd / PICO:10.7f}"
    )
    return row


def _summary(rows: Sequence[_Row], route: str) -> None:
    paid = sum(row.cost_picousd for row in rows)
    always = sum(row.strong_picousd for row in rows)
    strong = sum(row.decision["model"] == STRONG for row in rows)
    threshold = rows[0].decision["threshold"]
    click.echo(
        f"\nSent to the strong model where its win rate reaches {threshold:g}: "
        f"{strong} of {len(rows)} prompts."
    )
    click.echo(
        f"Paid {paid / PICO:.6f} USD instead of {always / PICO:.6f} USD for always-strong: "
        f"{1 - paid / always:.0%} saved."
    )
    click.echo(
        "What that is worth: the answers were simulated, so this proves cost, not quality. The\n"
        "qualities above are predictions of the shipped router; what it is worth on benchmarks\n"
        "that it never saw, with intervals, stands in docs/benchmarks.md.\n"
        "\nWhere to go next:\n"
        '  turnout route "your prompt"                       a decision, and why\n'
        f"  Controller(...).chat.completions.create(model={route!r}, ...)\n"
        "                                                    RouteLLM's client, one import changed\n"
        "  turnout serve --config turnout.yaml               your own models behind one URL\n"
        "  turnout calibrate --prompts prompts.txt ...       the knob, set from your traffic\n"
        "  turnout train blend --data outcomes.jsonl ...     a router fitted on your outcomes"
    )
