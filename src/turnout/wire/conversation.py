"""What a request continues: the task that its user set, and what tools have done since.

In agents' traffic the last message is a tool's result, and a user's last word is often "ok, continue".
Neither says what is to be done, so routers read the task before them (litellm#38844: "ok continue"
was routed by itself, to a model whose window was too small for the conversation).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from turnout.types import Conversation

LONGEST_WORD_TO_GO_ON = 60
"""Characters of a text that may be no more than "yes, please go on"."""

_GO_ON = frozenset(
    "a again ahead alright and carry continue continuing do fine go going good great i it keep let's "
    "lgtm next nice no now ok okay on perfect please proceed resume retry right same sounds step sure "
    "thank thanks that that's the then this try with work working y yeah yep yes yup you "
    "weiter ja bitte danke mach oui continue continuer continuez merci vas-y d'accord si sí sigue "
    "continúa continua adelante gracias sim prossiga vai sì avanti grazie "
    "继续 好的 好 是的 请继续 続けて はい お願いします 계속 계속해 네 да продолжай дальше".split()
) | {""}
_MARKS = (
    ".,;:!?\"'`()[]-\N{HORIZONTAL ELLIPSIS}\N{IDEOGRAPHIC FULL STOP}\N{FULLWIDTH COMMA}"
    "\N{FULLWIDTH EXCLAMATION MARK}👍✅🙏"
)
_FAILED = (
    "error",
    "traceback (most recent call last)",
    "exception",
    "fatal:",
    "failed",
    "failure",
    "command failed",
    "tool error",
    "<error",
    "<tool_use_error",
    '{"error"',
    '{"iserror":true',
    '{"is_error":true',
)
_HARNESS = (("<system-reminder>", "</system-reminder>"), ("[Request interrupted by user", "]"))
"""Beginning and end of texts that coding agents put into the user's messages by themselves."""
_HARNESS_BEGINS = tuple(begin[:1] for begin, _ in _HARNESS)
_LOOKED_AT = 16
"""Characters that tell most texts from those, without a copy of the whole."""

GO_ON_NOTE = "the latest user text asks nothing new: routed by the task before it"


_FIRST = Conversation()


class Step(NamedTuple):
    """A message as far as the conversation goes, whichever API it comes from."""

    kind: Literal["user", "answer", "result", "other"]
    text: str = ""
    """Of a user: without what a harness put in."""
    calls: int = 0
    """Of an answer: tools that it calls."""
    failed: bool = False
    """Of a result."""


class Standing(NamedTuple):
    """The task, and what came after it."""

    task: str
    ends: Literal["task", "go_on", "tool"]
    rounds: int
    calls: int
    failed_in_row: int

    def conversation(
        self, *, messages: int, answered: bool, signed: bool = False, elsewhere: bool = False
    ) -> Conversation:
        """The same as routers and policies see it."""
        if messages == 1 and not (answered or elsewhere):
            return _FIRST
        return Conversation(
            messages=messages,
            answered=answered or elsewhere,
            ends=self.ends,
            tool_rounds=self.rounds,
            tool_calls=self.calls,
            failed_in_row=self.failed_in_row,
            signed=signed,
            elsewhere=elsewhere,
        )


def standing(latest_first: Iterable[Step], *, elsewhere: bool = False) -> Standing:
    """Walk back from the end of a conversation to the task that it is about.

    Args:
        latest_first: the messages from the last one; no more are taken than up to the task.
        elsewhere: what came before these is kept by the provider.

    Returns:
        The latest user text that asks for something; where none does, the latest user text; empty
        where there is none.
    """
    ends: Literal["task", "go_on", "tool"] | None = None
    first_word = ""
    rounds = calls = failed = 0
    failing = between = True
    for step in latest_first:
        if step.kind == "result":
            ends = ends or "tool"
            failing = failing and step.failed
            failed += failing
            between = True
        elif step.kind == "answer":
            calls += step.calls
            if step.calls and between:  # calls side by side may come as items of their own
                rounds, between = rounds + 1, False
        elif step.kind == "user":
            if step.text and not asks_nothing(step.text):
                return Standing(step.text, ends or "task", rounds, calls, failed)
            if step.text:
                ends, first_word = ends or "go_on", first_word or step.text
            else:
                ends = ends or "task"  # an image alone, say
    if elsewhere:
        return Standing(first_word, ends or "go_on", rounds, calls, failed)
    # Nobody set a task: a word that asks nothing is all there is.
    return Standing(first_word, "tool" if ends == "tool" else "task", rounds, calls, failed)


def asks_nothing(text: str) -> bool:
    """Whether a user's text only lets the work go on: "ok", "yes, continue", "weiter"."""
    if len(text) > LONGEST_WORD_TO_GO_ON:
        return False
    words = text.lower().split()
    return bool(words) and all(word.strip(_MARKS) in _GO_ON for word in words)


def by_harness(text: str) -> bool:
    """Whether a coding agent wrote this part of a user's message by itself."""
    head = text[:_LOOKED_AT].lstrip()
    if head and not head.startswith(_HARNESS_BEGINS):
        return False
    plain = text.strip()
    return any(plain.startswith(begin) and plain.endswith(end) for begin, end in _HARNESS)


def looks_failed(text: str) -> bool:
    """Whether a tool's result reads like a failure, for APIs that have no flag for it.

    Its beginning is looked at: tools put "Error: ...", a traceback or an exit code there.
    """
    head = text[:64].lstrip().lower()
    if head.startswith("exit code"):
        return head[9:].lstrip(": ")[:1] not in ("", "0")
    return head.startswith(_FAILED)
