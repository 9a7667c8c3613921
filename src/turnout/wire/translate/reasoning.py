"""Reasoning that only its maker can read, carried through a dialect that is not its maker's.

Anthropic signs its thinking; OpenAI encrypts its reasoning. A client of one that is answered by the
other is given the foreign blob inside the field that its own dialect has for it, behind a mark; when it
sends it back, it is told apart and goes home. A blob that would reach another maker is left out.
"""

from __future__ import annotations

import base64
import binascii
import json

from turnout.wire.translate.neutral import Thinking

_OPENAI = "turnout-openai:"
_ANTHROPIC = "turnout-anthropic:"
_REDACTED = "turnout-anthropic-redacted:"


def signature_for_anthropic(part: Thinking) -> str:
    """What stands in the `signature` of a thinking block; empty where there is nothing to carry."""
    if part.origin != "openai" or part.signature is None:
        return part.signature or ""
    inner = json.dumps([part.id, part.signature]).encode()
    return _OPENAI + base64.urlsafe_b64encode(inner).decode()


def from_anthropic_signature(text: str, signature: str | None) -> Thinking:
    """A thinking block that a client of Anthropic's dialect sends back."""
    if signature is None or not signature.startswith(_OPENAI):
        return Thinking(text=text, signature=signature or None, origin="anthropic")
    try:
        item, blob = json.loads(base64.urlsafe_b64decode(signature.removeprefix(_OPENAI)))
    except (binascii.Error, ValueError):
        return Thinking(text=text)
    if not isinstance(item, str | None) or not isinstance(blob, str):
        return Thinking(text=text)
    return Thinking(text=text, signature=blob, origin="openai", id=item)


def encrypted_for_openai(part: Thinking) -> str | None:
    """What stands in the `encrypted_content` of a reasoning item."""
    if part.signature is None or part.origin != "anthropic":
        return part.signature
    return (_REDACTED if part.redacted else _ANTHROPIC) + part.signature


def from_openai_encrypted(text: str, encrypted: str | None, item: str | None) -> Thinking:
    """A reasoning item that a client of OpenAI's dialect sends back."""
    for mark, redacted in ((_REDACTED, True), (_ANTHROPIC, False)):
        if encrypted is not None and encrypted.startswith(mark):
            signature = encrypted.removeprefix(mark)
            return Thinking(text=text, signature=signature, origin="anthropic", redacted=redacted)
    return Thinking(text=text, signature=encrypted, origin="openai", id=item)
