"""What a look at settings found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from turnout.errors import InputError, SettingsError, TurnoutError, show
from turnout.observe.redaction import Redactor
from turnout.settings.lines import line_of

Level: TypeAlias = Literal["error", "warning", "note"]
"""`error`: a gateway does not start with it, or cannot serve. `warning`: legal, but likely wrong.
`note`: what could not be looked at, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was found."""

    level: Level
    code: str
    """Stable, for machines: an error's own code, or a warning's name such as `open-to-all`."""
    field: str
    """As errors name it, such as `candidates[1].price`; empty where it is about no single one."""
    message: str
    """What is wrong."""
    remedy: str = ""
    """What to do about it, where the message does not say it."""
    value: str | None = None
    """The value that is wrong, as `repr`; None where it is not shown or there is none."""
    line: int | None = None
    """Of the field in the file, from 1."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(slots=True)
class Findings:
    """Collects what is found in one file, with lines, and without a secret.

    Args:
        text: of the file.
    """

    text: str = ""
    redactor: Redactor = field(default_factory=Redactor)
    listed: list[Finding] = field(default_factory=list)

    def add(self, found: Finding) -> None:
        """Add one; its line is looked up where it has none."""
        line = found.line
        if line is None and found.field:
            line = line_of(self.text, found.field)
        clean = self.redactor.clean
        shown = None if found.value is None else clean(found.value)
        self.listed.append(
            replace(
                found,
                line=line,
                value=shown,
                message=clean(found.message),
                remedy=clean(found.remedy),
            )
        )

    def say(self, problem: SettingsError) -> None:
        """Add an error of the settings."""
        self.fail(problem, problem.field)

    def fail(self, problem: TurnoutError, field: str) -> None:
        """Add an error about a field of the settings."""
        if not isinstance(problem, InputError):
            self.add(Finding(level="error", code=problem.code, field=field, message=str(problem)))
            return
        shown = show(problem.value)
        own = "" if field == problem.field else f"{problem.field}: "
        place = getattr(problem, "place", "").rpartition(":")[2]
        self.add(
            Finding(
                level="error",
                code=problem.code,
                field=field,
                message=f"{own}{shown} is not usable",
                remedy=problem.remedy,
                value=shown,
                line=int(place) if place.isdigit() else None,
            )
        )

    def trying(self, work: Callable[[], Any], field: str) -> Any:
        """What some work gives; None where it fails, which is an error about a field."""
        try:
            return work()
        except SettingsError as error:
            self.say(error)
        except TurnoutError as error:
            self.fail(error, field)
        return None


@dataclass(frozen=True, slots=True)
class Report:
    """A look at a settings file."""

    file: str
    findings: tuple[Finding, ...]
    facts: dict[str, Any]
    """What was seen, JSON-ready: names and counts, never a secret."""

    def count(self, level: Level) -> int:
        """How many findings are of a level."""
        return sum(found.level == level for found in self.findings)

    def exit_code(self, *, strict: bool) -> int:
        """2 with errors; with `strict` 1 where there are warnings; else 0."""
        if self.count("error"):
            return 2
        return 1 if strict and self.count("warning") else 0

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "file": self.file,
            "errors": self.count("error"),
            "warnings": self.count("warning"),
            "findings": [found.to_dict() for found in self.findings],
            "facts": self.facts,
        }
