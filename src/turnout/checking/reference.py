"""The reference of all settings, written from their classes."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from turnout.gateway.deploying import RELOADED
from turnout.settings import Settings
from turnout.settings.embeddings import EmbeddingPriceSettings
from turnout.settings.examples import EXAMPLES
from turnout.settings.prices import OtherRates, PriceSettings
from turnout.settings.shape import entry_of, model_of, options

_UNITS = {
    "_usd_per_day": "USD a day",
    "_usd": "USD",
    "_bytes": "bytes",
    "_tokens": "tokens",
    "_tokens_per_minute": "tokens a minute",
    "_requests_per_minute": "requests a minute",
    "_s": "seconds",
}
"""What a setting's name ends with → its unit."""
_PRICES = (PriceSettings, OtherRates, EmbeddingPriceSettings)
_PLAIN: dict[Any, str] = {
    bool: "true or false",
    int: "whole number",
    float: "number",
    str: "text",
    Path: "path",
    SecretStr: "secret text",
    datetime: "time",
    Any: "anything",
}
_SIGNS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}

_HEAD = """\
# Settings

Every key of `turnout.yaml`, written from the code by `make docs-reference` (or `turnout check
--reference`). A setting's name ends with its unit: `_s` are seconds, `_usd` US dollars, `_bytes` bytes.
A key that is not here is refused, with the nearest name. [`turnout check`](../guides/check.md) says what
is wrong with a file.

- `${NAME}` in any text is replaced by that environment variable; one that is not set is an error.
- Relative paths start at the settings' folder.
- `TURNOUT_HOST` and `TURNOUT_PORT` go over `listen`.
- Secrets are read from the environment (`…_env`) or a file (`…_file`). One in the settings themselves
  works, and is warned of.
- "Reload" says whether SIGHUP or `--watch` takes a change while the gateway runs; of `routers`, not while
  `learn` is set.
"""


@dataclass(frozen=True, slots=True)
class Key:
    """One setting, in words."""

    name: str
    type: str
    default: str
    unit: str
    what: str


@dataclass(frozen=True, slots=True)
class Part:
    """A mapping of the settings: the whole, a section, or what a section holds."""

    path: str
    """Such as `candidates[].price`; empty for the whole."""
    cls: type[BaseModel]

    @property
    def section(self) -> str:
        """The key of the whole that it is below."""
        return re.split(r"[.\[]", self.path)[0]

    def settings(self) -> list[Key]:
        """Its settings, in the order of the code."""
        said = docstrings(self.cls)
        return [_key(self.cls, n, f, said[n]) for n, f in self.cls.model_fields.items()]


def parts() -> list[Part]:
    """Every mapping of the settings with known keys, sections in the order of the code."""
    return list(_parts(Settings, ""))


def _parts(cls: type[BaseModel], path: str) -> Iterator[Part]:
    yield Part(path, cls)
    for name, field in cls.model_fields.items():
        below, at = model_of(field.annotation), f"{path}.{name}".removeprefix(".")
        entry = entry_of(field.annotation)
        if below is None and entry is not None:
            below, at = model_of(entry), f"{at}{_held(field.annotation)}"
        if below is not None:
            yield from _parts(below, at)


def _held(annotation: Any) -> str:
    return ".NAME" if any(get_origin(o) is dict for o in options(annotation)) else "[]"


def docstrings(cls: type[BaseModel]) -> dict[str, str]:
    """Attribute → the text below it, in its class and those that it is made from."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if not base.__module__.startswith("turnout"):
            continue
        [made] = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        assert isinstance(made, ast.ClassDef)
        for field, after in zip(made.body, made.body[1:], strict=False):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(after, ast.Expr)
                and isinstance(after.value, ast.Constant)
            ):
                found[field.target.id] = " ".join(str(after.value.value).split())
    return found


def _key(cls: type[BaseModel], name: str, field: FieldInfo, what: str) -> Key:
    return Key(name, _type(field), _default(field), _unit(cls, name), what)


def _unit(cls: type[BaseModel], name: str) -> str:
    if issubclass(cls, _PRICES) and name.endswith("_usd"):
        return "USD per million tokens"
    fit = [end for end in _UNITS if f"_{name}".endswith(end)]
    return _UNITS[max(fit, key=len)] if fit else ""


def _type(field: FieldInfo) -> str:
    text = _words(field.annotation)
    limits = _limits([*field.metadata, *_inner(field.annotation)])
    return f"{text}, {limits}" if limits else text


def _words(annotation: Any) -> str:
    """A type in words, None left out."""
    return " or ".join(_one(option) for option in options(annotation))


def _one(option: Any) -> str:
    origin, args = get_origin(option), get_args(option)
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in args)
    if origin is tuple:
        return f"list of {_plural(args[0])}"
    if origin is dict:
        keys = _words(args[0])
        return f"mapping of {'names' if keys == 'text' else keys} to {_plural(args[1])}"
    if isinstance(option, type) and issubclass(option, BaseModel):
        return "mapping"
    return _PLAIN[option]


def _plural(annotation: Any) -> str:
    words = _words(annotation)
    plain = {"mapping": "mappings", "text": "texts", "number": "numbers", "whole number": "numbers"}
    return plain.get(words, words)


def _inner(annotation: Any) -> Iterator[Any]:
    """What is said of the type itself, where it is an alias with limits."""
    for arg in get_args(annotation):
        if get_origin(arg) is Annotated:
            yield from arg.__metadata__


def _limits(metadata: list[Any]) -> str:
    found = []
    for one in metadata:
        for limit in one.metadata if isinstance(one, FieldInfo) else [one]:
            found += [
                f"{sign} {getattr(limit, name):g}"
                if abs(getattr(limit, name)) < 1e6
                else f"{sign} {getattr(limit, name):,.0f}"
                for name, sign in _SIGNS.items()
                if getattr(limit, name, None) is not None
            ]
    return ", ".join(dict.fromkeys(found))


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "must be given"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return "as below"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, dict) and value:
        return ", ".join(f"`{name}`" for name in value)
    return f"`{value}`" if value or value == 0 else "none"


def reference_page() -> str:
    """The page, as Markdown."""
    whole, *rest = parts()
    lines = [_HEAD, "## All sections", "", *_table(whole)]
    for section in Settings.model_fields:
        lines += ["", f"## {section}", ""]
        own = [part for part in rest if part.section == section]
        if not own:
            said = docstrings(Settings)[section]
            lines += [said, ""]
        lines += ["```yaml", EXAMPLES[section].rstrip(), "```"]
        for part in own:
            lines += ["", f"### `{part.path}`", "", " ".join(str(part.cls.__doc__).split()), ""]
            lines += _table(part)
            if part.cls.model_config.get("extra") == "allow":
                lines += ["", "Any other key is an option of the router itself."]
    return "\n".join(lines) + "\n"


def _table(part: Part) -> Iterator[str]:
    yield "| key | type | default | unit | reload | |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for key in part.settings():
        taken = "yes" if (part.section or key.name) in RELOADED else "no, restart"
        cells = (f"`{key.name}`", key.type, key.default, key.unit, taken, key.what)
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
