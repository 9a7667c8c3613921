"""An LLM as judge: would the cheap model's answer do? Read from its label tokens' probabilities.

The method of RouteLLM's causal LLM router (Ong et al., 2024), over any OpenAI-compatible endpoint that
gives log-probabilities. The rates are the judge's own opinion, unless `turnout train causal_llm` fitted
them to outcomes.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from turnout.encoders.lru import Lru
from turnout.errors import RouterError, SettingsError
from turnout.routers.base import OpenedArtifact
from turnout.routers.judged import CalibratedJudge, calibrated, whole
from turnout.routers.judging import JudgePrompt, Spend, read_prompt, win_rate
from turnout.types import Candidate, PairRule, Prediction, Query

if TYPE_CHECKING:
    from turnout.providers.posting import JsonEndpoint

PATHS = {"chat": "chat/completions", "completions": "completions"}
OUTPUT_TOKENS = 4
"""Some models begin with blank tokens."""
_PROBE = "What is 2 + 2?"


class CausalLlmRouter:
    """Predicts with a judge's win rate.

    The strongest candidate has quality 1, the weakest 1 - win rate, and those between lie evenly
    between.
    """

    name = "causal_llm"
    waits = True

    def __init__(
        self,
        endpoint: JsonEndpoint,
        prompt: JudgePrompt,
        body: Mapping[str, Any],
        *,
        api: str,
        cache: int,
        max_characters: int,
    ) -> None:
        self._endpoint, self._prompt, self._body, self._api = endpoint, prompt, dict(body), api
        self._max_characters = max_characters
        self._cache: Lru[float] = Lru(cache)
        self._lock = threading.Lock()
        self.spend = Spend()
        self.stated: dict[str, Any] = {
            "model": body["model"],
            "version": prompt.version,
            "prompt": prompt.fingerprint,
            "api": api,
            "max_characters": max_characters,
        }
        identity = f"{prompt.fingerprint}/{body['model']}/{api}/{max_characters}"
        self.fingerprint: str | None = hashlib.sha256(identity.encode()).hexdigest()

    def check(self, candidates: Sequence[Candidate]) -> None:
        """Any candidates will do."""

    def predict(self, queries: Sequence[Query], candidates: Sequence[Candidate]) -> Prediction:
        """(n, m) quality by the judge's win rate; each distinct text is asked once.

        Raises:
            RouterError: for some query the judge is gone, late, or gave no usable probabilities.
        """
        m = len(candidates)
        strength = np.linspace(1.0, 0.0, m, dtype=np.float32) if m > 1 else np.ones(1, np.float32)
        rates = np.asarray(whole(self.rates([q.text for q in queries])), dtype=np.float32)
        return Prediction(
            candidates=tuple(c.name for c in candidates),
            quality=np.asarray(1.0 - rates[:, None] * (1.0 - strength), dtype=np.float32),
            pair=PairRule("difference"),
            basis=(f"judge {self._body['model']} ({self._prompt.version})",) * m,
            notes=(f"judge {self._body['model']}: {self.spend}",) * len(queries),
        )

    def rates(self, texts: Sequence[str]) -> list[float | RouterError]:
        """The win rate in [0, 1] of each of n texts, or why it has none; each is asked once."""
        cut = [_cut(text, self._max_characters) for text in texts]
        keys = {text: self._key(text) for text in cut}
        cached = {text: self._cache.get(key) for text, key in keys.items()}
        known: dict[str, float | RouterError] = {t: r for t, r in cached.items() if r is not None}
        wanted = [text for text in keys if text not in known]
        with self._lock:
            self.spend.calls += len(wanted)
            self.spend.cached += len(known)
        replies = self._endpoint.post_many(PATHS[self._api], [self._ask(t) for t in wanted])
        for text, reply in zip(wanted, replies, strict=True):
            # Those that came are kept even where another one failed: they are paid for.
            try:
                known[text] = rate = self._read(reply)
                self._cache.put(keys[text], rate)
            except RouterError as error:
                known[text] = error
        return [known[text] for text in cut]

    def _read(self, reply: Any) -> float:
        if isinstance(reply, RouterError):
            raise reply
        usage = reply.get("usage") if isinstance(reply, dict) else None
        if isinstance(usage, dict):
            with self._lock:
                self.spend.input_tokens += _count(usage.get("prompt_tokens"))
                self.spend.output_tokens += _count(usage.get("completion_tokens"))
        return win_rate(reply, self._prompt)

    def _ask(self, text: str) -> dict[str, Any]:
        user = self._prompt.fill(text)
        if self._api == "completions":
            return {**self._body, "prompt": f"{self._prompt.system}\n{user}"}
        system = {"role": "system", "content": self._prompt.system}
        return {**self._body, "messages": [system, {"role": "user", "content": user}]}

    def _key(self, text: str) -> str:
        return hashlib.sha256(f"{self.fingerprint}\0{text}".encode()).hexdigest()


def open_causal_llm(
    base_url: str | None = None,
    model: str | None = None,
    api_key_env: str | None = None,
    scheme: str = "five",
    file: Path | str | None = None,
    api: str = "chat",
    timeout_s: float = 5.0,
    top_logprobs: int = 20,
    concurrency: int = 16,
    cache: int = 10_000,
    max_characters: int = 8_000,
    extra_body: Mapping[str, Any] | None = None,
    check: bool = False,
    opened: OpenedArtifact | None = None,
) -> CausalLlmRouter | CalibratedJudge:
    """The router of a judge. Nothing is called unless `check` asks for it.

    Args:
        base_url: of an OpenAI-compatible endpoint, such as `http://127.0.0.1:8000/v1`.
        model: the judge's name there.
        api_key_env: the environment variable that holds its key; None sends none.
        scheme: `five` (RouteLLM's scores) or `two` (yes, no); without a `file`, its shipped prompt.
        file: a prompt file of one's own; it states its labels itself.
        api: `chat` or `completions` (legacy; system and user text in one prompt).
        timeout_s: seconds that a decision may wait for the judge.
        top_logprobs: how many tokens to ask for, 2 to 20.
        concurrency: most calls at a time, 1 to 256.
        cache: how many answers to remember; 0 none. Keys are hashes: no text is kept.
        max_characters: longer prompts are cut in their middle.
        extra_body: further fields of each request, such as `chat_template_kwargs`.
        check: ask the judge one question now.
        opened: what `turnout train causal_llm` made; `open_router` reads it from `artifact`.

    Raises:
        ArtifactError: `opened` was fitted to another judge.
        SettingsError: an option that is missing or cannot be used; a judge that fails its check.
    """
    for field, value in (("base_url", base_url), ("model", model)):
        if not isinstance(value, str) or not value:
            remedy = "name the judge's endpoint and model in the options of router causal_llm"
            raise SettingsError(f"causal_llm: {field}", value, remedy)
    if api not in PATHS:
        raise SettingsError("causal_llm: api", api, f"give one of: {', '.join(PATHS)}")
    _within("timeout_s", timeout_s, 0.001, 600)
    _within("top_logprobs", top_logprobs, 2, 20)
    _within("concurrency", concurrency, 1, 256)
    _within("cache", cache, 0, 10_000_000)
    _within("max_characters", max_characters, 100, 1_000_000)
    prompt = read_prompt(scheme, file)
    # Its HTTP client takes long to import, and most gateways ask for nothing of the kind.
    from turnout.providers.posting import JsonEndpoint, read_key

    endpoint = JsonEndpoint(
        f"the judge {model}",
        str(base_url),
        api_key=read_key(api_key_env, "causal_llm: api_key_env"),
        timeout_s=float(timeout_s),
        connections=int(concurrency),
        option="causal_llm: base_url",
    )
    router = CausalLlmRouter(
        endpoint,
        prompt,
        {
            "model": model,
            "max_tokens": OUTPUT_TOKENS,
            "temperature": 0,
            **({"logprobs": top_logprobs} if api == "completions" else {}),
            **({"logprobs": True, "top_logprobs": top_logprobs} if api == "chat" else {}),
            **(extra_body or {}),
        },
        api=api,
        cache=int(cache),
        max_characters=int(max_characters),
    )
    if check:
        _probe(router)
    return router if opened is None else calibrated(router, opened)


def _probe(router: CausalLlmRouter) -> None:
    two = (Candidate(name="strong"), Candidate(name="weak"))
    try:
        router.predict([Query.of(_PROBE)], two)
    except RouterError as error:
        remedy = f"{error}; mend the endpoint, or leave `check` out to start without it"
        raise SettingsError("causal_llm: check", True, remedy) from error


def _within(field: str, value: Any, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        remedy = f"give a number from {low:g} to {high:g}"
        raise SettingsError(f"causal_llm: {field}", value, remedy)


def _cut(text: str, most: int) -> str:
    """At most `most` characters, three in four from the start, as text that UTF-8 can hold."""
    if len(text) > most:
        head = most * 3 // 4
        text = f"{text[:head]}\n…\n{text[head - most :]}"
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0
