"""Translation between Chat Completions, Responses and Messages: requests and whole replies.

Streams are `turnout.wire.streams`. What maps to what stands in docs/reference/dialects.md.
"""

from turnout.wire.translate.replies import Client, TranslatedReply, translate_reply
from turnout.wire.translate.requests import Translated, translate_request
from turnout.wire.translate.target import Target

__all__ = [
    "Client",
    "Target",
    "Translated",
    "TranslatedReply",
    "translate_reply",
    "translate_request",
]
