"""Constraints before scores: candidates that cannot do what the request needs are out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from turnout.types import Candidate, Query


def exclusions(
    query: Query,
    candidates: Sequence[Candidate],
    *,
    allow: Sequence[str] | None = None,
    barred: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Why each unfit candidate is out.

    Args:
        query: what is needed: capabilities, and a window that holds input and asked output.
        candidates: all of the pool. A property that is not known (None) excludes nothing.
        allow: names that may serve; None allows all.
        barred: names that may not serve for reasons of the caller's (a budget), and why; what a
            candidate cannot do is said before them.

    Returns:
        Candidate name → reason, for the unfit ones only.
    """
    found: dict[str, str] = {}
    for candidate in candidates:
        why = (
            _not_allowed(candidate, allow)
            or _unable(query, candidate)
            or _too_long(query, candidate)
            or (barred.get(candidate.name) if barred else None)
        )
        if why:
            found[candidate.name] = why
    return found


def _not_allowed(candidate: Candidate, allow: Sequence[str] | None) -> str:
    return "not on the allow-list" if allow is not None and candidate.name not in allow else ""


def _unable(query: Query, candidate: Candidate) -> str:
    if candidate.capabilities is None:
        return ""
    lacking = sorted(query.needs - candidate.capabilities)
    return f"cannot do {', '.join(lacking)}" if lacking else ""


def _too_long(query: Query, candidate: Candidate) -> str:
    asked = query.max_output_tokens or 0
    if candidate.max_output_tokens is not None and asked > candidate.max_output_tokens:
        return f"writes at most {candidate.max_output_tokens} tokens, {asked} were asked for"
    if (
        candidate.context_tokens is not None
        and query.input_tokens + asked > candidate.context_tokens
    ):
        return (
            f"its window of {candidate.context_tokens} tokens does not hold "
            f"about {query.input_tokens} of input and {asked} of output"
        )
    return ""
