"""Which conversation a request belongs to: by what the client says, else by how it begins.

In this order:

    x-turnout-session                          exactly this conversation
    conversation (Responses)                   exactly the one that the provider keeps
    previous_response_id (Responses)           the one that made that response
    a session's id, and the first user text    headers of clients, Claude Code's metadata.user_id,
                                               prompt_cache_key
    system text, tools and first user text     where nothing is said

A session's id alone is too wide: one session of a coding agent holds conversations of sub-agents and
titles beside the main one, and a prompt_cache_key may be an application's. How a conversation begins is
not enough alone: it may be the same for many, and a system text may hold the time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from turnout.wire import chat, messages, responses
from turnout.wire.body import Body
from turnout.wire.dialects import Dialect

HEADER = "x-turnout-session"
"""Says by itself which conversation a request belongs to."""
CLIENT_HEADERS = ("x-claude-code-session-id", "session-id", "session_id", "x-session-id")
"""Sent by Claude Code (2.1.86 and later), Codex, older Codex, and many others: a session's id."""

_ENDS = 2048
"""Characters that are looked at from either end of a long text: conversations differ there."""
_FIRST: Mapping[Dialect, Callable[[Mapping[str, Any]], str]] = {
    "chat": chat.first_user_text,
    "responses": responses.first_user_text,
    "messages": messages.first_user_text,
}
_SYSTEM: Mapping[Dialect, str] = {"responses": "instructions", "messages": "system"}


class SessionKey(NamedTuple):
    """One conversation of one scope."""

    id: str
    """`sess_` and 24 hexadecimal digits: nothing of what a client said can be read from it."""
    exact: bool
    """The client or the provider says which conversation it is; else it is told by its beginning."""


def session_key(
    dialect: Dialect,
    body: Body,
    headers: Mapping[str, str],
    *,
    scope: str = "",
    made_by: Callable[[str], str | None] = lambda _: None,
) -> SessionKey:
    """The conversation of a request whose query has been read.

    Args:
        dialect: the client's.
        body: the request.
        headers: by their names in small letters.
        scope: who asks, such as the id of a key: conversations of two scopes are never one.
        made_by: `response_session` of a response → the id of the session that it was made in, where
            that is known.
    """
    if given := headers.get(HEADER):
        return _key(scope, "header", given)
    fields = body.fields
    if dialect == "responses":
        if kept := _conversation(fields.get("conversation")):
            return _key(scope, "conversation", kept)
        before = fields.get("previous_response_id")
        if isinstance(before, str) and before:
            begun = response_session(scope, before)
            return SessionKey(made_by(begun) or begun, True)
    said = _client_session(dialect, fields, headers)
    first = _ends(_FIRST[dialect](fields))
    if said:
        return _key(scope, "client", said, first, exact=False)
    system = _span(body, _SYSTEM[dialect]) if dialect in _SYSTEM else _chat_system(fields)
    tools = _ends(_span(body, "tools")) if "tools" in body.spans else ""
    return _key(scope, "content", system and _ends(system), tools, first, exact=False)


def by_first_text(scope: str, system: str = "") -> Callable[[str], str]:
    """A function of a first user text: the session of a chat request in which nothing else tells of one.

    It is the one that `session_key` gives.

    Args:
        scope: who asks.
        system: the system text of these requests.
    """
    before = _told((scope, "content", system and _ends(system), ""))

    def of(text: str) -> str:
        first = _ends(text)
        return _hashed(f"{before}{len(first)}:{first}")

    return of


def response_session(scope: str, response: str) -> str:
    """The id that stands for what made a response of this id, where that is not known."""
    return _key(scope, "response", response).id


def _key(scope: str, *parts: str, exact: bool = True) -> SessionKey:
    return SessionKey(_hashed(_told((scope, *parts))), exact)


def _told(parts: tuple[str, ...]) -> str:
    """Parts are told apart by their lengths, so that no two lists of parts are one."""
    return "".join([f"{len(part)}:{part}" for part in parts])


def _hashed(told: str) -> str:
    digest = hashlib.blake2b(told.encode("utf-8", "surrogatepass"), digest_size=12)
    return f"sess_{digest.hexdigest()}"


def _ends(text: str) -> str:
    """Enough of a text to tell it from others; the length of a long one counts too."""
    if len(text) <= 2 * _ENDS:
        return text
    return f"{len(text)}:{text[:_ENDS]}{text[-_ENDS:]}"


def _span(body: Body, name: str) -> str:
    """A field as it was sent."""
    if name not in body.spans:
        return ""
    start, end = body.spans[name]
    return body.text[start:end]


def _chat_system(fields: Mapping[str, Any]) -> str:
    first = fields["messages"][0]
    content = first.get("content") if first["role"] in ("system", "developer") else None
    return content if isinstance(content, str) else json.dumps(content) if content else ""


def _conversation(given: Any) -> str:
    found = given.get("id") if isinstance(given, Mapping) else given
    return found if isinstance(found, str) else ""


def _client_session(
    dialect: Dialect, fields: Mapping[str, Any], headers: Mapping[str, str]
) -> str | None:
    if not headers.keys().isdisjoint(CLIENT_HEADERS):
        for name in CLIENT_HEADERS:
            if given := headers.get(name):
                return given
    if dialect == "messages":
        metadata = fields.get("metadata")
        user = metadata.get("user_id") if isinstance(metadata, Mapping) else None
        return claude_code_session(user) if isinstance(user, str) else None
    given = fields.get("prompt_cache_key")
    return given if isinstance(given, str) and given else None


def claude_code_session(user_id: str) -> str | None:
    """The session inside Claude Code's `metadata.user_id`; None in another's.

    It is `user_…_account_…_session_ID`, in later versions JSON with `session_id`
    (coder/aibridge#241).
    """
    if user_id.startswith("{"):
        try:
            found = json.loads(user_id[:4096])
        except (ValueError, RecursionError):
            return None
        session = found.get("session_id") if isinstance(found, dict) else None
        return session if isinstance(session, str) and session else None
    return user_id.rpartition("_session_")[2] if "_session_" in user_id else None
