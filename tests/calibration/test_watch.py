from __future__ import annotations

import logging
import threading

import numpy as np
import pytest

from certificates_made import PAIR, certificate
from turnout.calibration.certificate import seconds
from turnout.calibration.watch import Watch, watched_scores
from turnout.types import Candidate, PairRule, Prediction

NOW = seconds("2026-12-01T00:00:00Z")


def watch(now: float = NOW, **changes: object) -> Watch:
    return Watch(certificate(**changes), PAIR, "fp_length", now=lambda: now)


def traffic(n: int, share: float, seed: int = 0) -> list[tuple[str, float, bool]]:
    rng = np.random.default_rng(seed)
    return [(f"{seed}.{i}", float(rng.random()), bool(rng.random() < share)) for i in range(n)]


def test_it_holds_while_traffic_is_as_it_was() -> None:
    made = watch()
    for one in traffic(2000, 0.6):
        made.see(*one)
    assert made.revoked is None
    assert made.state() == {
        "id": made.id,
        "route": "router-length-0.25",
        "state": "valid",
        "reason": None,
        "expires_at": "2027-02-24T04:30:00Z",
        "requests": 2000,
        "withheld": 0,
    }


def test_a_share_that_leaves_its_interval_revokes_it_once(caplog: pytest.LogCaptureFixture) -> None:
    made = watch()
    with caplog.at_level(logging.WARNING, logger="turnout.certificates"):
        for one in traffic(600, 0.95):
            made.see(*one)
    assert made.revoked is not None
    assert "the share of calls to large left 50.0% to 70.0%" in made.revoked
    assert "false alarms: at most 1.00%" in made.revoked
    assert len(caplog.records) == 1
    assert f"certificate {made.id} of router-length-0.25 is revoked" in caplog.text
    assert "large serves" in caplog.text


def test_other_scores_revoke_it_and_no_prompt_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    made = watch()
    with caplog.at_level(logging.DEBUG):
        for i, (_, score, strong) in enumerate(traffic(400, 0.6)):
            made.see(f"secret {i}", score / 4, strong)
    assert made.revoked is not None
    assert "the win rate is distributed otherwise" in made.revoked
    assert "secret" not in caplog.text


def test_repeats_of_a_prompt_count_once() -> None:
    made = watch()
    for _ in range(5000):
        made.see("hello", 0.99, True)
    assert made.revoked is None
    assert made.requests == 5000


def test_time_revokes_it() -> None:
    assert watch(seconds("2027-02-24T04:29:59Z")).revoked is None
    assert watch(seconds("2027-02-24T04:30:00Z")).revoked == "it expired on 2027-02-24T04:30:00Z"


def test_another_artifact_or_pool_revokes_it() -> None:
    other = Watch(certificate(), PAIR, "fp_other", now=lambda: NOW)
    assert other.revoked == "it is of artifact fp_length, and fp_other is served"
    turned = Watch(certificate(), PAIR[::-1], "fp_length", now=lambda: NOW)
    assert turned.revoked == "it is of large, small, and small, large are served"
    known = (PAIR[0], Candidate(name="small", known_as="gpt-4"))
    changed = Watch(certificate(), known, "fp_length", now=lambda: NOW)
    assert changed.revoked == "the candidates' settings are not those that it was made with"
    assert other.state()["state"] == "revoked"


def test_threads_may_share_it() -> None:
    made = watch()
    rows = [traffic(300, 0.6, seed) for seed in range(4)]

    def serve(part: list[tuple[str, float, bool]]) -> None:
        for one in part:
            made.see(*one)

    threads = [threading.Thread(target=serve, args=(part,)) for part in rows]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made.requests == 1200
    assert made._share.process._steps == 1200


def test_what_is_watched_of_a_prediction() -> None:
    quality = np.asarray([[0.9, 0.4], [0.5, 0.5]], dtype=np.float32)
    two = Prediction(candidates=("a", "b"), quality=quality, pair=PairRule("difference"))
    assert watched_scores(two) == pytest.approx(np.asarray([0.5, 0.0]))
    three = Prediction(candidates=("a", "b", "c"), quality=np.c_[quality, [[0.1], [1.0]]])
    assert watched_scores(three) == pytest.approx(np.asarray([0.9, 0.25]))
