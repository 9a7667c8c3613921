from __future__ import annotations

import pytest

from turnout.scorers.base import Answered
from turnout.scorers.exact import ExactScorer


@pytest.mark.parametrize(
    ("answer", "reference", "score"),
    [
        ("Paris", "paris.", 1.0),
        ("  **Paris** ", "Paris", 1.0),
        ("It lies on the Seine.\nThe answer is Paris.", "Paris", 1.0),
        ("so \\boxed{\\frac{1}{2}} it is", "\\frac{1}{2}", 1.0),
        ("First \\boxed{3}, no: \\boxed{4}", "3", 0.0),
        ("Answer: 1,250.0", "1250", 1.0),
        ("We add them up.\n\n42", "42.00", 1.0),
        ("Paris or London", "Paris", 0.0),
        ("(B)", "B", 1.0),
        ("", "B", 0.0),
        ("B", None, None),
        ("B", "  ", None),
    ],
)
def test_the_reference_must_be_the_answer_or_what_it_ends_with(
    answer: str, reference: str | None, score: float | None
) -> None:
    assert ExactScorer().score(Answered(prompt="?", answer=answer, reference=reference)) == score
