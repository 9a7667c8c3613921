"""The table of feedback: what decisions turned out to be worth, by whom."""

from __future__ import annotations

from dataclasses import dataclass

from turnout.store.database import Database, Schema, clean_text, migrate

SCHEMA = Schema(
    "feedback",
    (
        (
            """
            CREATE TABLE feedback (
                decision TEXT NOT NULL, source TEXT NOT NULL, key TEXT NOT NULL,
                score DOUBLE PRECISION NOT NULL, at_ms BIGINT NOT NULL,
                PRIMARY KEY (decision, source)
            )
            """,
            "CREATE INDEX feedback_at ON feedback (at_ms)",
        ),
    ),
)

_PUT = (
    "INSERT INTO feedback (decision, source, key, score, at_ms) VALUES (?, ?, ?, ?, ?) "
    "ON CONFLICT (decision, source) DO UPDATE SET "
    "score = excluded.score, at_ms = excluded.at_ms, key = excluded.key"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """One score of one decision."""

    decision: str
    """The decision's id."""
    score: float
    """From 0 to 1."""
    source: str = ""
    """Who says so (a kind of user, a grader): another source adds, the same one replaces."""
    key: str = ""
    """The id of the key that sent it; never the key."""
    at_ms: int = 0


class FeedbackTable:
    """Feedback in a database; made or brought up to date at once.

    Raises:
        StoreError: the database fails, or its tables are of a later version.
    """

    def __init__(self, database: Database) -> None:
        self._db = database
        migrate(database, SCHEMA)

    def put(self, feedback: Feedback) -> bool:
        """Keep a score, in place of an earlier one of the same decision and source.

        Returns:
            Whether there was one.

        Raises:
            StoreError: the database failed; nothing was kept.
        """
        decision, source = clean_text(feedback.decision), clean_text(feedback.source)
        row = (decision, source, clean_text(feedback.key), feedback.score, feedback.at_ms)
        with self._db.transaction():
            before = self._db.run(
                "SELECT score FROM feedback WHERE decision = ? AND source = ?", (decision, source)
            )
            self._db.run(_PUT, row)
        return bool(before)

    def scores(self, *, since_ms: int = 0, source: str | None = None) -> dict[str, float]:
        """Decision → its mean score, of one source or of all."""
        where = "at_ms >= ?" if source is None else "at_ms >= ? AND source = ?"
        values = (since_ms,) if source is None else (since_ms, source)
        rows = self._db.run(
            f"SELECT decision, AVG(score) FROM feedback WHERE {where} GROUP BY decision",  # noqa: S608
            values,
        )
        return {str(decision): float(score) for decision, score in rows}

    def close(self) -> None:
        """Close the database."""
        self._db.close()
