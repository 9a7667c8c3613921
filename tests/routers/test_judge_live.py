"""A judge that is a causal language model: a small one, trained here, answers with its own softmax.

It shows the whole way: prompt, tokens, forward pass, log-probabilities over the wire, win rate.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from json_fakes import endpoint
from turnout.routers.causal_llm import open_causal_llm
from turnout.types import Candidate, Query

torch = pytest.importorskip("torch", reason="torch is not installed")

PAIR = (Candidate(name="big"), Candidate(name="small"))
EASY, HARD = ("hello", "thanks", "hi"), ("prove", "derive", "integrate")
FILLER = tuple(f"word{i}" for i in range(12))
TOKENS = ("<unk>", "Yes", "No", "\n", *EASY, *HARD, *FILLER)
PLACE = {token: i for i, token in enumerate(TOKENS)}
WIDTH, LONGEST, HEADS = 32, 8, 2


def ids(text: str) -> list[int]:
    """The last words of a text; those it does not know are one token."""
    return [PLACE.get(word, 0) for word in text.split()][-LONGEST:]


class TinyGpt(torch.nn.Module):
    """One block of causal attention, learned positions, the next token's logits."""

    def __init__(self) -> None:
        super().__init__()
        self.word = torch.nn.Embedding(len(TOKENS), WIDTH)
        self.place = torch.nn.Embedding(LONGEST + 1, WIDTH)
        self.block = torch.nn.TransformerEncoderLayer(
            WIDTH, HEADS, 2 * WIDTH, dropout=0.0, batch_first=True
        )
        self.out = torch.nn.Linear(WIDTH, len(TOKENS))

    def forward(self, tokens: Any) -> Any:
        n = tokens.shape[1]
        mask = torch.nn.Transformer.generate_square_subsequent_mask(n)
        rows = self.word(tokens) + self.place(torch.arange(n))
        return self.out(self.block(rows, src_mask=mask, is_causal=True))


def sentence(rng: np.random.Generator) -> tuple[list[int], int]:
    """A prompt of six words and its answer; one in ten answers is the wrong one."""
    easy = bool(rng.random() < 0.5)
    words = list(rng.choice(FILLER, 5))
    words.insert(int(rng.integers(6)), str(rng.choice(EASY if easy else HARD)))
    said = easy if rng.random() < 0.9 else not easy
    return ids(" ".join(words)), PLACE["Yes" if said else "No"]


@pytest.fixture(scope="module")
def model() -> Iterator[Any]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rng, made = np.random.default_rng(0), TinyGpt()
    step = torch.optim.Adam(made.parameters(), lr=5e-3)
    for _ in range(150):
        pairs = [sentence(rng) for _ in range(64)]
        logits = made(torch.tensor([prompt for prompt, _ in pairs]))[:, -1]
        loss = torch.nn.functional.cross_entropy(logits, torch.tensor([a for _, a in pairs]))
        step.zero_grad()
        loss.backward()
        step.step()
    yield made.eval()
    torch.set_num_threads(threads)


def probabilities(model: Any, text: str) -> Any:
    with torch.no_grad():
        return torch.log_softmax(model(torch.tensor([ids(text)]))[0, -1], dim=-1)


def serve(model: Any, body: dict[str, Any]) -> dict[str, Any]:
    """Chat Completions of the model: greedy, with the likeliest tokens that were asked for."""
    question = body["messages"][1]["content"].splitlines()[1]
    logs = probabilities(model, question)
    values, places = torch.topk(logs, min(body["top_logprobs"], len(TOKENS)))
    rows = zip(values.tolist(), places.tolist(), strict=True)
    top = [{"token": TOKENS[i], "logprob": value} for value, i in rows]
    message = {"role": "assistant", "content": top[0]["token"]}
    logprobs = {"content": [{**top[0], "top_logprobs": top}]}
    return {"choices": [{"index": 0, "message": message, "logprobs": logprobs}]}


def test_a_language_model_judges_and_its_softmax_is_the_win_rate(model: Any) -> None:
    rng = np.random.default_rng(1)
    texts = [" ".join([*rng.choice(FILLER, 5), kind]) for kind in (*EASY, *HARD)]
    with endpoint(lambda body: serve(model, body)) as (url, _):
        router = open_causal_llm(url, "tiny", scheme="two")
        rates = 1.0 - router.predict([Query.of(t) for t in texts], PAIR).quality[:, 1]
    for text, rate in zip(texts, rates, strict=True):
        yes, no = (float(probabilities(model, text)[PLACE[t]].exp()) for t in ("Yes", "No"))
        assert float(rate) == pytest.approx(no / (yes + no), abs=1e-5)
    assert max(rates[:3]) < 0.4 < 0.6 < min(rates[3:])


def test_few_likely_tokens_change_the_rate_little(model: Any) -> None:
    texts = [Query.of("word1 word2 hello word3 word4 word5"), Query.of("prove word1 word2 word3")]
    with endpoint(lambda body: serve(model, body)) as (url, _):
        rates = [
            1.0
            - open_causal_llm(url, "tiny", scheme="two", top_logprobs=k)
            .predict(texts, PAIR)
            .quality[:, 1]
            for k in (2, 20)
        ]
    np.testing.assert_allclose(rates[0], rates[1], atol=0.02)
