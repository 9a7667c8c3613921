"""Metrics, log lines and traces, read where things happen."""
