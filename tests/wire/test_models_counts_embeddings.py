"""The small APIs: lists of models, token counts, embeddings."""

from __future__ import annotations

import json
from typing import Any

import pytest
from judges import anthropic_client, openai_client, replying

from turnout.errors import RequestError
from turnout.types import Usage
from turnout.wire.counting import count_tokens
from turnout.wire.embeddings import EmbeddingQuery, read_embeddings, read_embeddings_reply
from turnout.wire.listing import ListedModel, list_models, model_entry, wants_anthropic
from turnout.wire.usage import UsageReading

MODELS = [
    ListedModel(id="auto"),
    ListedModel(
        id="gpt-6",
        owner="openai",
        created=1_764_000_000,
        context_tokens=400_000,
        max_output_tokens=128_000,
    ),
]


def test_models_in_openais_form_by_its_sdk() -> None:
    raw = json.dumps(list_models(MODELS, anthropic=False)).encode()
    found = list(openai_client(replying(raw)).models.list())
    assert [(m.id, m.owned_by, m.created) for m in found] == [
        ("auto", "turnout", 0),
        ("gpt-6", "openai", 1_764_000_000),
    ]
    one = json.dumps(model_entry(MODELS[1], anthropic=False)).encode()
    assert openai_client(replying(one)).models.retrieve("gpt-6").id == "gpt-6"


def test_models_in_anthropics_form_by_its_sdk() -> None:
    raw = json.dumps(list_models(MODELS, anthropic=True)).encode()
    page = anthropic_client(replying(raw)).models.list()
    assert [m.id for m in page] == ["auto", "gpt-6"]
    assert not page.has_next_page()
    model = page.data[1]
    assert (model.max_input_tokens, model.max_tokens) == (400_000, 128_000)
    assert model.created_at.year == 2025
    assert list_models([], anthropic=True)["first_id"] is None


def test_the_form_is_chosen_by_the_header() -> None:
    assert wants_anthropic({"anthropic-version": "2023-06-01"})
    assert not wants_anthropic({"authorization": "Bearer x"})


def test_counts_are_flagged_as_estimates() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "x" * 400}]}
    found = count_tokens("messages", body)
    assert found.body == {"input_tokens": 104}
    assert found.headers == {"x-turnout-estimated": "input_tokens"}
    raw = json.dumps(found.body).encode()
    counted = anthropic_client(replying(raw)).messages.count_tokens(model="m", messages=[])
    assert counted.input_tokens == 104
    response = count_tokens("responses", {"model": "m", "input": "x" * 400})
    assert response.body == {"object": "response.input_tokens", "input_tokens": 104}
    with pytest.raises(RequestError):
        count_tokens("messages", {"model": "m"})


@pytest.mark.parametrize(
    ("given", "count", "tokens", "exact"),
    [
        ("x" * 40, 1, 10, False),
        (["x" * 40, "y" * 4], 2, 11, False),
        ([1, 2, 3], 1, 3, True),
        ([[1, 2, 3], [4]], 2, 4, True),
    ],
)
def test_embedding_requests(given: Any, count: int, tokens: int, exact: bool) -> None:
    found = read_embeddings({"model": "m", "input": given, "encoding_format": "base64"})
    assert found == EmbeddingQuery(count=count, input_tokens=tokens, exact=exact, base64=True)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "input"),
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": ""}, "input"),
        ({"input": ["a", ""]}, "input"),
        ({"input": {"secret": 1}}, "input"),
        ({"input": ["a", 1.5]}, "input[1]"),
        ({"input": [[1], []]}, "input[1]"),
        ({"input": [[1], [True]]}, "input[1]"),
        ({"input": ["a"] * 2_049}, "input"),
    ],
)
def test_what_is_no_embedding_request(body: dict[str, Any], field: str) -> None:
    with pytest.raises(RequestError) as caught:
        read_embeddings(body)
    assert caught.value.field == field
    assert "secret" not in str(caught.value)


def test_the_counts_of_a_long_reply_are_found_around_its_vectors() -> None:
    vectors = ", ".join('{"embedding": [0.25, -1.5e-3]}' for _ in range(2_000))
    counts = (
        '"model": "e\\u0031", "usage": {"prompt_tokens": 7, "details": {"x": 1}, "total_tokens": 7}'
    )
    for text in (f'{{"data": [{vectors}], {counts}}}', f'{{{counts}, "data": [{vectors}]}}'):
        reading, model = read_embeddings_reply(text.encode())
        assert reading.usage == Usage(input_tokens=7)
        assert model == "e1"
    assert read_embeddings_reply(f'{{"data": [{vectors}]}}'.encode()) == (UsageReading(None), None)
    assert read_embeddings_reply(b"no JSON") == (UsageReading(None), None)
