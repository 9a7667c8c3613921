"""What encoders do to text before they read it."""

from __future__ import annotations

HEAD_CHARACTERS = 1_500
TAIL_CHARACTERS = 500


def clip(text: str) -> str:
    """The first 1,500 and the last 500 characters, as text that UTF-8 can hold.

    Tokenising 100 kB costs tens of milliseconds and moves the vector little; task statements stand
    at the start or at the end. Lone surrogates, which no tokenizer accepts, become "?".
    """
    if len(text) > HEAD_CHARACTERS + TAIL_CHARACTERS:
        text = f"{text[:HEAD_CHARACTERS]}\n{text[-TAIL_CHARACTERS:]}"
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
