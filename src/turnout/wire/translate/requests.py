"""A request of one dialect in another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from turnout.errors import TranslationError
from turnout.wire.dialects import Dialect
from turnout.wire.translate.fields import Notes
from turnout.wire.translate.from_chat import read_chat
from turnout.wire.translate.from_messages import read_messages
from turnout.wire.translate.from_responses import read_responses
from turnout.wire.translate.neutral import Ask
from turnout.wire.translate.target import Target
from turnout.wire.translate.to_chat import write_chat
from turnout.wire.translate.to_messages import write_messages
from turnout.wire.translate.to_responses import write_responses

_READERS = {"chat": read_chat, "responses": read_responses, "messages": read_messages}


@dataclass(frozen=True, slots=True, kw_only=True)
class Translated:
    """A request as a candidate is sent it."""

    body: dict[str, Any]
    notes: tuple[str, ...]
    """What was left out or changed by a rule, as `name: rule`; no value of the request."""
    include_usage: bool
    """Whether the client is owed usage in its stream (Chat Completions asks for it)."""


def translate_request(body: Mapping[str, Any], source: Dialect, target: Target) -> Translated:
    """Write a client's request in the dialect of a candidate.

    Where the dialects agree, do not call this: pass the bytes through, so that no field is lost.

    Args:
        body: the client's request, parsed. Nothing in it is changed.
        source: the client's dialect.
        target: the candidate's dialect and its model's rules.

    Raises:
        TranslationError: a field, part or value that the candidate's dialect cannot say, unknown
            fields included. Another candidate may be able to; the values are not in the error.
        RequestError: a value of the wrong type.
    """
    notes = Notes()
    ask: Ask = _READERS[source](body, notes)
    native = source in ("chat", "responses")
    if (source == "messages") != (target.dialect == "messages"):
        _refuse_prefill(ask)
    if target.dialect == "messages":
        written = write_messages(ask, target, notes)
    elif target.dialect == "chat":
        written = write_chat(ask, target, notes, native_cache=native)
    else:
        written = write_responses(ask, target, notes, native_cache=native)
    return Translated(body=written, notes=notes.done(), include_usage=ask.include_usage)


def _refuse_prefill(ask: Ask) -> None:
    """Refuse a conversation that ends with the model's words: one API goes on with them, one answers.

    Raises:
        TranslationError: names the message.
    """
    if ask.turns and ask.turns[-1].role == "assistant":
        last = ask.turns[-1].field
        raise TranslationError(
            f"{last}.role", "assistant", "end with a user message: only Messages continues one"
        )
