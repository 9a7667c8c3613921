"""Settings from a YAML file, `${ENV}` in its values, environment variables over it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from turnout.errors import SettingsError
from turnout.settings.base import Tree
from turnout.settings.lines import line_of
from turnout.settings.problems import settings_error
from turnout.settings.resolving import (
    check_encoder_names,
    check_names,
    resolved,
    resolved_encoders,
    with_defaults,
)
from turnout.settings.tree import MINIMAL, EncoderSettings, Settings

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
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8"
        raise SettingsError("config", str(path), f"give a readable YAML file: {why}") from None
    try:
        return parse_settings(text, environ, folder=path.parent)
    except SettingsError as error:
        line = error.place or line_of(text, error.field)
        error.place = f"{path}:{line}" if line else str(path)
        raise


def parse_settings(
    text: str, environ: Mapping[str, str] | None = None, *, folder: Path | None = None
) -> Settings:
    """Read settings from YAML text. See `load_settings`."""
    environ = os.environ if environ is None else environ
    raw = _read_yaml(text)
    for name, key in (("TURNOUT_HOST", "host"), ("TURNOUT_PORT", "port")):
        if name in environ:
            raw["listen"] = {**_mapping(raw, "listen"), key: environ[name]}
    try:
        settings = Settings.model_validate(_filled(raw, environ))
    except ValidationError as error:
        raise settings_error(error, raw) from None
    settings = with_defaults(settings)
    check_names(settings)
    return resolved(settings, environ, folder or Path())


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
    """`SafeLoader` that refuses a key given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                line = key.start_mark.line + 1
                twice = SettingsError(
                    key.value, f"line {line}", "this key is given twice; keep one"
                )
                twice.place = str(line)
                raise twice
            seen.add(getattr(key, "value", None) if isinstance(key, yaml.ScalarNode) else id(key))
        return super().construct_mapping(node, deep=deep)


def _read_yaml(text: str) -> dict[str, Any]:
    try:
        raw = _Loader(text).get_single_data()
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


def _filled(value: Any, environ: Mapping[str, str], at: str = "") -> Any:
    """The tree with every `${NAME}` in its strings replaced."""
    if isinstance(value, dict):
        return {k: _filled(v, environ, f"{at}.{k}" if at else str(k)) for k, v in value.items()}
    if isinstance(value, list):
        return [_filled(v, environ, f"{at}[{i}]") for i, v in enumerate(value)]
    if not isinstance(value, str):
        return value

    def variable(found: re.Match[str]) -> str:
        name = found[1]
        if name not in environ:
            raise SettingsError(at, found[0], f"set the environment variable {name}")
        return environ[name]

    return _ENV.sub(variable, value)
