from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from turnout.errors import RouteNameError, TurnoutError, UnknownNameError
from turnout.names import RouteSpec, format_route, is_route, parse_route

ROUTERS = ["mf", "knn", "mf-v2"]


@given(name=st.sampled_from(ROUTERS), threshold=st.floats(0.0, 1.0))
@example(name="mf", threshold=1e-05)
@example(name="mf", threshold=5e-324)
@example(name="mf-v2", threshold=0.1 + 0.2)
def test_what_was_formatted_parses_back_to_the_same(name: str, threshold: float) -> None:
    spec = RouteSpec(name, threshold)
    assert parse_route(format_route(spec), routers=ROUTERS) == spec


@pytest.mark.parametrize(
    ("threshold", "text"),
    [(0.11593, "0.11593"), (0.0, "0"), (1.0, "1"), (0.5, "0.5"), (1e-05, "0.00001")],
)
def test_numbers_are_written_plainly(threshold: float, text: str) -> None:
    assert format_route(RouteSpec("mf", threshold)) == f"router-mf-{text}"


@pytest.mark.parametrize(
    ("model", "threshold"),
    [
        ("router-mf-0.11593", 0.11593),  # RouteLLM's own example
        ("router-mf-0", 0.0),
        ("router-mf-1.0", 1.0),
        ("router-mf-.5", 0.5),
        ("router-mf-1.", 1.0),
        ("router-mf-0.50", 0.5),
    ],
)
def test_decimals_are_read(model: str, threshold: float) -> None:
    assert parse_route(model, routers=ROUTERS) == RouteSpec("mf", threshold)


def test_a_name_may_have_dashes_of_its_own() -> None:
    assert parse_route("router-mf-v2-0.5", routers=ROUTERS) == RouteSpec("mf-v2", 0.5)


MISSING_ROUTER = r"router is missing.*router-NAME-THRESHOLD.*routers here: knn, mf, mf-v2"
NOT_A_ROUTE = r"give router-NAME-THRESHOLD, such as router-knn-0\.5; routers here: knn, mf, mf-v2"
NO_THRESHOLD = r"threshold is missing.*routers here: knn, mf, mf-v2"
BAD_NUMBER = r"decimal number from 0 to 1, not '{}'"


@pytest.mark.parametrize(
    ("model", "kind", "message"),
    [
        ("gpt-4", RouteNameError, NOT_A_ROUTE),
        ("", RouteNameError, NOT_A_ROUTE),
        ("Router-mf-0.5", RouteNameError, NOT_A_ROUTE),
        (None, RouteNameError, NOT_A_ROUTE),
        ("router-", RouteNameError, NO_THRESHOLD),
        ("router-mf", RouteNameError, NO_THRESHOLD),
        ("router-mf-", RouteNameError, BAD_NUMBER.format("")),
        ("router-mf-nan", RouteNameError, BAD_NUMBER.format("nan")),
        ("router-mf-inf", RouteNameError, BAD_NUMBER.format("inf")),
        ("router-mf-1.5", RouteNameError, BAD_NUMBER.format("1.5")),
        ("router-mf-1.0001", RouteNameError, BAD_NUMBER.format("1.0001")),
        ("router-mf--0.5", RouteNameError, BAD_NUMBER.format("-0.5")),
        ("router-mf-1e-3", RouteNameError, BAD_NUMBER.format("1e-3")),
        ("router-mf-1e-05", RouteNameError, BAD_NUMBER.format("1e-05")),
        ("router-mf-0.5 ", RouteNameError, BAD_NUMBER.format("0.5 ")),
        ("router-mf-0_5", RouteNameError, BAD_NUMBER.format("0_5")),
        ("router-mf-\u0660.\u0665", RouteNameError, BAD_NUMBER.format("\u0660.\u0665")),
        ("router-mf-" + "9" * 400, RouteNameError, "decimal number from 0 to 1"),
        ("router--0.5", RouteNameError, MISSING_ROUTER),
        ("router-zzz-0.5", UnknownNameError, r"no router named 'zzz'; known: knn, mf, mf-v2"),
        ("router-MF-0.5", UnknownNameError, r"no router named 'MF'; known: knn, mf, mf-v2"),
        ("router-kmn-0.5", UnknownNameError, r"Did you mean 'knn'"),
        ("router-mf-beta-0.5", UnknownNameError, r"no router named 'mf-beta'"),
    ],
)
def test_a_bad_name_is_refused_and_says_what_exists(
    model: str, kind: type[TurnoutError], message: str
) -> None:
    with pytest.raises(kind, match=message) as caught:
        parse_route(model, routers=ROUTERS)
    assert type(caught.value) is kind
    assert len(str(caught.value)) < 700


@given(st.text(max_size=30))
def test_any_text_is_a_route_or_an_error_on_purpose(text: str) -> None:
    for model in (text, f"router-{text}", f"router-mf-{text}"):
        try:
            spec = parse_route(model, routers=ROUTERS)
        except TurnoutError:
            continue
        assert spec.router in ROUTERS
        assert 0.0 <= spec.threshold <= 1.0


def test_the_error_names_the_field_that_was_given() -> None:
    with pytest.raises(RouteNameError, match=r"^auto: 'gpt-4' is not usable"):
        parse_route("gpt-4", routers=ROUTERS, field="auto")


def test_no_router_at_all_is_said() -> None:
    with pytest.raises(UnknownNameError, match="known: none"):
        parse_route("router-mf-0.5", routers=[])


def test_a_malformed_route_still_asks_for_one() -> None:
    assert is_route("router-")
    assert is_route("router-mf-nan")
    assert not is_route("my-router-mf-0.5")
