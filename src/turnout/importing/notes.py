"""What an import says: what it left out, what it changed, what is to be done by hand."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z", re.ASCII)
_ENVIRON = "os.environ/"


@dataclass(slots=True)
class Notes:
    """Collects what is said, each once, in order. It never holds a value that could be a secret."""

    left_out: dict[str, str] = field(default_factory=dict)
    """Where in the source → why it is not carried over."""
    changed: dict[str, str] = field(default_factory=dict)
    """Where in the source → what became of it."""
    variables: dict[str, str] = field(default_factory=dict)
    """Environment variables to set → what each must hold."""

    def leave(self, where: str, why: str, value: Any = None) -> None:
        """Something is not carried over; numbers and truth values are shown, as no secret is one."""
        shown = f" ({value})" if isinstance(value, int | float) else ""
        self.left_out.setdefault(f"{where}{shown}", why)

    def change(self, where: str, what: str) -> None:
        """Something is carried over, but not as it was."""
        self.changed.setdefault(where, what)

    def lines(self) -> list[str]:
        """All of it, for people."""
        found = []
        for title, said in (
            ("Set in the environment", self.variables),
            ("Carried over in another form", self.changed),
            ("Not carried over", self.left_out),
        ):
            if said:
                found += [f"{title}:", *(f"- {_plain(f'{w}: {why}')}" for w, why in said.items())]
        return found


def _plain(text: str) -> str:
    """On one line: a name of the source must not end the comment that it stands in."""
    return "".join(c if c.isprintable() else " " for c in text)


def variable_of(value: Any) -> str | None:
    """The environment variable that `os.environ/NAME` names; None of anything else."""
    if isinstance(value, str) and value.startswith(_ENVIRON):
        name = value.removeprefix(_ENVIRON)
        return name if _VARIABLE.match(name) else None
    return None


def filled(value: str) -> str:
    """A text with `os.environ/NAME` as settings write it: `${NAME}`."""
    name = variable_of(value)
    return value if name is None else f"${{{name}}}"


def number(given: Mapping[str, Any], key: str) -> float | None:
    """A number of a mapping, which may be written as text; None where it is none."""
    value = given.get(key)
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return None
    return value if isinstance(value, int | float) else None
