"""What is left of settings when the entries that cannot be used are taken out, so that the rest is read."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, TypeAlias

from pydantic import ValidationError

from turnout.errors import close_to
from turnout.settings.lines import STEP
from turnout.settings.problems import Say, in_order, path_text, settings_problem
from turnout.settings.shape import known_keys
from turnout.settings.tree import Settings

Path: TypeAlias = tuple[int | str, ...]

_GONE = object()
STAND_IN = "http://stand-in.invalid/v1"
"""Base URL of a provider in place of the only one, which cannot be used: so that the rest is read."""


class Pruned:
    """A tree of which entries are taken out one by one; paths stay those of the file.

    Args:
        raw: the settings as values. It is not changed.
    """

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self._tree: Any = deepcopy(dict(raw))
        self._removed: set[Path] = set()
        self.names: set[str] = set()
        """Of the entries that are gone, as far as they say it (of `nam: x`, `x` may be the name): what
        else speaks of them is no problem of its own."""

    def remove(self, path: Path) -> bool:
        """Take out what stands at a path; False where nothing does, or it is the whole."""
        if not path:
            return False
        again = path in self._removed
        self._removed.add(path)
        holder = self._at(path[:-1])
        last = path[-1]
        if isinstance(holder, dict) and last in holder:
            gone = holder.pop(last)
        elif isinstance(holder, list) and isinstance(last, int) and last < len(holder):
            gone, holder[last] = holder[last], _GONE
        else:
            return False
        self.names.add(str(last))
        held = gone.values() if isinstance(gone, dict) else [gone]
        self.names |= {text for text in held if isinstance(text, str)}
        if path[:-1] == ("providers",) and not holder and not again:
            holder[last] = {"base_url": STAND_IN}
        return True

    def follows(self, path: Path) -> bool:
        """Whether a problem at a path is there because something at or below it is gone."""
        return any(gone[: len(path)] == path for gone in self._removed)

    def rest(self) -> Any:
        """What is left."""
        return _compact(self._tree)

    def original(self, path: Path) -> Path:
        """The path in the file of a path in what is left."""
        found: Path = ()
        for step in path:
            holder = self._at(found)
            if isinstance(step, int) and isinstance(holder, list):
                kept = [i for i, entry in enumerate(holder) if entry is not _GONE]
                step = kept[step] if step < len(kept) else step
            found = (*found, step)
        return found

    def original_field(self, field: str) -> str:
        """The same of a path as errors name it, such as `candidates[1].price`."""
        steps = STEP.findall(field)
        path = tuple(int(s[1:-1]) if s.startswith("[") else s for s in steps)
        found = self.original(path)
        return field if found == path else path_text(found)

    def _at(self, path: Path) -> Any:
        at = self._tree
        for step in path:
            try:
                at = at[step]
            except (KeyError, IndexError, TypeError):
                return None
        return at


def _compact(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _compact(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_compact(inner) for inner in value if inner is not _GONE]
    return value


def sound_part(pruned: Pruned, raw: Mapping[str, Any], say: Say) -> Settings | None:
    """The settings without what cannot be used, each of which is said.

    Args:
        pruned: with `${NAME}` filled; entries are taken out of it.
        raw: the settings as they stand in the file.
        say: told of each problem.

    Returns:
        None where nothing is left that serves.
    """
    while True:
        try:
            return Settings.model_validate(pruned.rest())
        except ValidationError as error:
            found = [{**one, "loc": pruned.original(one["loc"])} for one in in_order(error)]
        misspelt = {_meant(one["loc"]) for one in found if one["type"] == "extra_forbidden"}
        for one in found:
            if one["loc"] not in misspelt and not pruned.follows(one["loc"]):
                say(settings_problem(one, raw))
        taken = [_take_out(pruned, one) for one in found]  # all of them, before the next look
        if not any(taken):
            return None


def _meant(loc: Path) -> Path:
    """The path of the setting that one which does not exist is likely to mean."""
    near = close_to(str(loc[-1]), known_keys(loc[:-1]))
    return (*loc[:-1], near) if near else ()


def _take_out(pruned: Pruned, problem: Mapping[str, Any]) -> bool:
    """Take out what a problem is about: where it is missing, the entry that needs it."""
    loc: Path = problem["loc"]
    if problem["type"] == "missing":
        return pruned.remove(loc[:-1])
    return pruned.remove(loc) or pruned.remove(loc[:-1])
