"""The shape of the settings tree, read off its classes: which keys stand where."""

from __future__ import annotations

import types
from collections.abc import Sequence
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from turnout.settings.tree import Settings

_NONE = type(None)


def known_keys(path: Sequence[int | str]) -> list[str]:
    """The keys of the mapping at a path, such as `("candidates", 0)`; of the whole for one unknown."""
    return list((model_at(path) or Settings).model_fields)


def model_at(path: Sequence[int | str]) -> type[BaseModel] | None:
    """The class of the settings at a path; None where there is no mapping with known keys."""
    at: Any = Settings
    for step in path:
        model = model_of(at)
        if model is None:
            at = _entry(at)
        elif step in model.model_fields:
            at = model.model_fields[str(step)].annotation
        else:
            return None
    return model_of(at)


def model_of(annotation: Any) -> type[BaseModel] | None:
    """The class of settings that an annotation allows, beside None or not."""
    for option in options(annotation):
        if isinstance(option, type) and issubclass(option, BaseModel):
            return option
    return None


def options(annotation: Any) -> list[Any]:
    """What an annotation allows, None left out: the members of a union, else itself."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return options(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return [o for arg in get_args(annotation) for o in options(arg) if o is not _NONE]
    return [annotation]


def entry_of(annotation: Any) -> Any | None:
    """What a list or a mapping with free keys holds; None of anything else."""
    for option in options(annotation):
        origin, args = get_origin(option), get_args(option)
        if origin is dict:
            return args[1]
        if origin in (tuple, list):
            return args[0]
    return None


def _entry(annotation: Any) -> Any:
    return entry_of(annotation) or _NONE
