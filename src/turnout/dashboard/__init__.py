"""A page for people over the records of a gateway: read-only, without script."""
