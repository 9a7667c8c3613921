"""`turnout train causal_llm`: ask a judge about labelled prompts, and fit what its rates are worth."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from turnout import __version__
from turnout.data.groups import group_folds, near_duplicate_groups
from turnout.data.table import OutcomeTable
from turnout.encoders.opening import DEFAULT
from turnout.errors import InputError, RouterError
from turnout.routers.causal_llm import CausalLlmRouter, open_causal_llm
from turnout.routers.judged import MOST_FAILED, as_quality
from turnout.routers.pairs import fit_pair_rule
from turnout.routers.platt import Platt
from turnout.training.card import render_card
from turnout.training.fit import (
    FOLDS,
    Fitted,
    Progress,
    check_table,
    data_facts,
    make_reference,
)
from turnout.training.measuring import measure
from turnout.training.resume import keep_fold, kept_fold
from turnout.types import Floats

CHUNK = 50
"""Prompts asked before their rates are kept."""


def train_causal_llm(
    table: OutcomeTable,
    *,
    encoder: str = DEFAULT,
    seed: int = 0,
    source: str = "the caller's outcomes",
    progress: Progress = lambda _: None,
    checkpoint: Path | None = None,
    base_url: str = "",
    model: str = "",
    api_key_env: str = "",
    scheme: str = "five",
    file: str = "",
    api: str = "chat",
    timeout_s: float = 30.0,
    top_logprobs: int = 20,
    concurrency: int = 8,
    max_characters: int = 8_000,
    most: int = 2_000,
) -> Fitted:
    """Ask the judge, then fit Platt scaling of each model and the pair rule. See `Trainer`.

    The judge itself is not trained; it has seen no outcome, and what is fitted to its rates is
    measured out of fold. The artifact holds numbers alone: no texts, no key.

    Args:
        table: prompts by models.
        encoder: not used: the judge reads text.
        seed: of the sample and the folds.
        source: one line for the card.
        progress: told how many prompts were asked.
        checkpoint: folder for the rates that are paid for.
        base_url: as the router's option of that name, like those below; empty is not given.
        model: see `open_causal_llm`.
        api_key_env: see there.
        scheme: see there.
        file: see there.
        api: see there.
        timeout_s: see there.
        top_logprobs: see there.
        concurrency: see there.
        max_characters: see there.
        most: prompts to ask about; of more, a random part is taken.

    Raises:
        SettingsError: an option of the judge that cannot be used.
        InputError: an encoder, or `most` below 20.
        RouterError: the judge has no usable answer for more than a tenth of the prompts.
        DataError: outcomes that cannot be fitted on.
    """
    if encoder != DEFAULT:
        raise InputError("encoder", encoder, "a judge reads text itself: leave it out")
    if most < 20:
        raise InputError("option most", most, "give at least 20")
    judge = open_causal_llm(
        base_url=base_url,
        model=model,
        api_key_env=api_key_env or None,
        scheme=scheme,
        file=file or None,
        api=api,
        timeout_s=timeout_s,
        top_logprobs=top_logprobs,
        concurrency=concurrency,
        cache=max(most, CHUNK),
        max_characters=max_characters,
    )
    assert isinstance(judge, CausalLlmRouter)  # no artifact was given
    check_table(table)
    table = _sample(table, most, seed)
    rates = ask(judge, table.prompts, progress, checkpoint)
    answered = np.isfinite(rates)
    table, raw = (
        table.rows(answered),
        np.repeat(as_quality(rates[answered].tolist()), len(table.models), axis=1),
    )
    notes = check_table(table)
    groups = near_duplicate_groups(table.prompts, known=[str(g) for g in table.groups])
    predicted = _out_of_fold(raw, table.score, groups, seed)
    manifest: dict[str, Any] = {
        "router": "causal_llm",
        "turnout": __version__,
        "judge": judge.stated,
        "columns": {"names": list(table.models)},
        "pair": asdict(fit_pair_rule(predicted, table.score)),
        "data": data_facts(table, groups, source),
        "measured": measure(table, predicted, groups, seed=seed),
        "recipe": {"command": "turnout train causal_llm", "seed": seed, "folds": FOLDS},
        "notes": [
            *table.notes,
            *notes,
            f"the judge was asked {judge.spend.calls} times, {judge.spend.input_tokens} tokens in, "
            f"{judge.spend.output_tokens} out; {int((~answered).sum())} prompts got no usable answer",
            "open it with the judge's options (base_url, model, …) beside the artifact",
        ],
    }
    arrays = {
        **{f"platt/{k}": a for k, a in Platt.fit(raw, table.score).arrays().items()},
        **{f"reference/{k}": a for k, a in make_reference(table, predicted, seed).arrays().items()},
    }
    shown = {"name": f"judge {model}", "fingerprint": judge.stated["prompt"]}
    card = render_card({**manifest, "encoder": shown})
    return Fitted(name="causal_llm", manifest=manifest, arrays=arrays, card=card)


def ask(
    judge: CausalLlmRouter, prompts: tuple[str, ...], progress: Progress, folder: Path | None
) -> Floats:
    """(n,) win rates, NaN where the judge has none.

    Args:
        judge: asked `CHUNK` prompts at a time.
        prompts: n texts.
        progress: told before each chunk.
        folder: where whole chunks are kept; those found there are not asked again.

    Raises:
        RouterError: more than a tenth have none.
    """
    rates = np.full(len(prompts), np.nan, dtype=np.float32)
    failed, why = 0, ""
    for number, start in enumerate(range(0, len(prompts), CHUNK)):
        part = prompts[start : start + CHUNK]
        kept = kept_fold(folder, number, (len(part), 1))
        if kept is None:
            progress(f"asking the judge: prompt {start + 1} of {len(prompts)}")
            found = judge.rates(part)
            errors = [str(rate) for rate in found if isinstance(rate, RouterError)]
            failed, why = failed + len(errors), errors[0] if errors else why
            if failed > MOST_FAILED * len(prompts):
                raise RouterError(
                    f"{failed} of {min(start + CHUNK, len(prompts))} prompts got no usable answer, "
                    f"one because {why}; mend the judge and run the same command again"
                )
            usable = [np.nan if isinstance(rate, RouterError) else rate for rate in found]
            kept = np.asarray(usable, dtype=np.float32)[:, None]
            if not errors:  # a part with holes is asked again
                keep_fold(folder, number, kept)
        rates[start : start + CHUNK] = kept[:, 0]
    return rates


def _sample(table: OutcomeTable, most: int, seed: int) -> OutcomeTable:
    n = len(table.prompts)
    if n <= most:
        return table
    keep = np.zeros(n, dtype=bool)
    keep[np.random.default_rng(seed).permutation(n)[:most]] = True
    part = table.rows(keep)
    return replace(part, notes=(*part.notes, f"{most} of {n} prompts, drawn at random"))


def _out_of_fold(raw: Floats, score: Floats, groups: NDArray[np.intp], seed: int) -> Floats:
    """(n, m) qualities, each scaled by what was fitted on other groups."""
    if len(np.unique(groups)) < 2:
        return raw
    fold, found = group_folds(groups, FOLDS, seed=seed), raw.copy()
    for f in np.unique(fold):
        held = fold == f
        if not held.all():
            found[held] = Platt.fit(raw[~held], score[~held]).apply(raw[held])
    return found
