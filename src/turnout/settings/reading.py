"""Settings from a YAML file, `${ENV}` in its values, environment variables over it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from turnout.errors import SettingsError
from turnout.settings.base import Tree
from turnout.settings.lines import line_of
from turnout.settings.problems import Say, path_text, settings_error, stop
from turnout.settings.pruning import Pruned, sound_part
from turnout.settings.resolving import (
    check_encoder_names,
    check_names,
    resolved,
    resolved_encoders,
    with_defaults,
)
from turnout.settings.tree import MINIMAL, Settings
from turnout.settings.upstreams import EncoderSettings

_ENV = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def load_settings(path: Path | str, environ: Mapping[str, str] | None = None) -> Settings:
    """Read a settings file; relative paths in it start at its folder.

    Args:
        path: a YAML file.
        environ: for `${NAME}`, `api_key_env`, `TURNOUT_HOST` and `TURNOUT_PORT`; default: the
            process environment.

    Raises:
        SettingsError: names the field, the value (never a secret) and the remedy.
    """
    path = Path(path)
    text = _text_of(path)
    try:
        return parse_settings(text, environ, folder=path.parent)
    except SettingsError as error:
        line = _line(text, error)
        error.place = f"{path}:{line}" if line else str(path)
        raise


def parse_settings(
    text: str, environ: Mapping[str, str] | None = None, *, folder: Path | None = None
) -> Settings:
    """Read settings from YAML text. See `load_settings`."""
    environ = os.environ if environ is None else environ
    raw = _with_environment(_read_yaml(text, stop), environ)
    try:
        settings = Settings.model_validate(_filled(raw, environ, _stop_at))
    except ValidationError as error:
        raise settings_error(error, raw) from None
    return _finished(settings, environ, folder or Path(), stop)


@dataclass(frozen=True, slots=True)
class Reading:
    """What could be read of a settings file, and everything that is wrong with it."""

    text: str
    raw: Mapping[str, Any]
    """As the file has it."""
    settings: Settings | None
    """Without what cannot be used; None where nothing is left that serves."""
    problems: list[SettingsError]
    """In the order of the file; each has its place."""


def read_through(path: Path | str, environ: Mapping[str, str] | None = None) -> Reading:
    """Read a settings file to its end, whatever is wrong with it. See `load_settings`."""
    path = Path(path)
    environ = os.environ if environ is None else environ
    problems: list[SettingsError] = []
    text, raw, settings = "", {}, None
    try:
        text = _text_of(path)
        raw = _read_yaml(text, problems.append)
        settings = _sound(_with_environment(raw, environ), environ, path.parent, problems.append)
    except SettingsError as error:  # of the file as a whole: nothing can be read after it
        problems.append(error)
    placed = [(_line(text, problem) or 0, problem) for problem in problems]
    for line, problem in placed:
        problem.place = f"{path}:{line}" if line else str(path)
    placed.sort(key=lambda one: one[0])
    return Reading(text, raw, settings, [problem for _, problem in placed])


def _sound(
    raw: dict[str, Any], environ: Mapping[str, str], folder: Path, say: Say
) -> Settings | None:
    """The settings without what cannot be used, each of which is said once."""
    empty: list[tuple[int | str, ...]] = []

    def unset(path: tuple[int | str, ...], problem: SettingsError) -> None:
        say(problem)
        empty.append(path)

    pruned = Pruned(_filled(raw, environ, unset))
    for path in empty:
        pruned.remove(path)
    settings = sound_part(pruned, raw, say)
    if settings is None:
        return None

    def say_own(problem: SettingsError) -> None:
        """What is wrong by itself, and not because another entry is out."""
        without_store = problem.field == "dashboard" and pruned.follows(("store",))
        if problem.value not in pruned.names and not without_store:
            field = pruned.original_field(problem.field)
            say(SettingsError(field, problem.value, problem.remedy))

    return _finished(settings, environ, folder, say_own)


def _finished(settings: Settings, environ: Mapping[str, str], folder: Path, say: Say) -> Settings:
    settings = with_defaults(settings)
    check_names(settings, say)
    return resolved(settings, environ, folder, say)


def _with_environment(raw: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """The settings with where to listen, as the environment says."""
    found = dict(raw)
    for name, key in (("TURNOUT_HOST", "host"), ("TURNOUT_PORT", "port")):
        if name in environ:
            found["listen"] = {**_mapping(found, "listen"), key: environ[name]}
    return found


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8"
        raise SettingsError("config", str(path), f"give a readable YAML file: {why}") from None


def _line(text: str, problem: SettingsError) -> int | None:
    return int(problem.place) if problem.place else line_of(text, problem.field)


class _EncodersAlone(Tree):
    encoders: dict[str, EncoderSettings]


def read_encoders(
    given: Mapping[str, Any], environ: Mapping[str, str] | None = None
) -> dict[str, EncoderSettings]:
    """The `encoders` section alone, as values: what a file says below that word.

    Raises:
        SettingsError: names the field, the value (never a secret) and the remedy.
    """
    raw = {"encoders": dict(given)}
    try:
        found = _EncodersAlone.model_validate(raw).encoders
    except ValidationError as error:
        raise settings_error(error, raw) from None
    check_encoder_names(found)
    return resolved_encoders(found, os.environ if environ is None else environ, Path())


class _Loader(yaml.SafeLoader):
    """`SafeLoader` that tells of a key given twice; the last one counts."""

    def __init__(self, text: str, say: Say) -> None:
        super().__init__(text)
        self._say = say

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                line = key.start_mark.line + 1
                twice = SettingsError(
                    key.value, f"line {line}", "this key is given twice; keep one"
                )
                twice.place = str(line)
                self._say(twice)
            seen.add(getattr(key, "value", None) if isinstance(key, yaml.ScalarNode) else id(key))
        return super().construct_mapping(node, deep=deep)


def _read_yaml(text: str, say: Say) -> dict[str, Any]:
    try:
        raw = _Loader(text, say).get_single_data()
    except SettingsError:
        raise
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "the file"
        invalid = SettingsError("config", where, f"write valid YAML: {error.problem}")
        invalid.place = str(mark.line + 1) if mark else ""
        raise invalid from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise SettingsError(
            "config", "the file", f"write valid YAML: {type(error).__name__}"
        ) from None
    if not isinstance(raw, dict):
        raise SettingsError("config", type(raw).__name__, f"write a mapping, such as\n{MINIMAL}")
    return raw


def _mapping(raw: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = raw.get(key)
    return dict(value) if isinstance(value, dict) else {}


def _stop_at(_: tuple[int | str, ...], problem: SettingsError) -> None:
    raise problem


def _filled(
    value: Any,
    environ: Mapping[str, str],
    unset: Callable[[tuple[int | str, ...], SettingsError], None],
    at: tuple[int | str, ...] = (),
) -> Any:
    """The tree with every `${NAME}` in its strings replaced; `unset` is told of those that are not."""
    if isinstance(value, dict):
        return {k: _filled(v, environ, unset, (*at, k)) for k, v in value.items()}
    if isinstance(value, list):
        return [_filled(v, environ, unset, (*at, i)) for i, v in enumerate(value)]
    if not isinstance(value, str):
        return value

    def variable(found: re.Match[str]) -> str:
        name = found[1]
        if name not in environ:
            remedy = f"set the environment variable {name}"
            unset(at, SettingsError(path_text(at), found[0], remedy))
        return environ.get(name, "")

    return _ENV.sub(variable, value)
