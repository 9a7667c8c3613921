"""A judge's prompt file, and how its label tokens' log-probabilities are read.

Shapes read: Chat Completions (`choices[0].logprobs.content[i].top_logprobs`, as OpenAI, vLLM and
llama.cpp's server give it) and legacy Completions (`choices[0].logprobs.top_logprobs[i]`).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from turnout.errors import RouterError, SettingsError

SHIPPED = Path(__file__).parent / "shipped" / "causal_llm"
SCHEMES = ("five", "two")
PLACE = "{question}"
LEAST_MASS = 0.05
"""Labels that together have less than this are not what the model is answering with."""
_SLACK = 1e-3
"""Log-probabilities of servers in 16 bits end a little above zero."""
_BLANKS = " \t\r\n▁ĠĊ"
"""Whitespace, and how SentencePiece and byte-level BPE write it in token texts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgePrompt:
    """What a judge is asked, and the labels it answers with."""

    system: str
    user: str
    """Holds `{question}` once."""
    label_of: Mapping[str, str]
    """Token text in lower case → label."""
    good: frozenset[str]
    """Labels that say that the cheap model will do."""
    version: str
    fingerprint: str
    """SHA-256 of the file; cached answers belong to it."""

    @property
    def labels(self) -> frozenset[str]:
        """All labels."""
        return frozenset(self.label_of.values())

    def fill(self, question: str) -> str:
        """The user message; braces in the question mean nothing."""
        return self.user.replace(PLACE, question, 1)


@dataclass(slots=True)
class Spend:
    """What a judge was asked so far."""

    calls: int = 0
    """Calls made, failed ones included."""
    cached: int = 0
    """Queries answered from the cache."""
    input_tokens: int = 0
    """As its server counts them."""
    output_tokens: int = 0

    def __str__(self) -> str:
        """One line, for the notes of a decision."""
        return (
            f"{self.calls} calls so far, {self.cached} answers from the cache, "
            f"{self.input_tokens} tokens in, {self.output_tokens} out"
        )


def read_prompt(scheme: str, file: Path | str | None) -> JudgePrompt:
    """The shipped prompt of a scheme, or the user's own file.

    Raises:
        SettingsError: no such scheme, or a file that is missing or not a judge's prompt.
    """
    if scheme not in SCHEMES:
        raise SettingsError("scheme", scheme, f"give one of: {', '.join(SCHEMES)}")
    path = SHIPPED / f"{scheme}.yaml" if file is None else Path(file)
    try:
        raw = path.read_bytes()
        stated = yaml.safe_load(raw)
    except OSError as error:
        raise SettingsError("prompt", str(path), f"cannot read it: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError("prompt", str(path), "write valid YAML in UTF-8") from error
    return _prompt(stated, str(path), hashlib.sha256(raw).hexdigest())


def _prompt(stated: Any, where: str, fingerprint: str) -> JudgePrompt:
    needed = ("system", "user", "labels", "good", "version")
    if not isinstance(stated, dict) or set(stated) != set(needed):
        raise SettingsError("prompt", where, f"give exactly: {', '.join(needed)}")
    user, labels, good = str(stated["user"]), stated["labels"], stated["good"]
    if user.count(PLACE) != 1:
        raise SettingsError(f"prompt {where}: user", user, f"hold {PLACE} exactly once")
    if not isinstance(labels, dict) or not all(isinstance(t, list) and t for t in labels.values()):
        raise SettingsError(f"prompt {where}: labels", labels, "map each label to its token texts")
    label_of = {_plain(str(t)): str(name) for name, texts in labels.items() for t in texts}
    if "" in label_of or len(label_of) != sum(len(texts) for texts in labels.values()):
        remedy = "give token texts that differ in more than case and spaces"
        raise SettingsError(f"prompt {where}: labels", labels, remedy)
    names = {str(name) for name in labels}
    chosen = {str(name) for name in good} if isinstance(good, list) else set()
    if not chosen or not chosen < names:
        raise SettingsError(f"prompt {where}: good", good, "name some of the labels, not all")
    return JudgePrompt(
        system=str(stated["system"]),
        user=user,
        label_of=label_of,
        good=frozenset(chosen),
        version=str(stated["version"]),
        fingerprint=fingerprint,
    )


def win_rate(reply: Any, prompt: JudgePrompt) -> float:
    """Probability in [0, 1] that the strong model is needed: 1 - P(good labels), of the labels alone.

    RouteLLM's causal LLM router (Ong et al., 2024): a softmax over the label tokens at the first place
    that is generated, and 1 minus the part of the good ones. A softmax over some tokens is their
    probabilities divided by their sum, so the log-probabilities of the top tokens are enough. A label
    that is not listed gets the most it can have evenly: the least probability listed, or its part of
    the mass that is left, whichever is less.

    Raises:
        RouterError: no log-probabilities, ones that cannot be, or too little mass on labels.
    """
    top = _first_tokens(reply)
    mass = dict.fromkeys(prompt.labels, 0.0)
    seen = set()
    for token, probability in top.items():
        label = prompt.label_of.get(_plain(token))
        if label is not None:
            mass[label] += probability
            seen.add(label)
    if sum(mass.values()) < LEAST_MASS:
        raise RouterError("the judge's answer has no label among its likely tokens")
    missing = prompt.labels - seen
    if missing:
        left = max(0.0, 1.0 - sum(top.values())) / len(missing)
        floor = min(left, min(top.values()))
        mass.update(dict.fromkeys(missing, floor))
    good = sum(mass[name] for name in prompt.good)
    return min(1.0, max(0.0, 1.0 - good / sum(mass.values())))


def _plain(token: str) -> str:
    return token.strip(_BLANKS).casefold()


def _first_tokens(reply: Any) -> dict[str, float]:
    """Token → probability at the first place that was generated and is not blank."""
    try:
        logprobs = reply["choices"][0]["logprobs"]
        if logprobs is None:
            raise RouterError(
                "the judge gave no log-probabilities: its server or model does not offer them"
            )
        places = _chat(logprobs) if "content" in logprobs else _legacy(logprobs)
        for token, top in places:
            if _plain(token):
                return {text: _probability(value) for text, value in top.items()}
    except (LookupError, TypeError, AttributeError):
        raise RouterError("the judge's answer has no log-probabilities in a known shape") from None
    raise RouterError("the judge's answer has no token")


def _chat(logprobs: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    for place in logprobs["content"]:
        top = {str(t["token"]): t["logprob"] for t in place["top_logprobs"]}
        if not top:
            raise RouterError("the judge gave no log-probabilities of its likely tokens")
        # The sampled token need not be among the likeliest; some servers leave it out.
        top.setdefault(str(place["token"]), place["logprob"])
        yield str(place["token"]), top


def _legacy(logprobs: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    rows = zip(
        logprobs["tokens"], logprobs["token_logprobs"], logprobs["top_logprobs"], strict=False
    )
    for token, value, top in rows:
        yield str(token), {str(token): value, **top}


def _probability(logprob: Any) -> float:
    if isinstance(logprob, bool) or not isinstance(logprob, int | float):
        raise RouterError("the judge gave a log-probability that is not a number")
    if math.isnan(logprob) or logprob > _SLACK:
        raise RouterError("the judge gave a log-probability that cannot be one")
    return math.exp(min(logprob, 0.0))
