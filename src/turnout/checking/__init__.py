"""Settings looked at before a gateway serves by them: what is broken, and what is likely wrong."""
