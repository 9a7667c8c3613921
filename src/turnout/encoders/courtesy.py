"""Take greetings, pleas and thanks off a prompt: they say nothing of how hard its task is.

A choice between models of like quality should not turn on "please". Only what stands alone at the
start or the end goes; a prompt that is nothing but courtesy stays as it is.
"""

from __future__ import annotations

import re

HEAD, TAIL = 400, 200
"""Characters looked at, so that a long prompt costs no more."""

_GREETING = r"(?:hi|hello|hey|dear|greetings|good (?:morning|afternoon|evening|day))\b[^.!?,:\n]{0,30}[.!,\n]"
_WISH = (
    r"(?:i hope|hope) (?:you|this|all)\b[^.!?\n]{0,80}[.!?\n]"
    r"|(?:thanks?|thank you|many thanks)\b[^.!?\n]{0,60}[.!?\n]"
)
_GRATEFUL = (
    r"(?:i|we)(?:'d| would)? (?:really |very much |greatly )?(?:appreciate|be (?:very |most |so )?"
    r"(?:grateful|thankful|happy|glad))\b[^.!?:\n]{0,100}[.!?:\n]"
)
_ASKING = (
    r"(?:i|we) (?:have|had) (?:a|one|this|another|the following) (?:\w+ )?(?:question|task|problem|request)"
    r"\b[^.!?:\n]{0,60}[.!?:\n]"
    r"|(?:could|can|would|will) you (?:please |kindly )?(?:help|assist)(?: me| us)?(?: out)?"
    r"(?: with (?:this|the following|it|something)\b[^.!?:\n]{0,60})?[.!?:\n]"
    r"|(?:could|can|would|will) you (?:please |kindly )?(?:answer|solve|do|look at|consider|take a look at) "
    r"(?:this|the following|it)\b[^.!?:\n]{0,60}[.!?:\n]"
    r"|(?:please |kindly )(?:help|assist)(?: me| us)? with (?:this|the following)\b[^.!?:\n]{0,60}[.!?:\n]"
    r"|(?:please |kindly )(?:answer|solve|consider|do) (?:this|the following)\b[^.!?:\n]{0,60}[.!?:\n]"
    r"|(?:if (?:it is|it's) (?:not )?(?:too much trouble|possible)|if you (?:do not|don't) mind),"
)
_PLEA = (
    r"(?:could|can|would|will) you (?:please|kindly)\b,?|would you mind\b"
    r"|(?:please|kindly)\b,?"
)
_OPENING = re.compile(
    rf"\s*(?:{_GREETING}|{_WISH}|{_GRATEFUL}|{_ASKING}|{_PLEA})\s*", re.IGNORECASE
)
_OPENED_BY = frozenset(["i ", "i'", *"ca co de go gr he hi ho if ki ma pl th we wi wo".split()])
"""The first two letters of every opening."""
_CLOSING = re.compile(
    r"(?:[.!?,]|\n)\s*(?:(?:many )?thanks|thank you|thx|cheers|please)\b"
    r"(?: (?:in advance|so much|very much|a lot|again|for your (?:help|time)))*[\s.!]*\Z",
    re.IGNORECASE,
)
_CLOSED_BY = ("thank", "thx", "cheers", "please")
"""Every closing has one of these in it."""
_MOST = 4


def without_courtesy(text: str) -> str:
    """The text without openings and closings of pure courtesy; itself where nothing would be left."""
    head, at = text[:HEAD], 0
    for _ in range(_MOST):
        found = _OPENING.match(head, at) if _may_open(head[at : at + 2]) else None
        if found is None:
            break
        at = found.end()
    rest = text[at:]
    close = _closing(rest)
    if close is not None:
        rest = rest[: close.start()] + _mark(close[0])
    if at == 0 and close is None:
        return text
    return rest if any(c.isalnum() for c in rest) else text


def _may_open(start: str) -> bool:
    """Whether two characters may begin an opening; beyond ASCII other signs count as its letters."""
    return start.lower() in _OPENED_BY or not start.isascii() or start[:1].isspace()


def _closing(text: str) -> re.Match[str] | None:
    tail = text[-TAIL:]
    if tail.isascii():  # beyond ASCII other signs count as these letters
        small = tail.lower()
        if not any(map(small.__contains__, _CLOSED_BY)):
            return None
    return _CLOSING.search(text, max(len(text) - TAIL, 0))


def _mark(closing: str) -> str:
    """The mark that ended the task's own sentence."""
    mark = closing.strip()[:1]
    return mark if mark in ".!?" else ""
