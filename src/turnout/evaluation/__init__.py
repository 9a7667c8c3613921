"""Metrics, benchmarks, plots."""
