"""The most that a request can cost, before anything is called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from turnout.pricing import DEFAULT_OUTPUT_TOKENS
from turnout.types import BYTES_PER_TOKEN, Candidate, Query

OVERHEAD_TOKENS = 64
"""What a provider adds to a request that no one wrote, such as the marks around messages."""
TOOL_TOKENS = 600
"""The same where there are tools: Anthropic's own words about tools are up to 530 tokens."""
_USUAL_OUTPUT_TOKENS = 16 * DEFAULT_OUTPUT_TOKENS
"""Of a limit of tokens no more is reserved for output, whatever limit a request sets itself."""
_MOST_COPIES = 1_000
_UNBOUNDED = 1 << 62


@dataclass(slots=True)  # not frozen: that would double what making one costs
class Asked:
    """What a request may make a candidate read and write."""

    query: Query
    body_bytes: int
    """Length of the request."""
    copies: int = 1
    """Answers that it asks for (`n`)."""
    predicted: bool = False
    """It brings a predicted output, whose tokens are billed where they are rejected."""
    embeds: bool = False
    """It asks for vectors, of a model that is no candidate."""

    @classmethod
    def of(
        cls, query: Query, fields: Mapping[str, Any], body_bytes: int, *, embeds: bool = False
    ) -> Asked:
        """From a parsed request of any dialect."""
        n = fields.get("n")
        copies = n if isinstance(n, int) and not isinstance(n, bool) and n > 0 else 1
        return cls(query, body_bytes, min(copies, _MOST_COPIES), "prediction" in fields, embeds)

    def most_input_tokens(self) -> int:
        """An upper bound for text: a token is at least one of its bytes.

        The estimate of a query is a quarter of the bytes, so that four times it leaves out what is
        no text (images in base64), each of which it holds at a flat number. Files and sound have no
        such number that could be trusted: they count by the length of the request.
        """
        query = self.query
        most = BYTES_PER_TOKEN * query.input_tokens + OVERHEAD_TOKENS
        if not query.needs:
            return most
        if "tools" in query.needs:
            most += TOOL_TOKENS
        return max(most, self.body_bytes) if query.needs & {"files", "audio"} else most

    def usual_tokens(self) -> int:
        """What it takes of a limit of tokens until its usage is known."""
        return self.query.input_tokens + self.usual_output_tokens()

    def usual_output_tokens(self) -> int:
        """The same of its output alone, which does not follow from the text."""
        asked = self.query.max_output_tokens
        output = DEFAULT_OUTPUT_TOKENS if asked is None else min(asked, _USUAL_OUTPUT_TOKENS)
        return output * self.copies


class CostRule(NamedTuple):
    """The most that requests cost at one candidate which differ in their text alone."""

    rate_in: int
    """Picodollars a token."""
    window: int
    output_picousd: int

    def most_picousd(self, input_tokens: int) -> int:
        """Of a request of so many input tokens, as estimated, that is text alone."""
        tokens = BYTES_PER_TOKEN * input_tokens + OVERHEAD_TOKENS
        return (
            tokens if tokens < self.window else self.window
        ) * self.rate_in + self.output_picousd


class Costs:
    """The most that requests can cost at each candidate.

    Args:
        candidates: of the pool.
        output_tokens: longest answer of a candidate of which none is known, where the request sets
            no limit either.
    """

    def __init__(self, candidates: Sequence[Candidate], output_tokens: int) -> None:
        self.unpriced = {c.name: None for c in candidates if c.price is None}
        """Candidates of which no price is known."""
        self._rows = [
            (
                c.name,
                c.price.dearest_input_picousd,
                c.price.dearest_output_picousd,
                c.context_tokens or _UNBOUNDED,
                c.max_output_tokens or _UNBOUNDED,
                c.arm_output_tokens or c.max_output_tokens or output_tokens,
            )
            for c in candidates
            if c.price is not None
        ]

    def rules(self, asked: Asked) -> dict[str, CostRule] | None:
        """`most_picousd` for requests of text that differ in it alone, by candidate.

        None where the price of a candidate is not known, or where the output that a request may cost
        follows from its text, or its input from more.
        """
        if asked.predicted or asked.query.needs or self.unpriced:
            return None
        limit, found = asked.query.max_output_tokens, {}
        for name, rate_in, rate_out, window, longest, unasked in self._rows:
            tokens = min(unasked if limit is None else limit, longest, window) * asked.copies
            found[name] = CostRule(rate_in, window, tokens * rate_out)
        return found

    def most_picousd(self, asked: Asked) -> dict[str, int | None]:
        """Candidate → the most that one call can cost; None where no price is known.

        Neither input nor output is more than the candidate's window, where that is known; output is
        the request's own limit, else what the arm asks for, else the model's longest answer.
        """
        found: dict[str, int | None] = dict(self.unpriced)
        most_in, limit, copies = (
            asked.most_input_tokens(),
            asked.query.max_output_tokens,
            asked.copies,
        )
        for name, rate_in, rate_out, window, longest, unasked in self._rows:
            tokens_in = most_in if most_in < window else window
            tokens_out = unasked if limit is None else limit
            tokens_out = min(tokens_out, longest, window) * copies
            if asked.predicted:
                tokens_out += tokens_in
            found[name] = tokens_in * rate_in + tokens_out * rate_out
        return found
