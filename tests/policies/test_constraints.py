from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.policies.constraints import Common, exclusions
from turnout.types import Candidate, Query

UNKNOWN = Candidate(name="unknown")
"""Nothing is known of it, so nothing puts it out."""
PLAIN = Candidate(name="plain", capabilities=frozenset({"tools"}))
ABLE = Candidate(name="able", capabilities=frozenset({"tools", "vision", "json_schema"}))
SMALL = Candidate(name="small", context_tokens=1_000, max_output_tokens=100)


def query(tokens: int = 10, most: int | None = None, *needs: str) -> Query:
    return Query(
        text="x",
        input_tokens=tokens,
        max_output_tokens=most,
        needs=frozenset(needs),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("asked", "candidate", "why"),
    [
        (query(10, None, "vision"), PLAIN, "cannot do vision"),
        (query(10, None, "vision", "json_schema"), PLAIN, "cannot do json_schema, vision"),
        (query(10, None, "vision"), ABLE, None),
        (query(10, None, "audio"), UNKNOWN, None),
        (query(10, None, "tools"), Candidate(name="n", capabilities=frozenset()), "cannot do"),
        (query(10, 100), SMALL, None),
        (query(10, 101), SMALL, "writes at most 100 tokens, 101 were asked for"),
        (query(1_000), SMALL, None),
        (query(1_001), SMALL, "window of 1000 tokens does not hold about 1001 of input and 0"),
        (query(900, 100), SMALL, None),
        (query(901, 100), SMALL, "does not hold about 901 of input and 100 of output"),
        (query(10**9, 10**9), UNKNOWN, None),
        (query(0, 0), SMALL, None),
    ],
)
def test_a_candidate_is_out_for_what_it_is_known_not_to_do(
    asked: Query, candidate: Candidate, why: str | None
) -> None:
    found = exclusions(asked, [candidate])
    if why is None:
        assert found == {}
    else:
        assert why in found[candidate.name]


def test_an_allow_list_leaves_only_those_it_names() -> None:
    found = exclusions(query(), [PLAIN, ABLE], allow=["able"])
    assert found == {"plain": "not on the allow-list"}
    assert exclusions(query(), [PLAIN, ABLE], allow=[]).keys() == {"plain", "able"}
    assert exclusions(query(), [PLAIN, ABLE], allow=None) == {}


def test_the_first_reason_is_the_one_told() -> None:
    found = exclusions(query(10**6, None, "vision"), [SMALL], allow=["able"])
    assert found == {"small": "not on the allow-list"}


@given(
    tokens=st.integers(0, 1_200),
    most=st.none() | st.integers(0, 120),
    needs=st.lists(st.sampled_from(["tools", "vision", "json_schema", "audio"])),
    pool=st.lists(st.sampled_from([UNKNOWN, PLAIN, ABLE, SMALL])),
)
def test_what_all_can_do_excludes_none_and_nothing_else(
    tokens: int, most: int | None, needs: list[str], pool: list[Candidate]
) -> None:
    asked = query(tokens, most, *needs)
    assert Common.of(pool).serves(asked) == (exclusions(asked, pool) == {})
