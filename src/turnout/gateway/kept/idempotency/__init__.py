"""Requests that are sent twice under one `Idempotency-Key`: one upstream call, one record, one answer."""
