"""From a decision to an answer: which call to make next, decided without I/O."""

from __future__ import annotations

from turnout.execution.attempts import Pause, Plain, Plan, Try, arun, attempts, run

__all__ = ["Pause", "Plain", "Plan", "Try", "arun", "attempts", "run"]
