"""Secrets and personal data taken out of a text before anything keeps it.

This is the second line: what logs here is written so that it holds none. It catches what a library, or
a slip, would let through: keys that the settings name (exactly), and what looks like a key, an e-mail
address or a payment card's number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

SHORTEST_SECRET = 6
"""A shorter one would be taken out of ordinary words."""
_LOOKS = re.compile(
    r"(?P<bearer>(?i:\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,})"
    r"|(?P<before>(?i:\b(?:api[-_]?key|x-api-key|authorization|password|passwd|secret|token)"
    r"[\"']?\s*[:=]\s*[\"']?))(?P<named>(?!\[)(?:(?i:bearer|basic)\s+)?[^\s\"',;&}]{4,})"
    r"|(?P<key>\b(?:sk|pk|rk|gsk|xai|hf|r8|pplx|ghp|gho|ghs|github_pat|glpat|xox[abprs])"
    r"[-_][A-Za-z0-9_-]{12,}"
    r"|\bAKIA[0-9A-Z]{16}\b|\bAIza[A-Za-z0-9_-]{30,}"
    r"|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*)"
    r"|(?P<url>(?<=://)[^\s/@:]+:[^\s/@]+(?=@))"
    r"|(?P<mail>[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8})"
    r"|(?P<card>(?<![\w.-])\d(?:[ -]?\d){13,18}(?![\w-]))"
)
_NAMES = {
    "bearer": "[key]",
    "named": "[key]",
    "key": "[key]",
    "url": "[password]",
    "mail": "[e-mail]",
    "card": "[card]",
}


class Redactor:
    """Takes secrets out of texts.

    Args:
        secrets: known ones, such as the providers' keys; short ones are passed over.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: set[str] = set()
        self._known: re.Pattern[str] | None = None
        self.learn(secrets)

    def learn(self, secrets: Iterable[str]) -> None:
        """Know further secrets; those that are known stay known, since they may still be in use."""
        self._secrets |= {s for s in secrets if len(s) >= SHORTEST_SECRET}
        longest_first = sorted(self._secrets, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def clean(self, text: str) -> str:
        """The text with each secret replaced by a word in brackets."""
        if self._known is not None:
            text = self._known.sub("[secret]", text)
        return _LOOKS.sub(_replaced, text)


def _replaced(found: re.Match[str]) -> str:
    kind = found.lastgroup or "key"
    if kind == "card" and not is_card(found[0]):
        return found[0]
    return (found["before"] or "") + _NAMES[kind]


def is_card(text: str) -> bool:
    """Whether digits, with spaces and dashes between, have the check digit of a card's number (Luhn)."""
    digits = [int(c) for c in text if c.isdigit()]
    if not 14 <= len(digits) <= 19 or len(set(digits)) == 1:
        return False
    doubled = sum(sum(divmod(2 * d, 10)) for d in digits[-2::-2])
    return (doubled + sum(digits[-1::-2])) % 10 == 0
