"""What the caches count, read when metrics are scraped; the semantic one with its measured error rate."""

from __future__ import annotations

from turnout.calibration.proving import upper_rate
from turnout.execution.health import LEVELS
from turnout.gateway.kept.semantic.cache import SemanticCache
from turnout.gateway.kept.semantic.details import DETAILS
from turnout.gateway.watching.parts import Now, read_part
from turnout.observe.metrics import Reading, Series


def readings_of_caches(serving: Now) -> list[Reading]:
    """Of the exact cache, and of the semantic one beside it."""

    def requests() -> Series:
        now = serving()
        found: list[tuple[tuple[str, ...], float]] = []
        if now is not None and now.cache is not None:
            counts = now.cache.counts
            found += [(("exact", "hit"), counts.hits), (("exact", "miss"), counts.misses)]
        if now is not None and now.semantic is not None:
            by_meaning = now.semantic.counts
            found += [(("semantic", "hit"), by_meaning["hits"])]
            found += [(("semantic", "miss"), by_meaning["misses"])]
        return found

    of = read_part(serving, lambda s: s.semantic)

    def rate(cache: SemanticCache) -> Series:
        wrong, compared = cache.compared()
        return [((), wrong / compared)] if compared else []

    return [
        Reading(
            name="turnout_cache_requests_total",
            help="Requests that could be answered from a cache, by the cache and whether they were.",
            labels=("kind", "outcome"),
            read=requests,
        ),
        Reading(
            name="turnout_semantic_cache_compared_total",
            help="Kept answers that were compared with the model's own.",
            labels=("result",),
            read=of(lambda c: [((r,), c.counts[r]) for r in ("same", "different")]),
        ),
        Reading(
            name="turnout_semantic_cache_verified_total",
            help="Of those, the ones that would have been given by meaning, right or wrong.",
            labels=("result",),
            read=of(
                lambda c: [
                    (("right",), c.counts["verified"] - c.counts["wrong"]),
                    (("wrong",), c.counts["wrong"]),
                ]
            ),
        ),
        Reading(
            name="turnout_semantic_cache_error_rate",
            help="Of the answers by meaning that were compared of late, the share that was wrong.",
            read=of(rate),
        ),
        Reading(
            name="turnout_semantic_cache_error_rate_upper",
            help="The rate that errors are shown to be below, at 95% confidence.",
            read=of(lambda c: [((), upper_rate(*c.compared()))]),
        ),
        Reading(
            name="turnout_semantic_cache_clients",
            help="Clients with their instructions, by whether their answers have shown to be right enough.",
            labels=("state",),
            read=of(lambda c: [((s,), n) for s, n in c.clients().items()]),
        ),
        Reading(
            name="turnout_semantic_cache_stops_total",
            help="Times that a client's answers could no longer be shown to be right enough.",
            read=of(lambda c: [((), c.counts["stopped"])]),
        ),
        Reading(
            name="turnout_semantic_cache_passed_over_total",
            help="Nearest questions that were passed over, by the detail in which they differ.",
            labels=("detail",),
            read=of(lambda c: [((d,), c.guarded[d]) for d in DETAILS]),
        ),
        Reading(
            name="turnout_semantic_cache_failures_total",
            help="Questions without a vector, and answers that could not be compared in time.",
            read=of(lambda c: [((), c.counts["failed"] + c.counts["passed_over"])]),
        ),
        Reading(
            name="turnout_semantic_cache_skipped_total",
            help="Questions that were not looked up, because the encoder had failed too often.",
            read=of(lambda c: [((), c.counts["skipped"])]),
        ),
        Reading(
            name="turnout_semantic_cache_encoder_state",
            help="0: the encoder is asked; 1: it is being probed; 2: it is out.",
            read=of(lambda c: [((), LEVELS[c.health.state])]),
        ),
    ]
