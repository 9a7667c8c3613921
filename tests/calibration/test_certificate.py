from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from certificates_made import certificate
from turnout.calibration.certificate import Certificate, pool_fingerprint, seconds, utc
from turnout.calibration.promises import Promise
from turnout.errors import ArtifactError
from turnout.types import Candidate, Price


def test_it_reads_back_as_it_was_written() -> None:
    made = certificate()
    again = Certificate.from_dict(json.loads(json.dumps(made.to_dict())), "here")
    assert again == made
    assert again.id == made.id
    bare = certificate(saving=None, artifact=None, encoder=None)
    assert Certificate.from_dict(bare.to_dict(), "here") == bare


@pytest.mark.parametrize(
    "change",
    [
        {"confidence": 0.99},
        {"expires_at": "2099-01-01T00:00:00Z"},
        {"promise": {"kind": "floor", "value": 0.99, "risk": "all"}},
        {"id": "crt_0000000000000000"},
    ],
)
def test_a_changed_one_is_found_out(change: dict[str, Any]) -> None:
    with pytest.raises(ArtifactError, match="was changed after it was made"):
        Certificate.from_dict(certificate().to_dict() | change, "here")


def test_another_format_and_other_things_are_refused() -> None:
    with pytest.raises(ArtifactError, match="here: certificate format 7 is not 1"):
        Certificate.from_dict(certificate().to_dict() | {"format": 7}, "here")
    lacking = {k: v for k, v in certificate().to_dict().items() if k != "watched"}
    with pytest.raises(ArtifactError, match="here: not a certificate"):
        Certificate.from_dict(lacking, "here")
    with pytest.raises(ArtifactError, match="time 'soon'"):
        seconds("soon")


def test_times_are_utc_and_read_back() -> None:
    assert utc(0) == "1970-01-01T00:00:00Z"
    assert seconds(utc(1_800_000_000)) == 1_800_000_000


def test_prices_count_where_they_decide() -> None:
    pair = (Candidate(name="a", price=Price.per_million(1, 2)), Candidate(name="b"))
    dearer = (replace(pair[0], price=Price.per_million(3, 4)), pair[1])
    assert pool_fingerprint(pair, priced=False) == pool_fingerprint(dearer, priced=False)
    assert pool_fingerprint(pair, priced=True) != pool_fingerprint(dearer, priced=True)
    assert pool_fingerprint(pair, priced=False) != pool_fingerprint(pair[::-1], priced=False)
    other = (replace(pair[0], known_as="c"), pair[1])
    assert pool_fingerprint(pair, priced=False) != pool_fingerprint(other, priced=False)
    assert not certificate().prices_decide
    assert certificate(promise=Promise(kind="budget_usd", value=0.01)).prices_decide
    assert certificate(models=("a", "b", "c")).prices_decide


GOLDEN = """\
router-length-0.25
  promise        at least 0.95 of large's mean quality, over all traffic
  confidence     95%: at least 95% of certificates made so keep their promise
  bound          0.9612 or more at this point tested alone; measured 0.9750
  labels         1,200 prompts in 1,100 groups (near-duplicates count once); 12 left out
  strong calls   60.0% (57.0% to 63.0%) go to large
  saving         31.0% (28.0% to 34.0%) of always large (costs recorded)
  certificate    {id}, made 2026-11-26T04:30:00Z
  expires        2027-02-24T04:30:00Z; then large serves
  data           outcomes.jsonl 00112233445566aa
  artifact       fp_length, encoder eeeeeeeeeeeeeeee
  watched        strong calls between 50.0% and 70.0%, and the win rate; false alarms: at most 1%
  note           a note"""


def test_people_read_the_route_then_the_promise_then_what_it_rests_on() -> None:
    made = certificate()
    assert made.to_text() == GOLDEN.replace("{id}", made.id)


@pytest.mark.parametrize(
    ("promise", "says"),
    [
        (Promise(kind="max_loss", value=0.02, risk="routed"),
         "at most 0.02 of mean quality below large, over what large does not serve"),
        (Promise(kind="budget_usd", value=0.002), "at most 0.002 USD a request on average"),
        (Promise(kind="strong_share", value=0.3), "at most 30.00% of the requests go to large"),
    ],
)  # fmt: skip
def test_every_promise_is_said_in_words(promise: Promise, says: str) -> None:
    text = certificate(promise=promise, bound=0.25, measured=0.2).to_text()
    assert says in text
    assert "or less at this point" in text
    assert ("labels  " in text) == promise.of_quality
