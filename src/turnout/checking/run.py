"""A look at a settings file, from its text to what it opens."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from turnout.checking.advice import Seen, advise
from turnout.checking.findings import Finding, Findings, Report
from turnout.checking.opening import facts_of, open_all
from turnout.checking.secrets import in_clear, sources
from turnout.checking.stores import check_store
from turnout.observe.redaction import Redactor
from turnout.settings.reading import Reading, read_through
from turnout.settings.secrets import secrets_in

DEADLINE_S = 10.0
"""Of everything that is asked online."""

_CANDIDATES = ("candidates", "default")


def check_file(
    path: Path,
    environ: Mapping[str, str] | None = None,
    *,
    online: bool = False,
    deadline_s: float = DEADLINE_S,
) -> Report:
    """Look through a settings file. Nothing is changed, and nothing is called unless `online`.

    Args:
        path: of the file.
        environ: for what settings read from the environment; default: the process's own.
        online: ask each provider for its models, and open a PostgreSQL store and a Redis.
        deadline_s: of these questions, all together.
    """
    environ = os.environ if environ is None else environ
    reading = read_through(path, environ)
    redactor = Redactor(secrets_in(reading.settings, environ))
    found = Findings(reading.text, redactor)
    for problem in reading.problems:
        found.say(problem)
    facts: dict[str, Any] = {}
    for finding in in_clear(reading.raw):
        found.add(finding)
    named = sources(reading.raw, environ, path.parent)
    facts["secrets"] = [
        {"field": s.field, "from": s.kind, "name": redactor.clean(s.name), "present": s.present}
        for s in named
    ]
    _check_rest(reading, found, facts, online=online, deadline_s=deadline_s)
    listed = sorted(found.listed, key=_in_order)
    return Report(str(path), tuple(listed), facts)


def _check_rest(
    reading: Reading, found: Findings, facts: dict[str, Any], *, online: bool, deadline_s: float
) -> None:
    """What settings open, what is likely wrong with them, and what is asked online."""
    settings = reading.settings
    if settings is None:
        message = (
            "routers, files and the store were not looked at: too little of the settings is left"
        )
        found.add(Finding(level="note", code="not-opened", field="", message=message))
        return
    whole, all_routers = (
        not any(problem.field.startswith(section) for problem in reading.problems)
        for section in (_CANDIDATES, "routers")
    )
    opened = open_all(settings, found, whole=whole, all_routers=all_routers)
    store = None
    if settings.store is not None:
        store = check_store(settings.store, found, online=online)
        facts["store"] = store.to_dict()
    facts.update(facts_of(settings, opened))
    if reading.problems:
        # A warning about the rest could be about what is missing from it.
        message = "warnings are given once the settings are free of these errors"
        found.add(Finding(level="note", code="not-advised", field="", message=message))
    else:
        for warning in advise(Seen(settings, opened, store)):
            found.add(warning)
    if online:
        from turnout.checking.online import ask_all

        facts["online"] = ask_all(settings, opened.pool, found, deadline_s=deadline_s)


def _in_order(found: Finding) -> tuple[int, int]:
    """Errors first, then as they stand in the file."""
    return ("error", "warning", "note").index(found.level), found.line or 0
