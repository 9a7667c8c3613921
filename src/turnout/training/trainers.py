"""Which routers `turnout train` can fit, and how: heads by the common fit, others by their own."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from turnout import registry
from turnout.artifacts.opening import trainable
from turnout.data.table import OutcomeTable
from turnout.encoders.opening import DEFAULT
from turnout.errors import InputError, UnknownNameError, suggest
from turnout.training.fit import STEPS, Fitted, Progress, fit_router


class Trainer(Protocol):
    """Fits one router on outcomes. Registered in the group `turnout.trainers`.

    Keywords beyond these are the router's own options (`--option NAME=VALUE`); their defaults and
    annotations (int, float, str, bool) say what they take.

    A trainer that declares `checkpoint: Path | None = None` is given a folder of its own, not made
    yet, in which it may keep finished parts: a second run of the same command finds them there, a
    run of other data or options another folder. It goes once the artifact is written. Write parts
    whole (beside, then `replace`), since a run may be killed at any time.
    """

    def __call__(
        self,
        table: OutcomeTable,
        *,
        encoder: str = DEFAULT,
        seed: int = 0,
        source: str = "the caller's outcomes",
        progress: Progress = lambda _: None,
    ) -> Fitted:
        """The fitted router, calibrated on predictions that were made out of fold.

        Raises:
            DataError: outcomes that this router cannot be fitted on.
            MissingExtraError: a package that training needs is not installed.
        """
        ...


_COMMON = ("table", "encoder", "seed", "source", "progress", "checkpoint")


def names() -> tuple[str, ...]:
    """Names of the routers that can be trained."""
    return tuple(sorted({*trainable(), *registry.names("trainers")}))


def train(
    name: str,
    table: OutcomeTable,
    *,
    encoder: str = DEFAULT,
    seed: int = 0,
    source: str = "the caller's outcomes",
    progress: Progress = lambda _: None,
    options: Mapping[str, Any] | None = None,
    checkpoint: Path | None = None,
) -> Fitted:
    """Fit a router by name. See `Trainer`.

    Args:
        name: one of `names()`.
        table: prompts by models.
        encoder: name of the encoder.
        seed: the same seed, data and version give the same artifact.
        source: one line for the card.
        progress: told what is being done.
        options: of that router; text values are read as their annotation says.
        checkpoint: folder for finished parts, for those that keep any; see `Trainer`.

    Raises:
        UnknownNameError: no such router.
        InputError: an option that it does not take, or a value that is not of its type.
        DataError: outcomes that it cannot be fitted on.
    """
    if name not in registry.names("trainers"):
        if name not in trainable():
            raise UnknownNameError("trainable router", name, names())
        _refuse(name, options or {}, {})
        return fit_router(
            name,
            table,
            encoder=encoder,
            seed=seed,
            source=source,
            progress=progress,
            checkpoint=checkpoint,
        )
    trainer: Trainer = registry.load("trainers", name)
    own = own_options(name)
    _refuse(name, options or {}, own)
    typed = {key: read_option(key, value, own[key]) for key, value in (options or {}).items()}
    if "checkpoint" in inspect.signature(trainer).parameters:
        typed["checkpoint"] = checkpoint
    return trainer(table, encoder=encoder, seed=seed, source=source, progress=progress, **typed)


def steps(name: str) -> int | None:
    """How often the training of a router tells its progress; None where only it knows.

    A trainer of its own may say so by an attribute `steps`.
    """
    if name not in registry.names("trainers"):
        return STEPS
    stated = getattr(registry.load("trainers", name), "steps", None)
    return stated if isinstance(stated, int) else None


def own_options(name: str) -> dict[str, inspect.Parameter]:
    """The options of a router's trainer beyond the common ones."""
    if name not in registry.names("trainers"):
        return {}
    takes = inspect.signature(registry.load("trainers", name), eval_str=True).parameters
    return {key: value for key, value in takes.items() if key not in _COMMON}


def read_option(name: str, value: Any, parameter: inspect.Parameter) -> Any:
    """A value as its annotation says; only text is converted.

    Raises:
        InputError: it is not of that type.
    """
    if not isinstance(value, str):
        return value
    wanted = parameter.annotation
    if wanted is bool:
        if value.lower() in ("true", "false"):
            return value.lower() == "true"
        raise InputError(f"option {name}", value, "give true or false")
    if wanted in (int, float):
        try:
            return wanted(value)
        except ValueError:
            kind = "a whole number" if wanted is int else "a number"
            raise InputError(f"option {name}", value, f"give {kind}") from None
    return value


def _refuse(name: str, given: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    for key in given:
        if key not in known:
            listed = ", ".join(known) or "none"
            raise InputError(
                f"options of training {name}", key, f"it takes: {listed}.{suggest(key, known)}"
            )
