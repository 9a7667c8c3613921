"""Reading JSON objects so that nothing is overlooked: what is not taken is refused by name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from turnout.errors import RequestError, TranslationError
from turnout.wire.reading import OBJECT, Kind, kind

_WORD = re.compile(r"[A-Za-z0-9_.:@/-]{1,60}\Z")
_INDEX = re.compile(r"\[\d+\]")
_ELSEWHERE = "send this request to a model that speaks the same API, or leave it out"


@dataclass(slots=True)
class Notes:
    """What was left out or changed by a rule, each once, in order."""

    lines: dict[str, None] = field(default_factory=dict)

    def add(self, name: str, rule: str) -> None:
        """Note one; `name` has no index, so that a list of a thousand gives one line."""
        self.lines[f"{name}: {rule}"] = None

    def done(self) -> tuple[str, ...]:
        """The notes, in order."""
        return tuple(self.lines)


def shown(value: Any) -> object:
    """A value for an error: a short word as it is, anything else only by its kind."""
    if isinstance(value, bool) or (isinstance(value, int | float) and abs(value) < 10**12):
        return value
    return value if isinstance(value, str) and _WORD.match(value) else kind(value)


def says_nothing(value: Any) -> bool:
    """Whether a field's value is as good as no field."""
    return value is None or (not value and isinstance(value, (list, *OBJECT)))


class Fields:
    """One JSON object. Take its fields, then `end()`, which refuses what was not taken.

    A field that is null, `[]` or `{}` says nothing and is neither taken nor refused.
    """

    def __init__(self, value: Any, path: str, notes: Notes) -> None:
        if not isinstance(value, OBJECT):
            raise RequestError(path or "body", kind(value), "give an object")
        self.path, self.notes = path, notes
        self._left = {n: v for n, v in value.items() if not says_nothing(v)}

    def at(self, name: str) -> str:
        """The full name of a field."""
        return f"{self.path}.{name}" if self.path else name

    def any(self, name: str) -> Any:
        """A value of any type; None where it is absent."""
        return self._left.pop(name, None)

    def text(self, name: str) -> str | None:
        """A string."""
        value = self.any(name)
        if value is not None and not isinstance(value, str):
            raise RequestError(self.at(name), kind(value), "give a string")
        return value

    def need_text(self, name: str) -> str:
        """A string that must be there."""
        value = self.text(name)
        if value is None:
            raise RequestError(self.at(name), Kind("a missing field"), "give a string")
        return value

    def flag(self, name: str) -> bool | None:
        """A boolean."""
        value = self.any(name)
        if value is not None and not isinstance(value, bool):
            raise RequestError(self.at(name), kind(value), "give true or false")
        return value

    def number(self, name: str) -> float | None:
        """A number."""
        value = self.any(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise RequestError(self.at(name), kind(value), "give a number")
        return value

    def whole(self, name: str) -> int | None:
        """A whole number."""
        value = self.number(name)
        if value is None or isinstance(value, int):
            return value
        if value.is_integer():
            return int(value)
        raise RequestError(self.at(name), shown(value), "give a whole number")

    def object(self, name: str) -> Fields | None:
        """An object, to be read in its turn."""
        value = self.any(name)
        return None if value is None else Fields(value, self.at(name), self.notes)

    def json(self, name: str) -> Mapping[str, Any] | None:
        """An object that is passed on as it is (a JSON schema)."""
        value = self.any(name)
        if value is not None and not isinstance(value, OBJECT):
            raise RequestError(self.at(name), kind(value), "give an object")
        return value

    def list(self, name: str) -> Iterator[tuple[str, Any]]:
        """The items of a list with their full names."""
        value = self.any(name)
        if value is None:
            return
        if not isinstance(value, list):
            raise RequestError(self.at(name), kind(value), "give a list")
        for i, item in enumerate(value):
            yield f"{self.at(name)}[{i}]", item

    def strings(self, name: str) -> tuple[str, ...]:
        """The items of a list of strings."""
        found = []
        for at, item in self.list(name):
            if not isinstance(item, str):
                raise RequestError(at, kind(item), "give a string")
            found.append(item)
        return tuple(found)

    def word(self, name: str, known: Iterable[str]) -> str | None:
        """A string out of a set; another is refused as untranslatable."""
        value = self.text(name)
        if value is not None and value not in known:
            self.refuse(name, value, f"translated are: {', '.join(known)}")
        return value

    def form(self, known: Iterable[str], usual: str | None = None) -> str:
        """The `type` of a part, item or tool, which must be one that is translated."""
        value = self.any("type")
        value = usual if value is None else value
        if not isinstance(value, str):
            raise RequestError(self.at("type"), kind(value), "give a type")
        if value not in known:
            self.refuse("type", value, f"translated are: {', '.join(known)}")
        return value

    def default(self, name: str, *harmless: Any) -> None:
        """Take a field that can be left out where it has one of these values; else refuse it."""
        value = self.any(name)
        if value is not None and not any(value == h and type(value) is type(h) for h in harmless):
            self.refuse(name, value)

    def drop(self, name: str, rule: str) -> None:
        """Take a field that is left out by a rule, and note it."""
        if self.any(name) is not None:
            self.notes.add(_INDEX.sub("", self.at(name)), rule)

    def refuse(self, name: str, value: Any, remedy: str = _ELSEWHERE) -> NoReturn:
        """Refuse a field by name: the other dialect cannot say it."""
        raise TranslationError(self.at(name), shown(value), remedy)

    def end(self) -> None:
        """Refuse the first field that was not taken."""
        for name, value in self._left.items():
            self.refuse(name if _WORD.match(name) else "(a field)", value)
