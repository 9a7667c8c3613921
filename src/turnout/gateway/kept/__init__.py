"""Answers that are kept to be given again: the cache and idempotency keys."""
