"""`turnout review`: what routing would have saved on the user's own logs."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from turnout.cli.pool import make_pool, pool_options, refuse_without_effect, router_options
from turnout.errors import InputError, UnknownNameError
from turnout.types import Candidate

if TYPE_CHECKING:
    from turnout.review.work import Opening


@click.command()
@click.argument("logs", nargs=-1, required=True)
@router_options
@pool_options
@click.option(
    "--floor",
    type=float,
    default=0.95,
    show_default=True,
    help="Least quality to keep, as a part of the strongest candidate's.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write review.html, review.json and review.txt in here.",
)
@click.option(
    "--clusters", type=click.IntRange(1, 200), help="How many kinds of prompts to tell apart."
)
@click.option("--examples", is_flag=True, help="Let some prompts stand in the report.")
@click.option(
    "--label",
    type=int,
    help="Draw this many prompts into OUT/to-label.jsonl, to be graded (`turnout grade`).",
)
@click.option(
    "--labels",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Graded prompts: predictions become estimates.",
)
@click.option(
    "--cache",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder that keeps vectors and predictions (no prompts); default: ~/.cache/turnout/review.",
)
@click.option("--no-cache", is_flag=True, help="Keep nothing once the review is done.")
@click.option(
    "--engine",
    type=click.Choice(["local", "dask"]),
    default="local",
    show_default=True,
    help="Where to work: on this machine, or on a Dask cluster that sees the same files.",
)
@click.option("--engine-address", help="The Dask scheduler; default: a cluster of processes here.")
@click.option(
    "--workers",
    type=click.IntRange(1, 1024),
    help="Processes; default: one for each core.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
def review(
    logs: tuple[str, ...],
    router: str,
    artifact: Path | None,
    strong: str,
    weak: str,
    models: tuple[str, ...],
    prices: tuple[str, ...],
    config: Path | None,
    floor: float,
    out: Path | None,
    clusters: int | None,
    examples: bool,
    label: int | None,
    labels: Path | None,
    cache: Path | None,
    no_cache: bool,
    engine: str,
    engine_address: str | None,
    workers: int | None,
    seed: int,
    as_json: bool,
) -> None:
    """Review production logs: the share that a cheap model would serve, and what that would save.

    LOGS are files, folders or patterns in any common format, also packed by gzip or zstd; `-` reads
    standard input. Nothing is called and no prompt is shown, unless --examples asks for some.
    """
    from turnout.review import Asked
    from turnout.review import review as run

    if label is not None and out is None:
        raise InputError("label", label, "give --out: the folder for the prompts to be graded")
    if no_cache and cache is not None:
        raise InputError("cache", str(cache), "give --cache or --no-cache, not both")
    opening = _opening(router, artifact, strong, weak, models, prices, config)
    asked = Asked(
        floor=floor,
        clusters=clusters,
        examples=examples,
        label=label,
        label_file=None if out is None or label is None else out / "to-label.jsonl",
        labels=labels,
        cache=None if no_cache else cache or _default_cache(),
        engine=engine,
        engine_address=engine_address,
        workers=workers or os.cpu_count() or 1,
        seed=seed,
        command=_command(),
    )
    found = run(logs, opening, asked, progress=_Progress())
    click.echo(found.to_json() if as_json else found.to_text(), nl=False)
    if out is not None:
        _write(out, found)
        if asked.label_file is not None:
            click.echo(f"wrote {asked.label_file}", err=True)


def _opening(
    router: str,
    artifact: Path | None,
    strong: str,
    weak: str,
    models: Sequence[str],
    prices: Sequence[str],
    config: Path | None,
) -> Opening:
    """What workers predict with: of the options, or of a turnout.yaml."""
    from turnout.review.work import Opening

    # A coin without a seed would give every run another review.
    options: dict[str, Any] = {"seed": 0} if router == "random" else {}
    candidates: tuple[Candidate, ...]
    if config is None:
        candidates = make_pool(strong=strong, weak=weak, models=models, prices=prices).candidates
    else:
        from turnout.gateway.setup.building import build_pool
        from turnout.settings import load_settings

        if artifact is not None:
            remedy = "with --config, name it in the configuration"
            raise InputError("artifact", str(artifact), remedy)
        refuse_without_effect(
            ("strong", "weak", "models", "prices"),
            "with --config, candidates and prices stand there",
        )
        settings = load_settings(config)
        if router not in settings.routers:
            raise UnknownNameError("router", router, settings.routers)
        stated = settings.routers[router]
        artifact, options = stated.artifact, {**options, **stated.options}
        candidates = build_pool(settings).candidates
    return Opening(
        router=router,
        candidates=candidates,
        artifact=None if artifact is None else str(artifact),
        options=json.dumps(options, sort_keys=True, default=str),
    )


def _default_cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "turnout" / "review"


def _command() -> str:
    """The command as it was given, for the report."""
    return shlex.join(["turnout", *sys.argv[1:]])


def _write(out: Path, found: Any) -> None:
    from turnout.review.html import to_html

    out.mkdir(parents=True, exist_ok=True)
    for name, content in (
        ("review.html", to_html(found)),
        ("review.json", found.to_json()),
        ("review.txt", found.to_text()),
    ):
        (out / name).write_text(content, encoding="utf-8")
        click.echo(f"wrote {out / name}", err=True)


class _Progress:
    """Progress on standard error: one line on a terminal, now and then a line elsewhere."""

    def __init__(self, every_s: float = 10.0) -> None:
        self._start = self._last = time.monotonic()
        self._every_s = 0.5 if sys.stderr.isatty() else every_s

    def __call__(self, size: int, total: int, calls: int, kept: int) -> None:
        now, ended = time.monotonic(), size >= total
        if now - self._last < self._every_s and not (ended and now - self._start > self._every_s):
            return
        self._last = now
        left = (now - self._start) * (total - size) / max(size, 1)
        from_cache = f", {kept:,} parts from the cache" if kept else ""
        text = f"{size / max(total, 1):.0%} read, {calls:,} calls{from_cache}, {left:,.0f} s left"
        tty = sys.stderr.isatty()
        click.echo(f"\r{text:<72}" if tty else text, nl=not tty or ended, err=True)
