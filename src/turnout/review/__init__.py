"""Review of production logs: what routing would have saved on the user's own traffic, and how sure."""

from turnout.review.asked import Asked
from turnout.review.report import Review
from turnout.review.run import review

__all__ = ["Asked", "Review", "review"]
