"""Benchmarks by name: prompts with the recorded outcomes of two or more models."""

from __future__ import annotations

from turnout.evaluation.benchmarks.base import Benchmark, PublishedRow, open_benchmark

__all__ = ["Benchmark", "PublishedRow", "open_benchmark"]
